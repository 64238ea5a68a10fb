package probe

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/peerage/peerage/api"
)

// Target is one real server of one pool.
type Target struct {
	Pool, Server string
	// Paths are the server's addresses, one a family. All must answer.
	Paths []Path
	// Check says how to probe.
	Check api.HealthCheck
	// PeerAS is the AS number that the speaker must announce; 0: any.
	PeerAS uint32
}

// Path is where a probe goes and where it comes from.
type Path struct {
	Addr   netip.AddrPort
	Source netip.Addr
}

// The defaults are those of api.HealthCheck.
const (
	defaultInterval = time.Second
	defaultTimeout  = time.Second
	defaultFall     = 3
	defaultRise     = 2
)

type key struct{ pool, server string }

func (t Target) key() key { return key{t.Pool, t.Server} }

func (t Target) equal(o Target) bool {
	return t.key() == o.key() && t.Check == o.Check && t.PeerAS == o.PeerAS && slices.Equal(t.Paths, o.Paths)
}

func (t Target) interval() time.Duration {
	return max(cmp.Or(time.Duration(t.Check.Interval), defaultInterval), 10*time.Millisecond)
}

func (t Target) timeout() time.Duration {
	return cmp.Or(time.Duration(t.Check.Timeout), defaultTimeout)
}

// patience is how old a result may be before it says nothing any more.
func (t Target) patience() time.Duration { return 10*t.interval() + 2*t.timeout() }

// firstWord is how long a target needs at most to be judged for the first time.
func (t Target) firstWord() time.Duration {
	return time.Duration(cmp.Or(t.Check.Fall, defaultFall)+1) * (t.interval() + t.timeout())
}

// verdict is the judgement over a target: a pure machine that needs several
// results of a kind in a row.
type verdict struct {
	// known is false until there was enough to judge.
	known, ok bool
	// run counts results in a row that contradict the judgement.
	run int
	// since is when ok last changed, last when the newest result came.
	since, last time.Time
	reason      string
	rtt         time.Duration
}

// next takes one result. The first success is believed at once: a server that
// is not known yet has nothing to be damped. It tells whether the judgement
// changed.
func (v verdict) next(err error, rtt time.Duration, now time.Time, c api.HealthCheck) (verdict, bool) {
	v.last = now
	need := cmp.Or(c.Fall, defaultFall)
	if err == nil {
		need = cmp.Or(c.Rise, defaultRise)
		v.rtt = rtt
		if !v.known {
			need = 1
		}
	}
	if v.known && v.ok == (err == nil) {
		v.run = 0
		if err != nil {
			v.reason = err.Error()
		}
		return v, false
	}
	v.run++
	if v.run < need {
		return v, false
	}
	v.known, v.ok, v.run, v.since, v.reason = true, err == nil, 0, now, ""
	if err != nil {
		v.reason = err.Error()
	}
	return v, true
}

func (v verdict) path() api.Path {
	return api.Path{OK: v.ok, Since: v.since, Reason: v.reason, RTT: api.Duration(v.rtt)}
}

// errNoSource says that the LB cannot probe a family.
func errNoSource(addr netip.Addr) error {
	return fmt.Errorf("this load balancer has no address of the family of %s; add one to its spec.addresses", addr)
}
