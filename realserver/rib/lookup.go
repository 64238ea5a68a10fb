package rib

import (
	"math/bits"
	"net/netip"
)

// Found is a route. Its set is valid as long as the shard's lock is held.
type Found[K Key[K]] struct {
	Key  K
	Attr AttrID
	Peer PeerID
	// Best: it is the first of its reflect domain.
	Best bool
}

// Wanted are the routes to look for: those of one peer, or of all of a domain
// that Filter takes.
type Wanted struct {
	Domain Domain
	Peer   PeerID
	Filter func(PeerID) bool // nil takes all
}

// Lookup4 appends the routes with the longest prefix that holds an address,
// of lengths from..to, in this shard. addr is a /32.
func (s *Shard) Lookup4(w Wanted, addr K4, from, to int, dst []Found[K4]) []Found[K4] {
	if d := s.domain(w.Domain); d != nil {
		return d.v4.lookup(w, addr, from, to, dst, func(p *peer) *routesOf { return &p.v4 })
	}
	return dst
}

// Lookup6 does for IPv6 what Lookup4 does for IPv4. addr is a /128.
func (s *Shard) Lookup6(w Wanted, addr K6, from, to int, dst []Found[K6]) []Found[K6] {
	if d := s.domain(w.Domain); d != nil {
		return d.v6.lookup(w, addr, from, to, dst, func(p *peer) *routesOf { return &p.v6 })
	}
	return dst
}

func (t *table[K]) lookup(w Wanted, addr K, from, to int, dst []Found[K], of func(*peer) *routesOf) []Found[K] {
	if t.live == 0 {
		return dst
	}
	var r *routesOf
	if w.Peer != 0 {
		p := t.s.peer(w.Peer)
		if p == nil {
			return dst
		}
		r = of(p)
	}
	for to >= from {
		var p probes
		p, to = addr.probe(&t.used, t.index, t.s.seed, from, to)
		for i := range p.n {
			if p.words[i] == 0 {
				continue
			}
			slot, e, row := t.probed(&p, i, addr, w.Peer)
			if e == nil || e.peer == 0 {
				continue
			}
			before := len(dst)
			if r == nil {
				dst = t.all(w, slot, e, dst)
			} else if r.slots.has(&t.s.bits, slot) {
				dst = append(dst, t.one(slot, e, w.Peer, row))
			}
			if len(dst) > before {
				return dst
			}
		}
	}
	return dst
}

// probes are looks for the prefixes of an address.
type probes struct {
	n       int
	hashes  [block]uint64
	words   [block]uint32 // the first of the index
	lengths [block]uint8
}

// read reads the index for all probes, as close together as can be: no look
// waits for another one.
func (p *probes) read(index []uint32) {
	mask := uint32(len(index) - 1)
	for i, h := range p.hashes[:p.n] {
		p.words[i] = index[uint32(h)&mask]
	}
}

// usedLengths is a set of prefix lengths.
type usedLengths [129/64 + 1]uint64

// longest is the greatest length from..to in the set, or -1.
func (u *usedLengths) longest(from, to int) int {
	for word := to >> 6; to >= from; word-- {
		if m := u[word] & (^uint64(0) >> (63 - to&63)); m != 0 {
			if n := word<<6 + bits.Len64(m) - 1; n >= from {
				return n
			}
			return -1
		}
		to = word<<6 - 1
	}
	return -1
}

// probed is the prefix that probe i looks for, if there is one, with the row
// of a peer in its directory.
func (t *table[K]) probed(p *probes, i int, addr K, id PeerID) (uint32, *entry[K], uint32) {
	hash := p.hashes[i]
	mask, want := uint32(len(t.index)-1), tag(hash)
	for at := uint32(hash) & mask; t.index[at] != 0; at = (at + 1) & mask {
		if t.index[at]&^maxSlots != want {
			continue
		}
		slot := t.index[at]&maxSlots - 1
		// Not after the key was compared: both reads wait for memory then.
		row := t.dirs.at(slot).row(id)
		if e := t.entries.at(slot); e.key == addr.clip(int(p.lengths[i])) {
			return slot, e, row
		}
	}
	return 0, nil, 0
}

// one is a peer's route, which is there.
func (t *table[K]) one(slot uint32, e *entry[K], id PeerID, row uint32) Found[K] {
	if e.peer == id {
		return Found[K]{e.key, e.attr, id, t.best}
	}
	at := t.spotIn(t.dirs.at(slot), row, e.more, id)
	return Found[K]{e.key, at.get().attr, id, false}
}

func (t *table[K]) all(w Wanted, slot uint32, e *entry[K], dst []Found[K]) []Found[K] {
	add := func(v path, best bool) {
		if w.Filter == nil || w.Filter(v.peer) {
			dst = append(dst, Found[K]{e.key, v.attr, v.peer, best})
		}
	}
	add(path{e.attr, e.peer}, t.best)
	chunk := func(c chain) {
		n := capacity[c.class()]
		words := t.s.paths.words(c)
		for i := range n {
			if v := pathAt(words, n, i); v.peer != 0 {
				add(v, false)
			}
		}
	}
	d := t.dirs.at(slot)
	last := d.last()
	for c := e.more; c != last; c = t.s.paths.next(c) {
		chunk(c)
	}
	for i := range d.n() {
		chunk(d.chunks[i])
	}
	return dst
}

// Walk4 appends a peer's IPv4 routes from a slot on, at most so many. next is
// the slot to go on with, 0 at the end. The lock may be given up in between.
func (s *Shard) Walk4(id PeerID, slot uint32, most int, dst []Found[K4]) (found []Found[K4], next uint32) {
	p := s.peer(id)
	if p == nil {
		return dst, 0
	}
	return walk(s, &s.domains[p.Domain].v4, &p.v4, id, slot, most, dst)
}

// Walk6 does for IPv6 what Walk4 does for IPv4.
func (s *Shard) Walk6(id PeerID, slot uint32, most int, dst []Found[K6]) (found []Found[K6], next uint32) {
	p := s.peer(id)
	if p == nil {
		return dst, 0
	}
	return walk(s, &s.domains[p.Domain].v6, &p.v6, id, slot, most, dst)
}

func walk[K Key[K]](s *Shard, t *table[K], r *routesOf, id PeerID, slot uint32, most int, dst []Found[K]) ([]Found[K], uint32) {
	slots := make([]uint32, 0, min(int64(most), r.n))
	slots, next := r.slots.from(&s.bits, slot, slots, most)
	for _, slot := range slots {
		dst = append(dst, t.walked(slot, id))
	}
	return dst, next
}

func (t *table[K]) walked(slot uint32, id PeerID) Found[K] {
	return t.one(slot, t.entries.at(slot), id, t.dirs.at(slot).row(id))
}

// Lookup4 finds the routes with the longest prefix that holds an IPv4 address
// among the shards of a layout, and hands them to found while the shard's lock
// is held for reading. It tells whether there were any. They are in space if
// it is large enough.
func (l Layout) Lookup4(shards []*Shard, w Wanted, addr netip.Addr, space []Found[K4], found func(*Shard, []Found[K4])) bool {
	k := Key4(netip.PrefixFrom(addr, 32))
	// All longer prefixes are in one shard, each shorter one is anywhere.
	if shards[l.Of4(k)].find4(w, k, home4, 32, space, found) {
		return true
	}
	for length := home4 - 1; length >= 0; length-- {
		s := shards[l.Of4(k.clip(length))]
		if s.short4.Load()>>length&1 != 0 && s.find4(w, k, length, length, space, found) {
			return true
		}
	}
	return false
}

func (s *Shard) find4(w Wanted, k K4, from, to int, space []Found[K4], found func(*Shard, []Found[K4])) bool {
	s.RLock()
	defer s.RUnlock()
	f := s.Lookup4(w, k, from, to, space[:0])
	if len(f) > 0 {
		found(s, f)
	}
	return len(f) > 0
}

// Lookup6 does for IPv6 what Lookup4 does for IPv4.
func (l Layout) Lookup6(shards []*Shard, w Wanted, addr netip.Addr, space []Found[K6], found func(*Shard, []Found[K6])) bool {
	k := Key6(netip.PrefixFrom(addr, 128))
	if shards[l.Of6(k)].find6(w, k, home6, 128, space, found) {
		return true
	}
	for length := home6 - 1; length >= 0; length-- {
		s := shards[l.Of6(k.clip(length))]
		if s.short6.Load()>>length&1 != 0 && s.find6(w, k, length, length, space, found) {
			return true
		}
	}
	return false
}

func (s *Shard) find6(w Wanted, k K6, from, to int, space []Found[K6], found func(*Shard, []Found[K6])) bool {
	s.RLock()
	defer s.RUnlock()
	f := s.Lookup6(w, k, from, to, space[:0])
	if len(f) > 0 {
		found(s, f)
	}
	return len(f) > 0
}
