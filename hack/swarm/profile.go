package swarm

import (
	"fmt"
	"slices"
	"time"
)

// Profile is how a router behaves when its session is down.
type Profile struct {
	Name string
	// Connect bounds one attempt to open the TCP connection and to receive
	// the peer's OPEN.
	Connect time.Duration
	// First is the wait after a session went down, Retry the wait after an
	// attempt that failed. Each wait is shortened by up to a quarter at
	// random (RFC 4271 section 10: a factor from 0.75 to 1.0).
	First, Retry time.Duration
	// Backoff multiplies Retry after each failure in a row, up to Max.
	Backoff float64
	Max     time.Duration
}

// Profiles lists the built-in profiles.
//
// cisco-like: IOS retries an idle neighbour after a short, growing wait and
// gives a connection 30 s. junos-like: the connect-retry timer of RFC 4271 with
// 32 s. eager: a software router that is told to be quick; good for tests.
func Profiles() []Profile {
	return []Profile{
		{Name: "cisco-like", Connect: 30 * time.Second, First: 2 * time.Second, Retry: 8 * time.Second, Backoff: 1.5, Max: 30 * time.Second},
		{Name: "junos-like", Connect: 32 * time.Second, First: 5 * time.Second, Retry: 32 * time.Second, Backoff: 1, Max: 32 * time.Second},
		{Name: "eager", Connect: 5 * time.Second, First: 200 * time.Millisecond, Retry: time.Second, Backoff: 1.5, Max: 5 * time.Second},
	}
}

// ProfileByName finds a built-in profile.
func ProfileByName(name string) (Profile, error) {
	all := Profiles()
	i := slices.IndexFunc(all, func(p Profile) bool { return p.Name == name })
	if i < 0 {
		return Profile{}, fmt.Errorf("profile %q is not known; the profiles are cisco-like, junos-like and eager", name)
	}
	return all[i], nil
}

// wait is how long to wait before the next attempt, after failures attempts in
// a row that did not reach Established. jitter is from 0 to 1.
func (p Profile) wait(failures int, jitter float64) time.Duration {
	d := p.First
	if failures > 0 {
		d = p.Retry
		for range min(failures-1, 16) {
			d = min(time.Duration(float64(d)*p.Backoff), p.Max)
		}
	}
	return d - time.Duration(jitter*float64(d)/4)
}
