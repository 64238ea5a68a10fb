package speaker

import (
	"errors"
	"time"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/realserver/bgp"
	"github.com/peerage/peerage/realserver/rib"
	"github.com/peerage/peerage/realserver/speaker/exchange"
)

// join makes the session one of the exchange's peers and Established, in this
// order: what others have is there to be sent at once. A session before this
// one of the same router has left by then.
func (s *session) join() error {
	n, a := s.n.Load(), s.agreed.Load()
	s.quota = rib.NewQuota(n.limits.routes())
	s.rec.turn.Lock()
	s.joined = true
	p, err := s.sp.exchange.Join(s.sp.work, exchange.PeerConfig{
		Name: s.rec.id(), Customer: n.customer, Pool: n.pool, Group: n.group, Client: n.group != "" && !n.nonClient,
		LocalID: n.routerID, PeerID: a.id, LocalAddr: s.rec.key.at().Addr(), PeerAddr: s.rec.key.peer, LocalAS: n.localAS, AS: a.as,
		Families: a.families, FourOctetAS: a.fourOctetAS, ExtendedMessage: a.extended, EnhancedRefresh: a.enhanced,
		Session: s.quota, CustomerQuota: s.customer.memory, Wake: s.wake,
	})
	if err != nil {
		return bgp.Errorf(bgp.CodeCease, bgp.SubOutOfResources, nil, "%v", err)
	}
	if err := s.rec.establish(s); err != nil {
		s.exchange.Store(p)
		return err
	}
	s.exchange.Store(p)
	s.catchUp(n)
	s.sp.established(s)
	s.begin() // wake may have been called when there was no peer to ask
	return nil
}

// catchUp gives the quota the limits of a configuration that came while the
// session joined. Who brings one looks for the quota after it has told of the
// limits: one of both sees the other.
func (s *session) catchUp(under *neighbor) {
	for n := s.n.Load(); n != under; under, n = n, s.n.Load() {
		s.quota.Set(n.limits.routes())
	}
}

// leave takes the session out of the exchange.
func (s *session) leave() {
	if !s.joined {
		return
	}
	// A process that ends drops all routes at once.
	if p := s.exchange.Load(); p != nil && s.sp.work.Err() == nil && !s.sp.closing.Load() {
		if err := p.Leave(s.sp.work); err != nil {
			s.sp.log.Warn("routes of a session were not dropped", "session", s.rec.id(), "error", err)
		}
	}
	s.rec.turn.Unlock()
}

// update handles an UPDATE.
func (s *session) update(body []byte) error {
	b := s.in.buf
	if b.owner != s {
		b.owner, b.decoder.Peer = s, s.decoderPeer()
	}
	r := &b.routes
	if err := b.decoder.Decode(body, r); err != nil {
		return err
	}
	if r.Action != bgp.None {
		if s.treated.Add(1) == 1 {
			s.sp.log.Warn("UPDATE with errors", "session", s.rec.id(), "action", r.Action, "reason", r.Reason)
		}
		s.customer.treated.Add(1)
	}
	if err := s.exchange.Load().Update(s.sp.work, r); err != nil {
		return overfull(err)
	}
	s.dirty = true
	if rate := s.n.Load().limits.updatesPerSecond; rate > 0 {
		return s.pace(r, rate)
	}
	return nil
}

// overfull is what a router is told that sends more than the process can keep.
func overfull(err error) error {
	if errors.Is(err, rib.ErrSetsFull) {
		return bgp.Errorf(bgp.CodeCease, bgp.SubOutOfResources, nil, "%v", err)
	}
	return err
}

func (s *session) decoderPeer() bgp.Peer {
	n, a := s.n.Load(), s.agreed.Load()
	return bgp.Peer{
		FourOctetAS: a.fourOctetAS, Internal: n.internal(a.as), LocalAS: n.localAS, AS: a.as,
		LocalID: n.routerID, LocalAddr: s.rec.key.at().Addr(), Families: a.families,
	}
}

// leastPause is worth the trouble of a pause.
const leastPause = 20 * time.Millisecond

// pace waits while the customer has more than its share of prefixes a second.
func (s *session) pace(r *bgp.Routes, rate int) error {
	prefixes := 0
	for i := range r.Parts {
		p := &r.Parts[i]
		for _, nlri := range [2][]byte{p.Withdrawn, p.Announced} {
			n, err := bgp.CountPrefixes(p.Family.AFI, nlri)
			if err != nil {
				return err
			}
			prefixes += n
		}
	}
	wait := s.customer.bucket.take(prefixes, rate, time.Now())
	if wait < leastPause {
		return nil // it counts with the next one
	}
	if err := s.flush(); err != nil {
		return err
	}
	s.customer.paused.Add(int64(wait))
	return s.pause(wait)
}

// flush hands over what came, before the session waits for more.
func (s *session) flush() error {
	if !s.dirty {
		return nil
	}
	s.dirty = false
	if err := s.exchange.Load().Flush(s.sp.work); err != nil {
		return overfull(err)
	}
	if !s.limited() {
		return nil
	}
	// The shards charge the routes a moment later: look again then.
	if s.active.CompareAndSwap(false, true) {
		s.sp.wheel.set(&s.timer, time.Now().Add(checkEvery))
	}
	return s.overLimit()
}

func (s *session) limited() bool {
	l := &s.n.Load().limits
	return l.maxPrefixes.Limit > 0 || l.memory > 0
}

// overLimit is why the session must end, if it must.
func (s *session) overLimit() error {
	n := s.n.Load()
	m := n.limits.maxPrefixes
	if m.Limit > 0 && s.exchange.Load() != nil { // it has joined, so it has a quota
		used := s.quota.Used()
		if used*100 >= int64(m.Limit)*int64(m.WarnAt) && s.warned.CompareAndSwap(false, true) {
			s.sp.log.Warn("session comes near its greatest number of routes", "session", s.rec.id(), "customer", n.customer, "routes", used, "limit", m.Limit)
		}
		if m.Action == api.MaxPrefixesClose && s.quota.Exceeded() {
			return bgp.Errorf(bgp.CodeCease, bgp.SubMaxPrefixes, nil, "more than %d routes", m.Limit)
		}
	}
	if n.limits.memory > 0 && s.customer.memory.Used() > n.limits.memory {
		return bgp.Errorf(bgp.CodeCease, bgp.SubOutOfResources, nil, "the routes of customer %s need more than %d MiB", n.customer, n.limits.memory>>20)
	}
	return nil
}

// widen raises the limit of routes, before the session is judged by its new
// limits. Routes that were dropped do not come again by themselves: they are
// asked for (RFC 2918).
func (s *session) widen(old, now limits) {
	wider := now.maxPrefixes.Limit == 0 || now.maxPrefixes.Limit > old.maxPrefixes.Limit
	if !wider || s.exchange.Load() == nil { // it has a quota once it has joined
		return
	}
	s.quota.Set(now.routes())
	if a := s.agreed.Load(); a.refresh && s.quota.Missing() {
		s.quota.Forgive()
		for _, f := range a.families.List() {
			s.send(bgp.TypeRouteRefresh, bgp.RouteRefresh{Family: f}.Append(nil))
		}
	}
}

// relimit takes limits that changed while the session lives.
func (s *session) relimit(now limits) {
	if s.exchange.Load() != nil {
		s.quota.Set(now.routes())
	}
	s.warned.Store(false)
	s.active.Store(true)
	s.sp.wheel.set(&s.timer, time.Now().Add(checkEvery))
}
