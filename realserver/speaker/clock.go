package speaker

import (
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/peerage/peerage/realserver/bgp"
)

const (
	// sendHoldLeast is the least Send Hold Time (RFC 9687 section 4).
	sendHoldLeast = 8 * time.Minute
	// checkEvery is how often a session with limits is looked at.
	checkEvery = time.Second
)

// clock is the timers of a session. The wheel reads it, the session writes.
type clock struct {
	timer
	// heard is when a message came last, in Unix nanoseconds.
	heard atomic.Int64
	// hold is the hold time in force, as a time.Duration; 0: none.
	hold atomic.Int64
	// every is the keepalive interval, as a time.Duration; 0: none yet.
	every atomic.Int64
	// keepaliveAt is when the next one is due, in Unix nanoseconds.
	keepaliveAt atomic.Int64
	// paused tells that the session does not read on purpose.
	paused atomic.Bool
	// active tells that routes came since the limits were looked at.
	active atomic.Bool
	grace  bool // of the session's goroutine
}

// startClock starts the timers of a connection: the OPEN must come in time
// (RFC 4271 section 8.2.2 suggests 4 minutes; a stranger gets less).
func (s *session) startClock(open time.Duration) {
	now := time.Now()
	s.heard.Store(now.UnixNano())
	s.hold.Store(int64(open))
	s.of = s
	s.sp.wheel.set(&s.timer, now.Add(open))
}

// keepalivesFrom starts the timers that were negotiated. A third of the hold
// time is what RFC 4271 section 10 suggests.
func (s *session) keepalivesFrom(hold time.Duration) {
	now := time.Now()
	s.heard.Store(now.UnixNano())
	s.hold.Store(int64(hold))
	s.every.Store(int64(hold / 3))
	if hold == 0 {
		return
	}
	at := now.Add(jitter(hold / 3))
	s.keepaliveAt.Store(at.UnixNano())
	s.sp.wheel.set(&s.timer, at)
}

// jitter spreads what would come at once (RFC 4271 section 10: 0.75 to 1).
func jitter(d time.Duration) time.Duration {
	return d*3/4 + rand.N(d/4+1)
}

// silent tells whether the hold time is over.
func (s *session) silent(now time.Time) bool {
	hold := s.hold.Load()
	return hold > 0 && now.UnixNano()-s.heard.Load() >= hold
}

// due implements timed.
func (s *session) due(now time.Time) time.Time {
	if s.stopping.Load() != nil {
		return time.Time{}
	}
	next := now.Add(time.Hour)
	if hold := s.hold.Load(); hold > 0 {
		at := time.Unix(0, s.heard.Load()+hold)
		if !at.After(now) {
			if !s.paused.Load() {
				s.interrupt() // the session looks for itself
			}
			at = now.Add(checkEvery)
		}
		next = earlier(next, at)
	}
	if every := time.Duration(s.every.Load()); every > 0 {
		at := time.Unix(0, s.keepaliveAt.Load())
		if !at.After(now) {
			at = now.Add(jitter(every))
			s.keepaliveAt.Store(at.UnixNano())
			s.sendKeepalive()
		}
		next = earlier(next, at)
	}
	if stuck := s.out.stuck.Load(); stuck != 0 {
		at := time.Unix(0, stuck).Add(s.sendHold())
		if !at.After(now) {
			s.stop(errSendHold)
			return time.Time{}
		}
		next = earlier(next, at)
	}
	if s.active.Load() && s.limited() {
		if err := s.overLimit(); err != nil {
			s.stop(err)
			return time.Time{}
		}
		s.active.Store(false)
		next = earlier(next, now.Add(checkEvery))
	}
	return next
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// sendHold is the Send Hold Time.
func (s *session) sendHold() time.Duration {
	return max(s.sp.opts.SendHold, 2*time.Duration(s.hold.Load()))
}

// errSendHold ends a session whose router does not read (RFC 9687 section 3.2).
// There is no way to tell it.
var errSendHold = &sendHoldError{}

type sendHoldError struct{}

func (*sendHoldError) Error() string {
	return "send hold timer expired: the router does not read (RFC 9687)"
}

// sendKeepalive sends one, or leaves it to who is writing: one is enough.
func (s *session) sendKeepalive() {
	s.out.mu.Lock()
	if s.out.writing {
		s.out.keepalive = true
		s.out.mu.Unlock()
		return
	}
	s.out.mu.Unlock()
	s.send(bgp.TypeKeepalive, s.sp.keepalive)
}
