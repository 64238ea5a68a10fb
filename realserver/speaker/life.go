package speaker

import (
	"cmp"
	"slices"
	"time"
)

// maxEnded bounds what is kept of routers without a connection.
const maxEnded = 10_000

// ending is how sessions of a customer end, for the counters.
type ending struct{ customer, cause string }

// established notes that a session came up.
func (s *Speaker) established(c *session) {
	s.mu.Lock()
	if c.pendingHere {
		c.pendingHere = false
		s.unpend(c.rec.key.peer)
	}
	s.mu.Unlock()
	c.customer.ups.Add(1)
	n, a := c.n.Load(), c.agreed.Load()
	if s.log.IsInfo() {
		// Strings: thousands may come up at once, and everything else is
		// formatted by reflection.
		s.log.Info("session is up", "pool", n.pool, "customer", n.customer, "router", c.rec.key.peer.String(), "vip", c.rec.key.at().Addr().String(),
			"as", a.as, "hold time", a.hold.String(), "families", a.families.String())
	}
}

// ended notes that a session ended.
func (s *Speaker) ended(c *session, before phase, why error) {
	n := c.n.Load()
	if before == established {
		c.customer.downs.Add(1)
		s.log.Info("session is down", "pool", n.pool, "customer", n.customer, "router", c.rec.key.peer, "vip", c.rec.key.at().Addr(), "reason", why)
	} else {
		s.log.Debug("connection ended before it was a session", "pool", n.pool, "customer", n.customer, "router", c.rec.key.peer,
			"vip", c.rec.key.at().Addr(), "state", before, "reason", why)
	}
	c.rec.remove(c, before, why)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.customers[n.customer] != nil {
		s.ends[ending{n.customer, cause(why)}]++
	}
	// A router that may not come again is forgotten.
	if now := s.table.find(c.rec.key); now == nil || now.pool != c.rec.key.pool() {
		c.rec.mu.Lock()
		if len(c.rec.conns) == 0 {
			delete(s.records, c.rec.key)
		}
		c.rec.mu.Unlock()
	}
}

// closed notes that a connection is gone for good: until then it counts.
func (s *Speaker) closed(c *session) {
	s.mu.Lock()
	pending := c.pendingHere
	s.mu.Unlock()
	s.depart(c.rec.key.peer, pending)
}

// evict forgets those routers that went first, when there are too many
// without a connection. s.mu is held.
func (s *Speaker) evict() {
	if len(s.records) <= maxEnded+s.conns {
		return
	}
	type old struct {
		*record
		at time.Time
	}
	var all []old
	for _, r := range s.records {
		r.mu.Lock()
		if len(r.conns) == 0 && !r.lastErrorAt.IsZero() {
			all = append(all, old{r, r.lastErrorAt})
		}
		r.mu.Unlock()
	}
	slices.SortFunc(all, func(a, b old) int { return cmp.Or(a.at.Compare(b.at), a.key.peer.Compare(b.key.peer)) })
	for _, r := range all[:min(len(all), maxEnded/10)] {
		delete(s.records, r.key)
	}
}
