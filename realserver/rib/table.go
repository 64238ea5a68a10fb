package rib

import "sync/atomic"

// entry is a prefix with one route in it; others are in the chain. In a
// reflect domain the one in it is the best.
type entry[K Key[K]] struct {
	key   K
	attr  AttrID
	more  chain
	hint  Hint   // of the first route's rank, in a reflect domain
	peer  PeerID // 0: no routes; the entry waits to be freed
	flags uint8
}

const (
	flagPending = 1 << iota // the best has changed since Collect
	flagListed              // Collect told that the prefix has no routes any more
	flagFree                // not in use
)

// table is the prefixes of one family in one domain of a shard.
type table[K Key[K]] struct {
	s    *Shard
	best bool // reflect: the best is kept, and its changes are noted

	index   []uint32 // tag<<tagShift | slot+1
	entries arena[entry[K]]
	dirs    directories // of a table without best routes
	live    int         // entries in use
	free    uint32      // the first free slot, plus one; linked through more
	lengths [129]int32
	used    usedLengths // of which there are some

	pending   []pending
	collected int // of pending, by a Collect that is not through
	warmed    chain
	// meds is set once a route had a MED: then the order of routes is not
	// total, and more must be compared.
	meds bool
	// forced makes Collect tell of prefixes that are again what they were:
	// somebody saw them in between.
	forced atomic.Bool
}

// pending is a prefix whose best changed: what it was at the last Collect.
type pending struct {
	slot uint32
	attr AttrID // with a reference
	peer PeerID
}

// Part of an index word is part of the hash, so that other prefixes on the
// way are seldom looked at.
const (
	tagShift = 26
	maxSlots = 1<<tagShift - 1
)

func tag(hash uint64) uint32 { return uint32(hash>>58) << tagShift }

func (t *table[K]) find(k K) (uint32, *entry[K]) {
	if len(t.index) == 0 {
		return 0, nil
	}
	return t.findHash(k, k.hash(t.s.seed))
}

func (t *table[K]) findHash(k K, hash uint64) (uint32, *entry[K]) {
	mask := uint32(len(t.index) - 1)
	want := tag(hash)
	for i := uint32(hash) & mask; t.index[i] != 0; i = (i + 1) & mask {
		if t.index[i]&^maxSlots != want {
			continue
		}
		slot := t.index[i]&maxSlots - 1
		if e := t.entries.at(slot); e.key == k {
			return slot, e
		}
	}
	return 0, nil
}

// add adds a prefix that is not there. It fails when the shard is full.
func (t *table[K]) add(k K, hash uint64) (uint32, *entry[K]) {
	if (t.live+1)*4 > len(t.index)*3 {
		t.resize(max(16, 2*len(t.index)))
	}
	var slot uint32
	if t.free != 0 {
		slot = t.free - 1
		t.free = uint32(t.entries.at(slot).more)
	} else {
		if t.entries.n == maxSlots-1 {
			return 0, nil
		}
		slot = t.entries.add()
	}
	e := t.entries.at(slot)
	*e = entry[K]{key: k}
	t.put(hash, slot)
	t.live++
	t.count(k.length(), 1)
	return slot, e
}

// count counts prefixes by length.
func (t *table[K]) count(length int, n int32) {
	t.lengths[length] += n
	if word, bit := &t.used[length>>6], uint64(1)<<(length&63); t.lengths[length] > 0 {
		*word |= bit
	} else {
		*word &^= bit
	}
	var k K
	c := t.s.shortCount(k)
	if length >= len(c) {
		return
	}
	c[length] += n
	if bit := uint32(1) << length; c[length] > 0 {
		t.s.short(k).Or(bit)
	} else {
		t.s.short(k).And(^bit)
	}
}

func (t *table[K]) put(hash uint64, slot uint32) {
	mask := uint32(len(t.index) - 1)
	i := uint32(hash) & mask
	for t.index[i] != 0 {
		i = (i + 1) & mask
	}
	t.index[i] = tag(hash) | (slot + 1)
}

func (t *table[K]) resize(n int) {
	t.index = make([]uint32, n)
	for slot := range t.entries.n {
		if e := t.entries.at(slot); e.flags&flagFree == 0 {
			t.put(e.key.hash(t.s.seed), slot)
		}
	}
}

// drop frees an entry without routes.
func (t *table[K]) drop(slot uint32, e *entry[K]) {
	t.count(e.key.length(), -1)
	t.live--
	t.unindex(slot, e.key.hash(t.s.seed))
	*e = entry[K]{flags: flagFree, more: chain(t.free)}
	t.free = slot + 1
	if len(t.index) > 1024 && t.live*8 < len(t.index) {
		t.resize(len(t.index) / 2)
	}
}

// unindex removes a word and moves back what would not be found past the gap.
func (t *table[K]) unindex(slot uint32, hash uint64) {
	mask := uint32(len(t.index) - 1)
	at := uint32(hash) & mask
	for t.index[at]&maxSlots != slot+1 {
		at = (at + 1) & mask
	}
	for i := (at + 1) & mask; t.index[i] != 0; i = (i + 1) & mask {
		home := uint32(t.entries.at(t.index[i]&maxSlots-1).key.hash(t.s.seed)) & mask
		if (i-home)&mask >= (i-at)&mask {
			t.index[at] = t.index[i]
			at = i
		}
	}
	t.index[at] = 0
}

// bytes is the memory of the table without the chunks of paths.
func (t *table[K]) bytes() int64 {
	n := 0
	for _, c := range t.entries.chunks {
		n += len(c)
	}
	var k K
	size := int64(24)
	if _, ok := any(k).(K6); ok {
		size = 40
	}
	return int64(n)*size + 4*int64(cap(t.index)) + 12*int64(cap(t.pending)) + t.dirs.bytes()
}
