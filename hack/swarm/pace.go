package swarm

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// pace says when a session may connect.
type pace struct {
	rate    int
	permits chan struct{} // one a connection to open; filled by run
	ramp    chan struct{} // a place for each session in flight; nil: no bound

	heldBack peak // how long a reconnection waited for a permit
	lag      peak // how late the clock of run was: how busy this machine is
}

// peak is the largest duration noted since it was last taken.
type peak struct{ ns atomic.Int64 }

func (p *peak) note(d time.Duration) {
	for {
		old := p.ns.Load()
		if int64(d) <= old || p.ns.CompareAndSwap(old, int64(d)) {
			return
		}
	}
}

func (p *peak) get() Seconds  { return Seconds(p.ns.Load()) }
func (p *peak) take() Seconds { return Seconds(p.ns.Swap(0)) }

func newPace(rate, inFlight int) *pace {
	p := &pace{rate: rate, permits: make(chan struct{})}
	if inFlight > 0 {
		p.ramp = make(chan struct{}, inFlight)
	}
	return p
}

// paceTick is how often permits are handed out.
const paceTick = 10 * time.Millisecond

// run hands out permits at the configured rate. Permits that nobody takes are
// saved up for a tenth of a second at most.
func (p *pace) run(ctx context.Context) {
	ticker := time.NewTicker(paceTick)
	defer ticker.Stop()
	owed, last := 0.0, time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		elapsed := time.Since(last)
		last = last.Add(elapsed)
		p.lag.note(elapsed - paceTick)
		owed = min(owed+float64(p.rate)*elapsed.Seconds(), max(1, float64(p.rate)/10))
		for owed >= 1 && p.permit() {
			owed--
		}
	}
}

// permit gives a permit to a session that waits for one.
func (p *pace) permit() bool {
	select {
	case p.permits <- struct{}{}:
		return true
	default:
		return false
	}
}

// rampPatience is how long a session that comes up for the first time keeps
// others waiting: a target that never answers must not stop the ramp.
const rampPatience = time.Second

// admit waits for the turn of a session. done tells that its attempt is over,
// whichever way; it may be called more than once.
func (p *pace) admit(ctx context.Context, first bool) (done func(), ok bool) {
	done = func() {}
	if first && p.ramp != nil {
		select {
		case <-ctx.Done():
			return done, false
		case p.ramp <- struct{}{}:
		}
		leave := sync.OnceFunc(func() { <-p.ramp })
		timer := time.AfterFunc(rampPatience, leave)
		done = func() { timer.Stop(); leave() }
	}
	asked := time.Now()
	select {
	case <-ctx.Done():
		done()
		return done, false
	case <-p.permits:
	}
	if !first {
		p.heldBack.note(time.Since(asked))
	}
	return done, true
}
