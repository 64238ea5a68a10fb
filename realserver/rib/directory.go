package rib

// directory lists the full chunks of a prefix with many routes, the oldest
// first. A chain is read link by link, each of them a wait for memory; where
// the chunks are listed, those that may have a peer's route are fetched at
// once.
//
// It need not list all full chunks, but those that it does are the end of the
// chain. The first chunk, which changes most, is never listed.
type directory struct {
	chunks [10]chain
	// peers has, by chunk, a bit for each peer in it, and maybe more.
	peers [10]uint16
	_     uint32 // fills the cache line
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

// bit is that of a peer in directory.peers.
func bit(id PeerID) uint16 { return 1 << (id & 15) }

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

func (d *directory) set(i int, c chain, p *paths) {
	d.chunks[i], d.peers[i] = c, 0
	n := capacity[topClass]
	for _, pair := range p.words(c)[1+n : 1+n+n>>1] {
		d.peers[i] |= bit(PeerID(pair)) | bit(PeerID(pair>>16))
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
	moved := at.get().peer
	for i, c := range d.chunks {
		switch c {
		case 0:
			return
		case e.more:
			d.chunks[i], d.peers[i] = 0, 0
		default:
			d.peers[i] |= bit(moved)
		}
	}
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
	for i, peers := range d.peers {
		if peers&bit(id) != 0 {
			if at := t.s.paths.search(d.chunks[i], id); at.w != nil {
				return at
			}
		}
	}
	return spot{}
}
