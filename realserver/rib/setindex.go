package rib

// setIndex finds the number of a set by 32 bits of its hash: linear probing,
// in the order of the hashes, so that growing is one pass over both tables.
// The hash stands beside the number: comparing sets costs a cache miss, and
// it happens only when the hashes are equal.
type setIndex struct {
	entries []uint64 // hash<<32 | number
	n       int
}

func (x *setIndex) slot(h uint32) int {
	return int(uint64(h) * uint64(len(x.entries)) >> 32)
}

func (x *setIndex) id(at int) AttrID { return AttrID(x.entries[at]) }

// first finds the first entry with a hash, next the one after it.
func (x *setIndex) first(h uint32) (int, bool) {
	if len(x.entries) == 0 {
		return 0, false
	}
	return x.scan(x.slot(h), h)
}

func (x *setIndex) next(at int, h uint32) (int, bool) { return x.scan(x.after(at), h) }

func (x *setIndex) after(at int) int {
	if at++; at == len(x.entries) {
		return 0
	}
	return at
}

func (x *setIndex) scan(at int, h uint32) (int, bool) {
	for {
		e := x.entries[at]
		if e == 0 {
			return 0, false
		}
		if uint32(e>>32) == h {
			return at, true
		}
		at = x.after(at)
	}
}

func (x *setIndex) insert(h uint32, id AttrID) {
	if x.n*8 >= len(x.entries)*7 {
		x.resize(max(16, len(x.entries)+len(x.entries)/4))
	}
	x.put(uint64(h)<<32 | uint64(id))
	x.n++
}

func (x *setIndex) put(e uint64) {
	at := x.slot(uint32(e >> 32))
	for x.entries[at] != 0 {
		at = x.after(at)
	}
	x.entries[at] = e
}

func (x *setIndex) resize(n int) {
	old := x.entries
	x.entries = make([]uint64, n)
	for _, e := range old {
		if e != 0 {
			x.put(e)
		}
	}
}

func (x *setIndex) remove(h uint32, id AttrID) {
	at, ok := x.first(h)
	for ; ok && x.id(at) != id; at, ok = x.next(at, h) {
	}
	if !ok {
		return
	}
	// Move back what would not be found past the gap.
	for i := x.after(at); x.entries[i] != 0; i = x.after(i) {
		home := x.slot(uint32(x.entries[i] >> 32))
		if distance(home, i, len(x.entries)) >= distance(at, i, len(x.entries)) {
			x.entries[at] = x.entries[i]
			at = i
		}
	}
	x.entries[at] = 0
	x.n--
	if len(x.entries) > 1024 && x.n*4 < len(x.entries) {
		x.resize(len(x.entries) / 2)
	}
}

// distance is the number of steps from one place to another, around the end.
func distance(from, to, n int) int {
	if to < from {
		return to - from + n
	}
	return to - from
}
