package rib

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
)

// Records are of sizes that differ by 4 up to 256 bytes, by an eighth up to
// half a page, and beyond that each has a page of its own.
const (
	fineSizes = 256 / 4
	classes   = fineSizes + 8*4 + 1
	ownPage   = classes - 1
)

// classOf finds the class for a record of n bytes, and its size.
func classOf(n int) (class int, size uint32) {
	if n <= 256 {
		class = (max(n, pageBytes>>slotBits) + 3) / 4
		return class - 1, uint32(class) * 4
	}
	class = fineSizes
	for base := 256; base < pageBytes/2; base *= 2 {
		for i := 1; i <= 8; i++ {
			if s := base + base*i/8; n <= s {
				return class, uint32(s)
			}
			class++
		}
	}
	return ownPage, uint32(n)
}

// slab has, for each class, the pages with free records.
type slab struct {
	open [classes][]*page
}

// add puts a set into a record.
func (s *stripe) add(t *Sets, set []byte, rank *Rank, ranked bool) (AttrID, error) {
	class, size := classOf(2 + len(set))
	kind := 0
	if ranked {
		kind = 1
	}
	open := s.slabs[kind].open[class]
	var p *page
	if len(open) > 0 {
		p = open[len(open)-1]
	} else {
		p = newPage(class, size, ranked)
		p.stripe = s.number
		if !t.pages.put(p) {
			return 0, ErrSetsFull
		}
		s.slabs[kind].push(p)
		s.bytes += p.bytes()
	}
	slot := p.take()
	if p.full() {
		s.slabs[kind].pull(p)
	}
	r := p.data[slot*p.size : (slot+1)*p.size]
	binary.LittleEndian.PutUint16(r, uint16(len(set)))
	copy(r[2:], set)
	if ranked {
		p.ranks[slot] = *rank
	}
	return AttrID(p.number<<slotBits | slot), nil
}

// remove frees a record, and the page with the last one of it, unless it is
// the class's only open one: that will be needed soon.
func (s *stripe) remove(t *Sets, p *page, slot uint32) {
	kind := 0
	if p.ranks != nil {
		kind = 1
	}
	binary.LittleEndian.PutUint32(p.data[slot*p.size:], p.free)
	p.free = slot + 1
	p.live--
	if p.at < 0 {
		s.slabs[kind].push(p)
	}
	if p.live == 0 && (len(s.slabs[kind].open[p.class]) > 1 || p.class == ownPage) {
		s.slabs[kind].pull(p)
		s.bytes -= p.bytes()
		t.pages.drop(p)
	}
}

func newPage(class int, size uint32, ranked bool) *page {
	n := max(uint32(pageBytes)/size, 1)
	if class == ownPage {
		n = 1
	}
	p := &page{data: make([]byte, max(n*size, 4)), refs: make([]atomic.Uint32, n), size: size, class: uint8(class), at: -1}
	for i := range p.refs {
		p.refs[i].Store(dead)
	}
	if ranked {
		p.ranks = make([]Rank, n)
	}
	return p
}

func (p *page) bytes() int64 {
	return int64(len(p.data) + 4*len(p.refs) + 24*len(p.ranks) + 112)
}

func (p *page) full() bool { return p.free == 0 && int(p.fresh) == len(p.refs) }

func (p *page) take() uint32 {
	p.live++
	if p.free != 0 {
		slot := p.free - 1
		p.free = binary.LittleEndian.Uint32(p.data[slot*p.size:])
		return slot
	}
	p.fresh++
	return p.fresh - 1
}

func (s *slab) push(p *page) {
	p.at = len(s.open[p.class])
	s.open[p.class] = append(s.open[p.class], p)
}

func (s *slab) pull(p *page) {
	open := s.open[p.class]
	last := open[len(open)-1]
	open[p.at], last.at = last, p.at
	open[len(open)-1] = nil
	s.open[p.class] = open[:len(open)-1]
	p.at = -1
}

// pageTable finds pages by number without a lock. The list is copied when it
// grows; what readers still see of an old copy holds for every number they
// can have.
type pageTable struct {
	list atomic.Pointer[[]atomic.Pointer[page]]

	mu    sync.Mutex // guards the fields below
	n     uint32
	spare []uint32
}

func (t *pageTable) get(number uint32) *page { return (*t.list.Load())[number].Load() }

func (t *pageTable) of(id AttrID) (*page, uint32) {
	return t.get(uint32(id) >> slotBits), uint32(id) & (1<<slotBits - 1)
}

// put gives a page a number; it fails when there is none left.
func (t *pageTable) put(p *page) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if k := len(t.spare); k > 0 {
		p.number = t.spare[k-1]
		t.spare = t.spare[:k-1]
	} else {
		if t.n == maxPages {
			return false
		}
		p.number = t.n
		t.n++
	}
	var list []atomic.Pointer[page]
	if old := t.list.Load(); old != nil {
		list = *old
	}
	if int(p.number) >= len(list) {
		grown := make([]atomic.Pointer[page], max(64, len(list)*5/4))
		for i := range list {
			grown[i].Store(list[i].Load())
		}
		list = grown
		t.list.Store(&grown)
	}
	list[p.number].Store(p)
	return true
}

func (t *pageTable) drop(p *page) {
	t.mu.Lock()
	defer t.mu.Unlock()
	(*t.list.Load())[p.number].Store(nil)
	t.spare = append(t.spare, p.number)
}
