package exchange

import "math/bits"

// bitset is a set of slots.
type bitset struct {
	words []uint64
	n     int // bits that are set
}

func (b *bitset) has(i uint32) bool {
	w := int(i >> 6)
	return w < len(b.words) && b.words[w]>>(i&63)&1 != 0
}

func (b *bitset) set(i uint32) {
	w := int(i >> 6)
	for w >= len(b.words) {
		b.words = append(b.words, 0)
	}
	if b.words[w]>>(i&63)&1 == 0 {
		b.words[w] |= 1 << (i & 63)
		b.n++
	}
}

func (b *bitset) unset(i uint32) {
	if b.has(i) {
		b.words[i>>6] &^= 1 << (i & 63)
		b.n--
	}
}

// fill sets all bits below n.
func (b *bitset) fill(n uint32) {
	words := int(n+63) / 64
	if len(b.words) < words {
		b.words = append(b.words, make([]uint64, words-len(b.words))...)
	}
	for i := range int(n / 64) {
		b.words[i] = ^uint64(0)
	}
	if n%64 != 0 {
		b.words[n/64] |= 1<<(n%64) - 1
	}
	b.n = 0
	for _, w := range b.words {
		b.n += bits.OnesCount64(w)
	}
}

// next finds the first bit from i on.
func (b *bitset) next(i uint32) (uint32, bool) {
	for w := int(i >> 6); w < len(b.words); w++ {
		word := b.words[w]
		if w == int(i>>6) {
			word &= ^uint64(0) << (i & 63)
		}
		if word != 0 {
			return uint32(w)<<6 + uint32(bits.TrailingZeros64(word)), true
		}
	}
	return 0, false
}
