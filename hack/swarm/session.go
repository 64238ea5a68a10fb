package swarm

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/peerage/peerage/realserver/bgp"
)

// session is one customer's router. Its goroutine owns the link; record.Index,
// Source, AS and MD5 never change.
type session struct {
	swarm  *Swarm
	target netip.AddrPort

	mu     sync.Mutex
	record Record
	link   *link   // nil while there is no connection
	looked Seconds // when the kernel was last asked what the peer acknowledged
	acked  Seconds // last acknowledgement by the peer, as far as known; 0: none
	lull   Seconds // longest silence since the last mark
	// churned is the step of the churn that is withdrawn, counted from 1.
	churned int
}

// run keeps the session up until ctx ends.
func (s *session) run(ctx context.Context) {
	failures, fresh := 0, true
	for attempts := uint64(0); ; attempts++ {
		up, err := s.attempt(ctx, fresh)
		if ctx.Err() != nil {
			s.noteStop()
			return
		}
		fresh = fresh && !up
		if errors.Is(err, errReset) {
			fresh = true
		} else {
			s.note(Down, cause(err))
		}
		var setup *setupError
		if errors.As(err, &setup) {
			s.swarm.fail(fmt.Errorf("session %d: %w", s.record.Index, err))
			return
		}
		failures++
		if up {
			failures = 0
		}
		jitter := random(s.swarm.cfg.Seed, uint64(s.record.Index), attempts)
		if !sleep(ctx, s.swarm.cfg.Profile.wait(failures, jitter)) {
			return
		}
	}
}

// attempt makes one attempt to connect, and stays as long as the session
// lives. It tells whether the session reached Established, and why it ended.
// The first attempts after the beginning or a reset are fresh: the speaker is
// not to be run over by those.
func (s *session) attempt(ctx context.Context, fresh bool) (up bool, err error) {
	l, err := s.handshake(ctx, fresh)
	if l == nil {
		return false, err
	}
	if up = err == nil; up {
		s.note(Established, "")
		s.announce(l)
	}
	for err == nil {
		err = s.receive(ctx, l)
	}
	s.mu.Lock()
	if l.reset {
		err = errReset // whatever else happened meanwhile
	}
	s.mu.Unlock()
	s.farewell(ctx, l, err)
	return up, err
}

// handshake waits for the session's turn and opens the link until Established.
// When that fails it returns the link too, if there is one.
func (s *session) handshake(ctx context.Context, fresh bool) (*link, error) {
	done, ok := s.swarm.pace.admit(ctx, fresh)
	if !ok {
		return nil, ctx.Err()
	}
	defer done()
	began := time.Now()
	s.note(Connecting, "")
	l, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	s.note(OpenSent, "")
	err = s.greet(l)
	for err == nil && l.state != Established {
		err = s.receive(ctx, l)
	}
	if err == nil {
		s.swarm.pace.succeeded(time.Since(began))
	}
	return l, err
}

// connect opens the connection. A goroutine of its own does it: the depth of
// the net package would make this one's stack grow for good.
func (s *session) connect(ctx context.Context) (*link, error) {
	type result struct {
		link *link
		err  error
	}
	dialed := make(chan result, 1)
	go func() {
		ctx, cancel := context.WithTimeout(ctx, s.swarm.cfg.Profile.Connect)
		defer cancel()
		l, err := newLink(ctx, s)
		dialed <- result{l, err}
	}()
	r := <-dialed // bounded by the timeout
	if r.err != nil {
		return nil, r.err
	}
	s.mu.Lock()
	s.link, s.looked, s.acked, s.churned = r.link, 0, 0, 0
	s.mu.Unlock()
	return r.link, nil
}

// greet sends the OPEN.
func (s *session) greet(l *link) error {
	open := bgp.Open{AS: s.record.AS, HoldTime: s.swarm.cfg.HoldTime, Identifier: s.identifier(), Capabilities: s.swarm.offer4}
	if !s.record.Source.Is4() {
		open.Capabilities = s.swarm.offer6
	}
	now := s.swarm.since()
	l.heard, l.said = now, now
	l.openBy = now + Seconds(s.swarm.cfg.Profile.Connect)
	return l.write(open.Append(nil))
}

// interrupt ends what the session waits for; its context has ended before.
func (s *session) interrupt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link != nil {
		s.link.interrupt()
	}
}

// errReset ends a connection that somebody asked the swarm to open anew.
var errReset = errors.New("reset")

// reset makes a session that is up connect anew, and tells whether it was. From
// here on it counts as down: whoever waits until all are up again must not see
// it before it went.
func (s *session) reset() bool {
	at := s.swarm.since()
	s.mu.Lock()
	if s.link == nil || s.link.closing || s.record.State != Established {
		s.mu.Unlock()
		return false
	}
	s.link.reset = true
	s.record.Resets++
	c := s.record.end(at, CauseReset)
	_ = s.link.conn.SetReadDeadline(time.Unix(1, 0)) // tells the reader
	s.mu.Unlock()
	s.tell(c)
	return true
}

// farewellTimeout bounds what is still written to a connection that ends.
const farewellTimeout = 2 * time.Second

// farewell closes the connection. A violation by the peer, a hold timer and
// the end of the swarm are told with a NOTIFICATION.
func (s *session) farewell(ctx context.Context, l *link, err error) {
	var violation *bgp.Error
	var last []byte
	switch {
	case ctx.Err() != nil:
		last = bgp.Shutdown(bgp.SubAdministrativeShutdown, "swarm stopped").Append(nil)
	case errors.Is(err, errReset):
		last = bgp.Shutdown(bgp.SubAdministrativeReset, "reset").Append(nil)
	case errors.As(err, &violation):
		last = violation.Notification.Append(nil)
	}
	s.mu.Lock()
	l.closing = true // no new sender, no new write of one
	s.link = nil
	patience := time.Duration(0)
	if last != nil {
		patience = farewellTimeout
	}
	_ = l.conn.SetWriteDeadline(time.Now().Add(patience))
	s.mu.Unlock()
	l.sender.Wait()
	// A message that was cut short leaves no place for another.
	if last != nil && l.failed == nil {
		_ = l.writeWithin(farewellTimeout, last)
	}
	l.conn.Close()
}

// identifier is the router id: the IPv4 source, or a number derived from the
// session's index for IPv6 ones.
func (s *session) identifier() netip.Addr {
	if s.record.Source.Is4() {
		return s.record.Source
	}
	i := s.record.Index
	return netip.AddrFrom4([4]byte{100, byte(64 + i>>16&0x3f), byte(i >> 8), byte(i)})
}

func (s *session) note(to State, cause string) {
	at := s.swarm.since()
	s.mu.Lock()
	c := s.record.change(at, to, cause)
	s.mu.Unlock()
	s.tell(c)
}

func (s *session) noteStop() {
	at := s.swarm.since()
	s.mu.Lock()
	c := s.record.end(at, CauseStopped)
	s.mu.Unlock()
	s.tell(c)
}

func (s *session) tell(c Change) {
	if f := s.swarm.cfg.OnChange; f != nil {
		f(&s.record, c)
	}
}

// sleep waits for d, and tells whether ctx lived that long.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// random is a number from 0 to 1 that is the same in each run: a session needs
// one per wait, too few to keep a generator for (this one is SplitMix64).
func random(seed, index, n uint64) float64 {
	x := seed ^ index*0x9e3779b97f4a7c15 ^ n*0xd1342543de82ef95
	for range 2 {
		x += 0x9e3779b97f4a7c15
		x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
		x = (x ^ x>>27) * 0x94d049bb133111eb
		x ^= x >> 31
	}
	return float64(x>>11) / (1 << 53)
}
