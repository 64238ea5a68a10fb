package agent

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
)

// rules counts how often the packet filter was looked at.
type rules struct {
	looks int
	err   error
}

func (r *rules) Set(context.Context, []netip.AddrPort) (bool, error) {
	r.looks++
	return false, r.err
}

func (r *rules) Remove(context.Context) error { return nil }

// A look at the packet filter holds up whatever arrives meanwhile, so full
// rounds take one only once in a while; a wish and a failure do not wait.
func TestPacketFilterIsLookedAtOnceInAWhile(t *testing.T) {
	f := &rules{}
	a := &Agent{cfg: Config{Host: Host{Netfilter: f}, FullEvery: 10 * time.Second}, log: hclog.NewNullLogger(), done: memo{}, errs: map[part]error{}}
	start := time.Now()
	look := func(after time.Duration, full bool, port uint16) {
		t.Helper()
		r := &round{Agent: a, now: start.Add(after), full: full, drifted: map[part]int{}}
		r.netfilter(t.Context(), []service{netip.AddrPortFrom(netip.MustParseAddr("203.0.113.179"), port)})
	}
	want := func(n int, why string) {
		t.Helper()
		if f.looks != n {
			t.Errorf("%s: looked %d times, want %d", why, f.looks, n)
		}
	}
	look(0, true, 179)
	want(1, "first round")
	look(10*time.Second, true, 179)
	look(50*time.Second, true, 179)
	look(59*time.Second, false, 179)
	want(1, "full rounds within a minute")
	look(51*time.Second, false, 1790)
	want(2, "another wish")
	look(61*time.Second, false, 1790)
	want(2, "a change of something else")
	look(62*time.Second, true, 1790)
	want(3, "a full round after a minute")
	f.err = errors.New("locked")
	look(63*time.Second, false, 179)
	look(70*time.Second, true, 179)
	want(5, "after a failure")
}
