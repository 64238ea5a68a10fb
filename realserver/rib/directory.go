package rib

import (
	"encoding/binary"
	"math/bits"
)

// directory lists the full chunks of a prefix with many routes, the oldest
// first, and says which may have a peer's route. A chain alone is read link by
// link, each of them a wait for memory.
//
// It need not list all full chunks, but those that it does are the end of the
// chain. The first chunk, which changes most, is never listed. A nil one lists
// none.
type directory struct {
	chunks [10]chain
	// rows has, by a part of the peer's number, which chunks may have its path:
	// 16 rows of 10 bits, each within two bytes.
	rows [20]byte
	_    uint32 // fills the cache line
}

// row is the bits of the chunks that may have a peer's path.
func (d *directory) row(id PeerID) uint32 {
	if d == nil {
		return 0
	}
	at := int(id&15) * 10
	return uint32(binary.LittleEndian.Uint16(d.rows[at>>3:])) >> (at & 7) & 0x3ff
}

// mark notes that some chunks may have a peer's path.
func (d *directory) mark(id PeerID, chunks uint16) {
	at := int(id&15) * 10
	b := d.rows[at>>3:]
	binary.LittleEndian.PutUint16(b, binary.LittleEndian.Uint16(b)|chunks<<(at&7))
}

// unmark notes that no peer's path is in a chunk.
func (d *directory) unmark(i int) {
	for at := i; at < 8*len(d.rows); at += 10 {
		d.rows[at>>3] &^= 1 << (at & 7)
	}
}

// directories are those of a table, by slot. Slots that lie together share a
// page, which is there when one of them has many routes.
type directories struct {
	pages [][]directory
	made  int // pages
}

const (
	dirShift = 6
	// dirLeast is how many full chunks are worth a directory.
	dirLeast = 3
)

// at is a slot's directory, or nil.
func (d *directories) at(slot uint32) *directory {
	if i := int(slot >> dirShift); i < len(d.pages) && d.pages[i] != nil {
		return &d.pages[i][slot&(1<<dirShift-1)]
	}
	return nil
}

func (d *directories) make(slot uint32) *directory {
	i := int(slot >> dirShift)
	for i >= len(d.pages) {
		d.pages = append(d.pages, nil)
	}
	d.pages[i] = make([]directory, 1<<dirShift)
	d.made++
	return d.at(slot)
}

// bytes is the memory of all directories.
func (d *directories) bytes() int64 { return int64(d.made) << (dirShift + 6) }

// n is the number of chunks that are listed.
func (d *directory) n() int {
	if d == nil {
		return 0
	}
	n := len(d.chunks)
	for n > 0 && d.chunks[n-1] == 0 {
		n--
	}
	return n
}

// last is the newest chunk that is listed: where the part of the chain ends
// that is not.
func (d *directory) last() chain {
	if n := d.n(); n > 0 {
		return d.chunks[n-1]
	}
	return 0
}

// list lists what is full in a chain whose first chunk is new.
func (t *table[K]) list(slot uint32, c chain) {
	full := t.s.paths.next(c)
	if full == 0 {
		return
	}
	d := t.dirs.at(slot)
	switch {
	case d == nil || d.n() < len(d.chunks) && d.last() != t.s.paths.next(full):
		t.relist(slot, full)
	case d.n() < len(d.chunks): // the usual case: one more than before
		d.set(d.n(), full, &t.s.paths)
	}
}

// relist lists a chain anew, if it is long enough. A directory without room
// for all of it lists the oldest.
func (t *table[K]) relist(slot uint32, full chain) {
	n := 0
	for c := full; c != 0; c = t.s.paths.next(c) {
		n++
	}
	d := t.dirs.at(slot)
	if n < dirLeast && d == nil {
		return
	}
	if d == nil {
		d = t.dirs.make(slot)
	}
	*d = directory{}
	for c := full; c != 0; c = t.s.paths.next(c) {
		if n--; n < len(d.chunks) {
			d.set(n, c, &t.s.paths)
		}
	}
}

// set lists a chunk.
func (d *directory) set(i int, c chain, p *paths) {
	d.chunks[i] = c
	n := capacity[topClass]
	for _, pair := range p.words(c)[1+n : 1+n+n>>1] {
		d.mark(PeerID(pair), 1<<i)
		d.mark(PeerID(pair>>16), 1<<i)
	}
}

// take removes the path at a spot from the chain of a prefix. The last of the
// first chunk moves there, and the next chunk is open when that was all.
func (t *table[K]) take(slot uint32, e *entry[K], at spot) {
	e.more = t.s.paths.remove(e.more, at)
	d := t.dirs.at(slot)
	if d == nil {
		return
	}
	if n := d.n(); n > 0 && d.chunks[n-1] == e.more {
		d.chunks[n-1] = 0
		d.unmark(n - 1)
	}
	d.mark(at.get().peer, 1<<d.n()-1)
}

// spot finds a peer's path in the chain of a prefix.
func (t *table[K]) spot(slot uint32, c chain, id PeerID) spot {
	d := t.dirs.at(slot)
	return t.spotIn(d, d.row(id), c, id)
}

// spotIn does it with the peer's row of the directory, which may be nil.
func (t *table[K]) spotIn(d *directory, row uint32, c chain, id PeerID) spot {
	if d == nil {
		return t.s.paths.find(c, id)
	}
	// Each line of memory that is looked at costs as much as all else: those
	// that may have it first, as most routes are in them.
	for ; row != 0; row &= row - 1 {
		if at := t.s.paths.search(d.chunks[bits.TrailingZeros32(row)], id); at.w != nil {
			return at
		}
	}
	for last := d.last(); c != last; c = t.s.paths.next(c) {
		if at := t.s.paths.search(c, id); at.w != nil {
			return at
		}
	}
	return spot{}
}
