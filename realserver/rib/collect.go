package rib

// block is the number of prefixes whose memory is fetched together.
const block = 16

// warm computes the hashes of some prefixes and touches what applying them
// will read. The loads do not depend on one another, so that the processor
// waits for memory once and not once for each.
func (t *table[K]) warm(ops []Op[K], hashes *[block]uint64) {
	if len(t.index) == 0 {
		t.resize(16)
	}
	mask := uint32(len(t.index) - 1)
	var words [block]uint32
	for i := range ops {
		h := ops[i].Key.hash(t.s.seed)
		hashes[i] = h
		words[i] = t.index[uint32(h)&mask]
	}
	for i := range ops {
		if w := words[i]; w != 0 && w&^maxSlots == tag(hashes[i]) {
			t.warmed += t.entries.at(w&maxSlots - 1).more
		}
	}
}

// Change is a prefix whose best route changed since the last Collect.
type Change[K Key[K]] struct {
	Key  K
	Slot uint32
	// Attr is 0 when the prefix has no route any more; else it comes with one
	// reference.
	Attr AttrID
	// Peer has the best route now, Prev had it before; 0 for none.
	Peer, Prev PeerID
	// Seen tells that Peek may have shown a state between the two.
	Seen bool
	// Gone tells that the prefix has no routes and Slot is kept until Free.
	Gone bool
}

// Collect4 appends changed IPv4 prefixes of a domain, at most so many, each
// once with its latest state. more tells that there are further ones.
func (s *Shard) Collect4(d Domain, dst []Change[K4], most int) (changes []Change[K4], more bool) {
	if t := s.domain(d); t != nil {
		return t.v4.collect(dst, most)
	}
	return dst, false
}

// Collect6 does for IPv6 what Collect4 does for IPv4.
func (s *Shard) Collect6(d Domain, dst []Change[K6], most int) (changes []Change[K6], more bool) {
	if t := s.domain(d); t != nil {
		return t.v6.collect(dst, most)
	}
	return dst, false
}

func (s *Shard) domain(d Domain) *domain {
	if int(d) >= len(s.domains) {
		return nil
	}
	return s.domains[d]
}

func (t *table[K]) collect(dst []Change[K], most int) ([]Change[K], bool) {
	seen := t.forced.Load()
	n := min(most, len(t.pending)-t.collected)
	var old, now counted
	for _, p := range t.pending[t.collected : t.collected+n] {
		e := t.entries.at(p.slot)
		e.flags &^= flagPending
		same := e.attr == p.attr && e.peer == p.peer
		if p.attr != 0 && old.add(p.attr) {
			old.release(t.s.sets, p.attr)
		}
		if same && !seen {
			// If it is listed, whoever has the list frees it.
			if e.peer == 0 && e.flags&flagListed == 0 {
				t.drop(p.slot, e)
			}
			continue
		}
		c := Change[K]{Key: e.key, Slot: p.slot, Attr: e.attr, Peer: e.peer, Prev: p.peer, Seen: seen}
		if e.attr != 0 {
			if now.add(e.attr) {
				now.retain(t.s.sets, e.attr)
			}
		} else if e.flags&flagListed == 0 {
			e.flags |= flagListed
			c.Gone = true
		}
		dst = append(dst, c)
	}
	now.retain(t.s.sets, 0)
	old.release(t.s.sets, 0)
	t.collected += n
	if t.collected < len(t.pending) {
		return dst, true
	}
	t.forced.Store(false)
	t.collected = 0
	t.pending = t.pending[:0]
	if cap(t.pending) > 1<<16 {
		t.pending = nil
	}
	return dst, false
}

// counted sums up references to one set: neighbouring changes often share it.
type counted struct {
	id AttrID
	n  int
}

// add counts one; it tells when it was of another set, and what was counted
// has to be settled first.
func (c *counted) add(id AttrID) (settle bool) {
	if c.id == id {
		c.n++
		return false
	}
	return true
}

// retain settles what was counted, and begins with one of another set.
func (c *counted) retain(sets *Sets, next AttrID) {
	if c.n > 0 {
		sets.Retain(c.id, c.n)
	}
	*c = counted{next, 1}
}

// release does for references given back what retain does for those taken.
func (c *counted) release(sets *Sets, next AttrID) {
	if c.n > 0 {
		sets.Release(c.id, c.n)
	}
	*c = counted{next, 1}
}

// Free4 frees IPv4 prefixes that a Change told to be Gone, unless they have
// routes again.
func (s *Shard) Free4(d Domain, slots []uint32) {
	if t := s.domain(d); t != nil {
		t.v4.freeAll(slots)
	}
}

// Free6 does for IPv6 what Free4 does for IPv4.
func (s *Shard) Free6(d Domain, slots []uint32) {
	if t := s.domain(d); t != nil {
		t.v6.freeAll(slots)
	}
}

func (t *table[K]) freeAll(slots []uint32) {
	for _, slot := range slots {
		e := t.entries.at(slot)
		e.flags &^= flagListed
		if e.peer == 0 && e.flags&(flagPending|flagFree) == 0 {
			t.drop(slot, e)
		}
	}
}

// Slots4 is a bound for the slots of IPv4 prefixes in a domain.
func (s *Shard) Slots4(d Domain) uint32 {
	if t := s.domain(d); t != nil {
		return t.v4.entries.n
	}
	return 0
}

// Slots6 is a bound for the slots of IPv6 prefixes in a domain.
func (s *Shard) Slots6(d Domain) uint32 {
	if t := s.domain(d); t != nil {
		return t.v6.entries.n
	}
	return 0
}

// Peek4 appends the present state of some slots, as Changes without Prev; those
// with a route come with a reference. Slots not in use are left out. It is for
// readers: the lock held for reading is enough.
func (s *Shard) Peek4(d Domain, slots []uint32, dst []Change[K4]) []Change[K4] {
	if t := s.domain(d); t != nil {
		return t.v4.peek(slots, dst)
	}
	return dst
}

// Peek6 does for IPv6 what Peek4 does for IPv4.
func (s *Shard) Peek6(d Domain, slots []uint32, dst []Change[K6]) []Change[K6] {
	if t := s.domain(d); t != nil {
		return t.v6.peek(slots, dst)
	}
	return dst
}

func (t *table[K]) peek(slots []uint32, dst []Change[K]) []Change[K] {
	for _, slot := range slots {
		e := t.entries.at(slot)
		if e.flags&flagFree != 0 {
			continue
		}
		if e.flags&flagPending != 0 {
			t.forced.Store(true)
		}
		if e.attr != 0 {
			t.s.sets.Retain(e.attr, 1)
		}
		dst = append(dst, Change[K]{Key: e.key, Slot: slot, Attr: e.attr, Peer: e.peer})
	}
	return dst
}

// Best4 is the present state of one IPv4 prefix, as Peek4 shows it; without a
// set when there is none.
func (s *Shard) Best4(d Domain, k K4) Change[K4] {
	if t := s.domain(d); t != nil {
		return t.v4.bestOf(k)
	}
	return Change[K4]{Key: k}
}

// Best6 does for IPv6 what Best4 does for IPv4.
func (s *Shard) Best6(d Domain, k K6) Change[K6] {
	if t := s.domain(d); t != nil {
		return t.v6.bestOf(k)
	}
	return Change[K6]{Key: k}
}

func (t *table[K]) bestOf(k K) Change[K] {
	slot, e := t.find(k)
	if e == nil {
		return Change[K]{Key: k}
	}
	if e.flags&flagPending != 0 {
		t.forced.Store(true)
	}
	if e.attr != 0 {
		t.s.sets.Retain(e.attr, 1)
	}
	return Change[K]{Key: k, Slot: slot, Attr: e.attr, Peer: e.peer}
}
