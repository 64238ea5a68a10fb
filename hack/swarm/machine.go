package swarm

import (
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"github.com/peerage/peerage/realserver/bgp"
)

// receive waits for the next thing that happens on a link, and handles it.
func (s *session) receive(ctx context.Context, l *link) error {
	if err := s.arm(ctx, l); err != nil {
		return err
	}
	err := l.read(true, func(b []byte) error { return s.take(l, b) })
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return s.tick(ctx, l)
	}
	return err
}

// take handles all whole messages of b.
func (s *session) take(l *link, b []byte) error {
	l.heard, l.got = s.swarm.since(), tally{}
	defer s.observe(l)
	for len(b) > 0 {
		m, n, err := bgp.Next(b, l.limit)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		if err := s.handle(l, m); err != nil {
			return err
		}
		b = b[n:]
	}
	l.keep(b)
	return nil
}

// due is the next moment of a timer: the end of the handshake, the end of the
// hold time, or a KEEPALIVE to send (RFC 4271 section 4.4: after a third of
// it). 0: none.
func (l *link) due() Seconds {
	switch {
	case l.state != Established:
		return l.openBy
	case l.hold == 0:
		return 0
	}
	return min(l.heard+Seconds(l.hold), l.said+Seconds(l.hold/3))
}

// arm sets the deadline of the read for the next timer.
func (s *session) arm(ctx context.Context, l *link) error {
	deadline := time.Time{}
	if due := l.due(); due != 0 {
		deadline = s.swarm.at(due)
	}
	if err := l.conn.SetReadDeadline(deadline); err != nil {
		return err
	}
	// An interruption may have come before.
	return s.interrupted(ctx, l)
}

func (s *session) interrupted(ctx context.Context, l *link) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.reset {
		return errReset
	}
	return l.failed
}

// tick does what a timer asks for.
func (s *session) tick(ctx context.Context, l *link) error {
	if err := s.interrupted(ctx, l); err != nil {
		return err
	}
	now := s.swarm.since()
	s.swarm.pace.lag.note(time.Duration(now - l.due()))
	if l.state != Established && now < l.openBy || l.state == Established && now < l.heard+Seconds(l.hold) {
		if l.state == Established && now >= l.said+Seconds(l.hold/3) {
			return s.keepalive(l)
		}
		return nil
	}
	// Whatever waits in the kernel was in time: this process may be the late
	// one.
	heard := l.heard
	if err := l.conn.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	if err := l.read(false, func(b []byte) error { return s.take(l, b) }); err != nil {
		return err
	}
	switch {
	case l.heard > heard && (l.state == Established || now < l.openBy):
		return nil
	case l.state == Established:
		return bgp.Errorf(bgp.CodeHoldTimer, 0, nil, "nothing heard for %s", l.hold)
	case l.opened:
		return bgp.Errorf(bgp.CodeHoldTimer, 0, nil, "no KEEPALIVE within %s", s.swarm.cfg.Profile.Connect)
	}
	return bgp.Errorf(bgp.CodeHoldTimer, 0, nil, "no OPEN within %s", s.swarm.cfg.Profile.Connect)
}

// keepalive sends a KEEPALIVE, unless routes are being sent: an UPDATE says as
// much, and the reader must not wait behind them.
func (s *session) keepalive(l *link) error {
	l.said = s.swarm.since()
	s.observe(l)
	s.mu.Lock()
	busy := l.busy
	s.mu.Unlock()
	if busy {
		return nil
	}
	return l.write(s.swarm.keepalive)
}

// handle is the session machine: RFC 4271 section 8.2.2 for a side that opened
// the connection and whose peer has one connection to it.
func (s *session) handle(l *link, m bgp.Message) error {
	switch {
	case m.Type == bgp.TypeNotification:
		n, err := bgp.DecodeNotification(m.Body)
		if err != nil {
			return err
		}
		n.Data = bytes.Clone(n.Data) // the buffer goes back
		return notified{n}
	case m.Type == bgp.TypeOpen && l.opened:
		return bgp.Errorf(bgp.CodeFSM, 0, nil, "second OPEN")
	case m.Type == bgp.TypeOpen:
		return s.open(l, m.Body)
	case m.Type == bgp.TypeKeepalive && l.opened:
		l.state = Established
		return nil
	case l.state != Established:
		return bgp.Errorf(bgp.CodeFSM, 0, nil, "%s before Established", m.Type)
	case m.Type == bgp.TypeUpdate:
		return l.count(m.Body)
	case m.Type == bgp.TypeRouteRefresh:
		return s.refresh(l, m.Body)
	}
	return nil
}

// open takes the peer's OPEN.
func (s *session) open(l *link, body []byte) error {
	o, err := bgp.DecodeOpen(body)
	if err != nil {
		return err
	}
	if want := s.swarm.cfg.PeerAS; want != 0 && o.AS != want {
		return bgp.Errorf(bgp.CodeOpen, bgp.SubBadPeerAS, nil, "peer is AS %d, not %d", o.AS, want)
	}
	l.opened = true
	l.hold = min(s.swarm.cfg.HoldTime, o.HoldTime)
	if _, ok := o.Capability(bgp.CapExtendedMessage); ok {
		l.limit = bgp.MaxExtendedMessage
	}
	l.negotiate(s.swarm.cfg.families(s.record.Source), o.Families())
	s.mu.Lock()
	s.record.answeredBy(o.Identifier)
	s.mu.Unlock()
	return s.keepalive(l)
}

func (l *link) negotiate(ours, theirs []bgp.Family) {
	both := func(f bgp.Family) bool { return slices.Contains(ours, f) && slices.Contains(theirs, f) }
	l.v4, l.v6 = both(bgp.IPv4Unicast), both(bgp.IPv6Unicast)
}

// count counts the routes of an UPDATE without building them.
func (l *link) count(body []byte) error {
	u, err := bgp.DecodeUpdate(body)
	if err != nil {
		return err
	}
	announced, withdrawn, err := u.Count()
	l.got.announced += uint64(announced)
	l.got.withdrawn += uint64(withdrawn)
	return err
}

// observe takes down what was received, and looks what was acknowledged.
func (s *session) observe(l *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.record.Announced += l.got.announced
	s.record.Withdrawn += l.got.withdrawn
	l.got = tally{}
	s.look(l)
}

// look asks the kernel whether the peer acknowledged bytes since the last look,
// and when; mu is held. Segments that acknowledge nothing new do not count: a
// peer whose own messages still arrive need not hear ours.
func (s *session) look(l *link) {
	bytes, ago, ok := l.acknowledged()
	now, before := s.swarm.since(), s.looked
	if !ok {
		return
	}
	s.looked = now
	if bytes == l.ackedBytes {
		return
	}
	l.ackedBytes = bytes
	acked := max(now-Seconds(ago), before, 1)
	if s.acked != 0 {
		s.quiet(acked - s.acked)
	}
	s.acked = acked
}

// quiet notes a silence; mu is held.
func (s *session) quiet(gap Seconds) {
	s.record.Silence = max(s.record.Silence, gap)
	s.lull = max(s.lull, gap)
}
