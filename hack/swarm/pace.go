package swarm

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// pace says when a session may connect. It has no clock of its own: each
// session that asks gets a moment, and waits for it.
type pace struct {
	interval time.Duration // between two connections
	ramp     chan struct{} // a place for each session in flight; nil: no bound

	handshake atomic.Int64 // what one takes lately, in nanoseconds
	heldBack  peak         // how long a reconnection waited for its turn
	lag       peak         // how late a timer was: how busy this machine is

	mu   sync.Mutex
	next time.Time // the moment that is free
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
	p := &pace{interval: time.Second / time.Duration(rate)}
	if inFlight > 0 {
		p.ramp = make(chan struct{}, inFlight)
	}
	return p
}

// burst is for how long turns that nobody took are saved up.
const burst = 100 * time.Millisecond

// reserve takes the next free moment, and says how far away it is.
func (p *pace) reserve(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	turn := now.Add(-max(0, burst-p.interval))
	if p.next.After(turn) {
		turn = p.next
	}
	p.next = turn.Add(p.interval)
	return turn.Sub(now)
}

// A session that comes up for the first time keeps others waiting for rampPatience,
// or for four times what handshakes take lately, whichever is longer, up to
// maxRampPatience: more SYNs make a slow speaker slower, but a target that never
// answers must not stop the ramp.
const (
	rampPatience    = time.Second
	maxRampPatience = 10 * time.Second
)

// succeeded notes what a handshake took; the average forgets half of the past
// in about five of them. That two may be noted at once does not matter.
func (p *pace) succeeded(took time.Duration) {
	old := p.handshake.Load()
	p.handshake.Store(old + (int64(took)-old)/8)
}

func (p *pace) patience() time.Duration {
	return min(max(rampPatience, 4*time.Duration(p.handshake.Load())), maxRampPatience)
}

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
		timer := time.AfterFunc(p.patience(), leave)
		done = func() { timer.Stop(); leave() }
	}
	asked := time.Now()
	wait := p.reserve(asked)
	if wait > 0 && !sleep(ctx, wait) {
		done()
		return done, false
	}
	waited := time.Since(asked)
	p.lag.note(waited - max(wait, 0))
	if !first {
		p.heldBack.note(waited)
	}
	return done, ctx.Err() == nil
}
