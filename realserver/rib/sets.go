package rib

import (
	"encoding/binary"
	"errors"
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"
)

// Sets keeps each set of attributes once, for as long as somebody holds a
// reference. The bytes of a set never change, and they stay where they are
// while a reference is held: no lock is needed to read them.
//
// A set is a record in a page of records of about one size; its number is
// that of the page and its place in it. A page whose records are all gone
// serves another size.
type Sets struct {
	seed    maphash.Seed
	stripes [1 << stripeBits]stripe
	pages   pageTable
}

const (
	stripeBits = 4
	slotBits   = 10
	pageBytes  = 8 << 10
	maxPages   = 1 << (32 - slotBits)
	// MaxSet bounds the bytes of one set: attributes of a 64 KiB message and a
	// next hop.
	MaxSet = 65535
)

// ErrSetsFull is returned when there is no number left for a set.
var ErrSetsFull = errors.New("intern attributes: all 32 GiB of pages are in use; lower the customers' memory limits")

// NewSets makes an empty table.
func NewSets() *Sets {
	t := &Sets{seed: maphash.MakeSeed()}
	for i := range t.stripes {
		t.stripes[i].number = uint8(i)
	}
	// Page 0 is never used: a number of 0 is no set.
	t.pages.put(&page{})
	return t
}

// stripe is one lock's share of the sets, by their hash.
type stripe struct {
	mu     sync.Mutex // guards the fields below
	index  setIndex
	slabs  [2]slab // without ranks, with ranks
	bytes  int64
	number uint8
}

// page holds records of one size: length, 2 bytes, and the set.
type page struct {
	data   []byte
	refs   []atomic.Uint32
	ranks  []Rank // nil for sets that nobody chooses between
	number uint32
	size   uint32 // of a record
	live   uint32
	fresh  uint32 // records that were never used start here
	free   uint32 // the first free record, plus one; linked through the data
	at     int    // in slab.open; -1 when it is full
	class  uint8
	stripe uint8
}

func (p *page) record(slot uint32) []byte {
	r := p.data[slot*p.size : (slot+1)*p.size]
	n := 2 + int(binary.LittleEndian.Uint16(r))
	return r[2:n:n]
}

// Intern finds or adds a set and takes refs references to it. With ranked the
// rank is kept too: sets with and without are different ones.
func (t *Sets) Intern(set []byte, rank *Rank, ranked bool, refs int) (AttrID, error) {
	if len(set) > MaxSet {
		return 0, errors.New("intern attributes: the set is longer than a message can be")
	}
	h := t.hash(set, ranked)
	s := &t.stripes[h>>(64-stripeBits)]
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.index.first(uint32(h))
	for ; ok; at, ok = s.index.next(at, uint32(h)) {
		id := s.index.id(at)
		p, slot := t.pages.of(id)
		if string(p.record(slot)) == string(set) && (p.ranks != nil) == ranked {
			p.refs[slot].Add(uint32(refs))
			return id, nil
		}
	}
	id, err := s.add(t, set, rank, ranked)
	if err != nil {
		return 0, err
	}
	p, slot := t.pages.of(id)
	p.refs[slot].Store(uint32(refs))
	s.index.insert(uint32(h), id)
	return id, nil
}

func (t *Sets) hash(set []byte, ranked bool) uint64 {
	h := maphash.Bytes(t.seed, set)
	if ranked {
		h = bits.RotateLeft64(h, 17)
	}
	return h
}

// Retain takes n more references; the caller holds one or knows who does.
func (t *Sets) Retain(id AttrID, n int) {
	p, slot := t.pages.of(id)
	p.refs[slot].Add(uint32(n))
}

// Release gives n references back. The last one frees the set.
func (t *Sets) Release(id AttrID, n int) {
	p, slot := t.pages.of(id)
	if p.refs[slot].Add(-uint32(n)) == 0 {
		t.collect(p, slot, id)
	}
}

// dead marks a free record, so that of two who saw a count of zero only one
// frees it: between them the set may have been found again and given back.
const dead = ^uint32(0)

func (t *Sets) collect(p *page, slot uint32, id AttrID) {
	s := &t.stripes[p.stripe]
	s.mu.Lock()
	defer s.mu.Unlock()
	if !p.refs[slot].CompareAndSwap(0, dead) {
		return
	}
	set := p.record(slot)
	h := t.hash(set, p.ranks != nil)
	s.index.remove(uint32(h), id)
	s.remove(t, p, slot)
}

// Bytes is the set, for as long as a reference is held. It must not be
// changed.
func (t *Sets) Bytes(id AttrID) []byte {
	p, slot := t.pages.of(id)
	return p.record(slot)
}

// Len is the length of the set.
func (t *Sets) Len(id AttrID) int {
	p, slot := t.pages.of(id)
	return int(binary.LittleEndian.Uint16(p.data[slot*p.size:]))
}

// rank is the rank of a set that was interned with one.
func (t *Sets) rank(id AttrID) *Rank {
	p, slot := t.pages.of(id)
	return &p.ranks[slot]
}

// Stats counts the sets and the bytes that they take, overhead included.
func (t *Sets) Stats() (sets, size int64) {
	for i := range t.stripes {
		s := &t.stripes[i]
		s.mu.Lock()
		sets += int64(s.index.n)
		size += s.bytes + 8*int64(len(s.index.entries))
		s.mu.Unlock()
	}
	return sets, size
}
