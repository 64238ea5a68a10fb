package rib

// PeerID numbers a peer; 0 is none.
type PeerID uint16

// AttrID numbers an interned set of attributes; 0 is none.
type AttrID uint32

// path is a route of one prefix: whose, and with what attributes.
type path struct {
	attr AttrID
	peer PeerID
}

// chain is the number of a chunk of paths, which may name a next one; 0 is
// none. The upper two bits are the class of the chunk, plus one.
//
// A chunk is 4, 8 or 16 words, of 2, 4 or 10 paths: the next chunk, the
// attributes, the peers two in a word. Only the first chunk of a chain may be
// of a lower class or have gaps, at its end; so a prefix wastes less than one
// chunk, however many paths it has, and no chunk is ever bigger than a cache
// line: a line freed by one prefix fits every other.
type chain uint32

const (
	chainShift = 30
	topClass   = 2
	pageShift  = 12 // words of a page
)

var capacity = [topClass + 1]int{2, 4, 10}

// paths are the chunks of a shard.
type paths struct {
	pages [topClass + 1][][]uint32
	used  [topClass + 1]uint32
	free  [topClass + 1]uint32 // number of the first free chunk, plus one
}

func (c chain) class() int { return int(c>>chainShift) - 1 }

// words is the chunk's memory.
func (p *paths) words(c chain) []uint32 {
	class := c.class()
	i := uint32(c) & (1<<chainShift - 1)
	shift := pageShift - 2 - class // chunks of a page, as a power of two
	at := (i & (1<<shift - 1)) << (2 + class)
	return p.pages[class][i>>shift][at : at+4<<class : at+4<<class]
}

func (p *paths) alloc(class int, next chain) chain {
	var i uint32
	if p.free[class] != 0 {
		i = p.free[class] - 1
	} else {
		i = p.used[class]
		p.used[class]++
		if i&(1<<(pageShift-2-class)-1) == 0 {
			p.pages[class] = append(p.pages[class], make([]uint32, 1<<pageShift))
		}
	}
	c := chain(class+1)<<chainShift | chain(i)
	w := p.words(c)
	if p.free[class] != 0 {
		p.free[class] = w[0]
	}
	clear(w)
	w[0] = uint32(next)
	return c
}

func (p *paths) release(c chain) {
	class := c.class()
	p.words(c)[0] = p.free[class]
	p.free[class] = uint32(c)&(1<<chainShift-1) + 1
}

// bytes is the memory of all chunks.
func (p *paths) bytes() int64 {
	n := 0
	for _, pages := range p.pages {
		n += len(pages)
	}
	return int64(n) * 4 << pageShift
}

func peerAt(w []uint32, n, i int) PeerID {
	return PeerID(w[1+n+i>>1] >> (16 * (i & 1)))
}

func pathAt(w []uint32, n, i int) path { return path{AttrID(w[1+i]), peerAt(w, n, i)} }

func setPath(w []uint32, n, i int, v path) {
	w[1+i] = uint32(v.attr)
	half := &w[1+n+i>>1]
	shift := 16 * (i & 1)
	*half = *half&^(0xffff<<shift) | uint32(v.peer)<<shift
}

// filled counts the paths of a chunk: those at its end may be missing.
func filled(w []uint32, n int) int {
	pairs := w[1+n : 1+n+n>>1]
	for j := len(pairs) - 1; j >= 0; j-- {
		switch pair := pairs[j]; {
		case pair>>16 != 0:
			return 2*j + 2
		case pair != 0:
			return 2*j + 1
		}
	}
	return 0
}

// add adds a path to a chain and returns the chain's new beginning.
func (p *paths) add(c chain, v path) chain {
	if c == 0 {
		c = p.alloc(0, 0)
		setPath(p.words(c), capacity[0], 0, v)
		return c
	}
	class := c.class()
	w, n := p.words(c), capacity[class]
	if k := filled(w, n); k < n {
		setPath(w, n, k, v)
		return c
	}
	if class == topClass {
		c = p.alloc(0, c)
		setPath(p.words(c), capacity[0], 0, v)
		return c
	}
	c = p.convert(c, class+1, n)
	setPath(p.words(c), capacity[class+1], n, v)
	return c
}

// convert moves the first k paths of a chain's first chunk to one of another
// class.
func (p *paths) convert(c chain, class, k int) chain {
	old := p.words(c)
	from := capacity[c.class()]
	d := p.alloc(class, chain(old[0]))
	w := p.words(d)
	for i := range k {
		setPath(w, capacity[class], i, pathAt(old, from, i))
	}
	p.release(c)
	return d
}

// spot is where a path is.
type spot struct {
	w    []uint32
	n, i int
}

func (s spot) get() path  { return pathAt(s.w, s.n, s.i) }
func (s spot) set(v path) { setPath(s.w, s.n, s.i, v) }

// next is the chunk after one, or 0.
func (p *paths) next(c chain) chain { return chain(p.words(c)[0]) }

// search finds a peer's path in one chunk.
func (p *paths) search(c chain, peer PeerID) spot {
	n := capacity[c.class()]
	w := p.words(c)
	for j, pair := range w[1+n : 1+n+n>>1] {
		if PeerID(pair) == peer {
			return spot{w, n, 2 * j}
		}
		if PeerID(pair>>16) == peer {
			return spot{w, n, 2*j + 1}
		}
	}
	return spot{}
}

// find finds a peer's path in a chain, where it is.
func (p *paths) find(c chain, peer PeerID) spot {
	for c != 0 {
		n := capacity[c.class()]
		w := p.words(c)
		for j, pair := range w[1+n : 1+n+n>>1] {
			if PeerID(pair) == peer {
				return spot{w, n, 2 * j}
			}
			if PeerID(pair>>16) == peer {
				return spot{w, n, 2*j + 1}
			}
		}
		c = chain(w[0])
	}
	return spot{}
}

// remove removes the path at a spot, into which the last of the first chunk
// moves, and returns the chain's new beginning.
func (p *paths) remove(c chain, s spot) chain {
	class := c.class()
	w, n := p.words(c), capacity[class]
	k := filled(w, n) - 1
	s.set(pathAt(w, n, k))
	setPath(w, n, k, path{})
	switch {
	case k == 0:
		next := chain(w[0])
		p.release(c)
		return next
	case class > 0 && k <= class:
		return p.convert(c, 0, k)
	}
	return c
}

// append appends the paths of a chain.
func (p *paths) append(dst []path, c chain) []path {
	for c != 0 {
		n := capacity[c.class()]
		w := p.words(c)
		for i := range n {
			v := pathAt(w, n, i)
			if v.peer == 0 {
				break
			}
			dst = append(dst, v)
		}
		c = chain(w[0])
	}
	return dst
}
