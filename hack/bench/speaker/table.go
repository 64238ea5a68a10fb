package speaker

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
)

// table is the routes that feeds announce: prefixes in groups that share their
// attributes, and which feed's path is the best of each group.
//
// Where a prefix stands in the table follows from its bits by arithmetic, so
// that a receiver checks a prefix in some nanoseconds: it shares the machine
// with the speaker that is measured.
type table struct {
	plan   *plan
	n      int
	feeds  int
	groups []group
	// first is the feed of rank 0 by group. The next feed has rank 1, and so on.
	first []uint8
	// groupOf is the group of each prefix.
	groupOf []uint32
}

// group is prefixes [at, at+n).
type group struct{ at, n int }

// newTable makes the table of n prefixes; the same arguments make the same one.
// With favourite the first feed has the best path for everything, otherwise
// each feed for its share.
func newTable(n, feeds int, seed uint64, favourite bool) (*table, error) {
	if n < 1 || n > maxPrefixes || feeds < 1 || feeds > maxFeeds {
		return nil, fmt.Errorf("%d prefixes of %d feeds: use 1 to %d prefixes and 1 to %d feeds", n, feeds, maxPrefixes, maxFeeds)
	}
	r := rand.New(rand.NewPCG(seed, 42))
	t := &table{plan: newPlan(), n: n, feeds: feeds, groupOf: make([]uint32, n)}
	for at := 0; at < n; {
		// A truncated Pareto distribution with a mean of about 4, as in tables
		// of the Internet: most groups have one prefix, few have hundreds.
		size := min(max(1, min(int(math.Pow(1-r.Float64(), -1/1.15)), 200)), n-at)
		for i := range size {
			t.groupOf[at+i] = uint32(len(t.groups))
		}
		t.groups = append(t.groups, group{at, size})
		best := 0
		if !favourite {
			best = r.IntN(feeds)
		}
		t.first = append(t.first, uint8(best))
		at += size
	}
	return t, nil
}

// Bounds of a table: what the address plan and an octet hold.
const (
	maxPrefixes = 1_250_000
	maxFeeds    = 200
)

// rank of a feed's path for a group: 0 is the best.
func (t *table) rank(g, feed int) int { return (feed - int(t.first[g]) + t.feeds) % t.feeds }

// best lists by prefix whose path is the best, as feed+1, while one feed is
// down (none: -1).
func (t *table) best(down int) []uint8 {
	out := make([]uint8, t.n)
	for i, g := range t.groupOf {
		b := int(t.first[g])
		if b == down {
			b = (b + 1) % t.feeds
		}
		out[i] = uint8(b + 1)
	}
	return out
}

// plan maps the numbers from 0 on to prefixes of 128.0.0.0/2, and back. Their
// lengths are distributed as in the Internet, and their addresses spread
// evenly, so that they say nothing to a speaker's hash or tree.
type plan struct {
	length [cycle]uint8  // by number modulo cycle
	nth    [cycle]uint16 // which of its length it is within the cycle
	// By length: how many there are in a cycle, and where.
	count [33]uint32
	slots [33][]uint16
}

// cycle is after how many numbers the lengths repeat.
const cycle = 1024

func newPlan() *plan {
	p := &plan{}
	shares := []struct{ length, n int }{{24, 637}, {23, 105}, {22, 114}, {21, 51}, {20, 48}, {19, 28}, {18, 16}, {17, 12}, {16, 13}}
	var lengths []uint8
	for _, s := range shares {
		for range s.n {
			lengths = append(lengths, uint8(s.length))
		}
	}
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(lengths), func(i, j int) { lengths[i], lengths[j] = lengths[j], lengths[i] })
	for slot, l := range lengths {
		p.length[slot], p.nth[slot] = l, uint16(p.count[l])
		p.slots[l] = append(p.slots[l], uint16(slot))
		p.count[l]++
	}
	return p
}

// odd and inverse are each other's inverse modulo 2^32, hence modulo each
// smaller power of two.
const (
	odd     uint32 = 0x9e3779b1
	inverse uint32 = 0x0e8b2f51
)

// scatter is a bijection of the numbers of so many bits, and gather undoes it.
func scatter(k uint32, bits int) uint32 {
	half := (bits + 1) / 2
	k ^= k >> half
	k = k * odd & (1<<bits - 1)
	return k ^ k>>half
}

func gather(k uint32, bits int) uint32 {
	half := (bits + 1) / 2
	k ^= k >> half
	k = k * inverse & (1<<bits - 1)
	return k ^ k>>half
}

// prefix is the address and length of number i.
func (p *plan) prefix(i int) (addr uint32, length uint8) {
	slot := i % cycle
	length = p.length[slot]
	k := uint32(i/cycle)*p.count[length] + uint32(p.nth[slot])
	bits := int(length) - 2
	return 1<<31 | scatter(k, bits)<<(30-bits), length
}

// index is the number of a prefix; a prefix that is not in the plan has a
// number beyond every table, or -1.
func (p *plan) index(addr uint32, length uint8) int {
	if addr>>30 != 2 || length < 16 || length > 24 {
		return -1
	}
	bits := int(length) - 2
	k := gather(addr<<2>>(32-bits), bits)
	return int(k/p.count[length])*cycle + int(p.slots[length][k%p.count[length]])
}

func (p *plan) append(b []byte, i int) []byte {
	addr, length := p.prefix(i)
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], addr)
	b = append(b, length)
	return append(b, a[:(length+7)/8]...)
}
