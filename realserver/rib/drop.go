package rib

// Clear withdraws routes of a peer, at most so many, and tells whether there
// are more, and whether the domain became dirty.
func (s *Shard) Clear(id PeerID, most int) (more, dirty bool) {
	p := s.peer(id)
	if p == nil {
		return false, false
	}
	d := s.domains[p.Domain]
	if p.v4.n > 0 {
		dirty = clearSome(s, &d.v4, p, &p.v4, &p.v4.slots, most)
	} else if p.v6.n > 0 {
		dirty = clearSome(s, &d.v6, p, &p.v6, &p.v6.slots, most)
	}
	if p.v4.n+p.v6.n > 0 {
		return true, dirty
	}
	for _, r := range []*routesOf{&p.v4, &p.v6} {
		r.slots.drop(&s.bits)
		r.fresh(&s.bits)
	}
	return false, dirty
}

// clearSome removes routes of which slots are in a set, which is the peer's or
// shrinks with it.
func clearSome[K Key[K]](s *Shard, t *table[K], p *peer, r *routesOf, set *bitmap, most int) (dirty bool) {
	clean := len(t.pending) == 0
	a := newApplier(s, t, p, r)
	s.slots, _ = set.from(&s.bits, 0, s.slots[:0], most)
	for _, slot := range s.slots {
		a.remove(slot, t.entries.at(slot))
	}
	a.end()
	return clean && len(t.pending) > 0
}

// RefreshBegin marks a peer's routes of a family as stale.
func (s *Shard) RefreshBegin(id PeerID, v6 bool) {
	r := s.routesOf(id, v6)
	if r == nil {
		return
	}
	r.fresh(&s.bits)
	stale := r.slots.copy(&s.bits)
	r.stale = &stale
}

// RefreshEnd withdraws stale routes, at most so many, and tells whether there
// are more, and whether the domain became dirty.
func (s *Shard) RefreshEnd(id PeerID, v6 bool, most int) (more, dirty bool) {
	r := s.routesOf(id, v6)
	if r == nil || r.stale == nil {
		return false, false
	}
	p := s.peers[id]
	d := s.domains[p.Domain]
	if v6 {
		dirty = clearSome(s, &d.v6, p, r, r.stale, most)
	} else {
		dirty = clearSome(s, &d.v4, p, r, r.stale, most)
	}
	if len(s.slots) == most {
		return true, dirty
	}
	r.fresh(&s.bits)
	return false, dirty
}

func (s *Shard) routesOf(id PeerID, v6 bool) *routesOf {
	p := s.peer(id)
	switch {
	case p == nil:
		return nil
	case v6:
		return &p.v6
	}
	return &p.v4
}
