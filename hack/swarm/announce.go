package swarm

import (
	"context"
	"errors"
	"time"

	"github.com/peerage/peerage/realserver/bgp"
)

// errClosing ends a sender between two writes.
var errClosing = errors.New("the connection is being closed")

// transmit runs job beside the goroutine that reads: a peer that is slow to
// take routes must still be heard. It does nothing, and says so, when the
// session is not up or sends already.
func (s *session) transmit(job func(l *link, b []byte) error) bool {
	s.mu.Lock()
	l := s.link
	if l == nil || l.closing || l.busy || s.record.State != Established {
		s.mu.Unlock()
		return false
	}
	l.busy = true
	l.sender.Add(1)
	s.mu.Unlock()
	go func() {
		defer l.sender.Done()
		b := buffers.Get().(*[bgp.MaxExtendedMessage]byte)
		err := job(l, b[:0])
		buffers.Put(b)
		s.mu.Lock()
		defer s.mu.Unlock()
		l.busy = false
		if err != nil && !errors.Is(err, errClosing) {
			l.failed = err
			_ = l.conn.SetReadDeadline(time.Unix(1, 0)) // tells the reader
		}
	}()
	return true
}

// send writes whole messages for a sender.
func (s *session) send(l *link, b []byte) error {
	s.mu.Lock()
	if l.closing {
		s.mu.Unlock()
		return errClosing
	}
	err := l.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return l.push(b)
}

// sendChunks sends chunks as the session would.
func (s *session) sendChunks(l *link, chunks []chunk, b []byte) error {
	for i := range chunks {
		if err := s.send(l, chunks[i].render(b, &s.record)); err != nil {
			return err
		}
	}
	return nil
}

// announce sends the table in the families of the session, each with its
// End-of-RIB marker.
func (s *session) announce(l *link) {
	table := s.swarm.cfg.Table
	s.transmit(func(_ *link, b []byte) error {
		if l.v4 {
			if err := s.sendFamily(l, table.family(bgp.IPv4Unicast), bgp.IPv4Unicast, b); err != nil {
				return err
			}
		}
		if l.v6 {
			return s.sendFamily(l, table.family(bgp.IPv6Unicast), bgp.IPv6Unicast, b)
		}
		return nil
	})
}

func (s *session) sendFamily(l *link, part *tableFamily, f bgp.Family, b []byte) error {
	if err := s.sendChunks(l, part.chunks, b); err != nil {
		return err
	}
	return s.send(l, bgp.AppendEndOfRIB(b[:0], f))
}

// refresh answers a ROUTE-REFRESH (RFC 2918) with the table again. One that
// arrives while the table is being sent is answered by that.
func (s *session) refresh(l *link, body []byte) error {
	r, err := bgp.DecodeRouteRefresh(body)
	if err == nil && r.Subtype == bgp.RefreshRequest {
		s.announce(l)
	}
	return err
}

// churn withdraws sets of routes and announces them again at the configured
// rate, one session after the other, until ctx ends.
func (s *Swarm) churn(ctx context.Context) {
	if s.cfg.Churn == 0 {
		return
	}
	const churnTick = 10 * time.Millisecond
	const patience = 256 // sessions that are down or busy, in one tick
	ticker := time.NewTicker(churnTick)
	defer ticker.Stop()
	owed, last, turn := 0.0, time.Now(), 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		elapsed := time.Since(last)
		last = last.Add(elapsed)
		owed = min(owed+float64(s.cfg.Churn)*elapsed.Seconds(), float64(s.cfg.Churn))
		for tries := 0; owed >= 1 && tries < patience; turn++ {
			n := s.sessions[turn%len(s.sessions)].churn()
			if n == 0 {
				tries++
			}
			owed -= float64(n)
		}
	}
}

// churn announces again the set of routes that the session withdrew last, and
// withdraws the next one. It returns how many routes that were; 0 if the
// session is down or busy.
func (s *session) churn() int {
	steps := s.swarm.cfg.Table.of(s.record.Source).steps
	if len(steps) == 0 {
		return 0
	}
	s.mu.Lock()
	last := s.churned - 1
	s.mu.Unlock()
	next := (last + 1) % len(steps)
	sent := s.transmit(func(l *link, b []byte) error {
		if s.record.Source.Is4() && !l.v4 || !s.record.Source.Is4() && !l.v6 {
			return nil
		}
		if last >= 0 {
			if err := s.sendChunks(l, []chunk{steps[last].announce}, b); err != nil {
				return err
			}
		}
		return s.sendChunks(l, []chunk{steps[next].withdraw}, b)
	})
	if !sent {
		s.swarm.skipped.Add(1)
		return 0
	}
	s.mu.Lock()
	s.churned = next + 1
	s.mu.Unlock()
	if last < 0 {
		return steps[next].prefixes
	}
	return steps[next].prefixes + steps[last].prefixes
}
