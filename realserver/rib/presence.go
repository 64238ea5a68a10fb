package rib

import "math/bits"

// bitmaps are the memory of all bitmaps of a shard: pages of 1,024 bits.
type bitmaps struct {
	pages arena[bitPage]
	free  uint32 // the first free page, plus one; linked through its first word
}

const bitShift = 10

type bitPage [1 << bitShift / 64]uint64

func (m *bitmaps) alloc() uint32 {
	if m.free == 0 {
		return m.pages.add() + 1
	}
	n := m.free
	p := m.pages.at(n - 1)
	m.free = uint32(p[0])
	p[0] = 0
	return n
}

func (m *bitmaps) release(n uint32) {
	p := m.pages.at(n - 1)
	*p = bitPage{uint64(m.free)}
	m.free = n
}

// bitmap is a set of slots, sparse by pages.
type bitmap struct {
	pages []uint32 // number plus one; 0 when the page has no bit
}

func (b *bitmap) page(m *bitmaps, slot uint32) *bitPage {
	i := int(slot >> bitShift)
	if i >= len(b.pages) || b.pages[i] == 0 {
		return nil
	}
	return m.pages.at(b.pages[i] - 1)
}

func (b *bitmap) has(m *bitmaps, slot uint32) bool {
	p := b.page(m, slot)
	return p != nil && p[slot>>6&15]>>(slot&63)&1 != 0
}

func (b *bitmap) set(m *bitmaps, slot uint32) {
	i := int(slot >> bitShift)
	for i >= len(b.pages) {
		b.pages = append(b.pages, 0)
	}
	if b.pages[i] == 0 {
		b.pages[i] = m.alloc()
	}
	m.pages.at(b.pages[i] - 1)[slot>>6&15] |= 1 << (slot & 63)
}

// unset clears a bit and gives a page back with its last one.
func (b *bitmap) unset(m *bitmaps, slot uint32) {
	p := b.page(m, slot)
	if p == nil {
		return
	}
	w := &p[slot>>6&15]
	*w &^= 1 << (slot & 63)
	if *w == 0 && *p == (bitPage{}) {
		m.release(b.pages[slot>>bitShift])
		b.pages[slot>>bitShift] = 0
	}
}

// from appends slots of the set from one on, at most so many; the next slot
// to ask for is 0 when there are no more.
func (b *bitmap) from(m *bitmaps, slot uint32, dst []uint32, most int) (slots []uint32, next uint32) {
	for i := int(slot >> bitShift); i < len(b.pages); i++ {
		if b.pages[i] == 0 {
			continue
		}
		p := m.pages.at(b.pages[i] - 1)
		for w, word := range p {
			base := uint32(i)<<bitShift + uint32(w)<<6
			if base+64 <= slot {
				continue
			}
			if base < slot {
				word &= ^uint64(0) << (slot - base)
			}
			for ; word != 0; word &= word - 1 {
				if len(dst) == most {
					return dst, base + uint32(bits.TrailingZeros64(word))
				}
				dst = append(dst, base+uint32(bits.TrailingZeros64(word)))
			}
		}
	}
	return dst, 0
}

// copy copies the set.
func (b *bitmap) copy(m *bitmaps) bitmap {
	c := bitmap{make([]uint32, len(b.pages))}
	for i, n := range b.pages {
		if n != 0 {
			c.pages[i] = m.alloc()
			*m.pages.at(c.pages[i] - 1) = *m.pages.at(n - 1)
		}
	}
	return c
}

// drop gives all pages back.
func (b *bitmap) drop(m *bitmaps) {
	for _, n := range b.pages {
		if n != 0 {
			m.release(n)
		}
	}
	b.pages = nil
}
