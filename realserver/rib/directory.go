package rib

import (
	"encoding/binary"
	"math/bits"
)

// directory lists the full chunks of a prefix with many routes, the oldest
// first. A chain is read link by link, each of them a wait for memory; where
// the chunks are listed, those that may have a peer's route are fetched at
// once.
//
// It need not list all full chunks, but those that it does are the end of the
// chain. The first chunk, which changes most, is never listed.
type directory struct {
	chunks [10]chain
	// rows has, by a part of the peer's number, which chunks may have its path:
	// 16 rows of 10 bits, each within two bytes.
	rows [20]byte
	_    uint32 // fills the cache line
}

// row is the bits of the chunks that may have a peer's path.
func (d *directory) row(id PeerID) uint32 {
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
	pages []*[1 << dirShift]directory
	spare []directory
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
	d.pages[i] = (*[1 << dirShift]directory)(cut(&d.spare, d.made, 1<<dirShift))
	d.made++
	return d.at(slot)
}

// bytes is the memory of all directories.
func (d *directories) bytes() int64 { return int64(d.made) << (dirShift + 6) }

// n is the number of chunks that are listed.
func (d *directory) n() int {
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
	if d == nil {
		return t.s.paths.find(c, id)
	}
	last := d.last()
	for ; c != last; c = t.s.paths.next(c) {
		if at := t.s.paths.search(c, id); at.w != nil {
			return at
		}
	}
	// The first words of all that may have it are read before any is looked
	// at: these loads do not wait for one another.
	const n = 10
	var lines [n][]uint32
	var pairs [n]uint32
	k := 0
	for row := d.row(id); row != 0; row &= row - 1 {
		lines[k] = t.s.paths.words(d.chunks[bits.TrailingZeros32(row)])
		pairs[k] = lines[k][1+n]
		k++
	}
	for j, w := range lines[:k] {
		if PeerID(pairs[j]) == id {
			return spot{w, n, 0}
		}
		for i := 1; i < n; i++ {
			if peerAt(w, n, i) == id {
				return spot{w, n, i}
			}
		}
	}
	return spot{}
}
