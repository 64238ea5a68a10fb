package rib

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// K4 is an IPv4 prefix: the address, without host bits, shifted left by 8,
// and the length.
type K4 uint64

// K6 is an IPv6 prefix without host bits.
type K6 struct {
	Hi, Lo uint64
	Bits   uint8
}

// Key is what a table is made over: K4 or K6.
type Key[K any] interface {
	K4 | K6
	// Prefix is the prefix that the key stands for.
	Prefix() netip.Prefix
	// AppendNLRI appends the prefix as UPDATEs encode it.
	AppendNLRI(b []byte) []byte

	length() int
	clip(n int) K // to at most n bits
	home() K      // what all prefixes share that must be in one shard
	hash(seed uint64) uint64
	// probe begins to look for the prefixes of an address, of the lengths
	// from..to that are in use, the longest first. It returns the length to go
	// on with.
	probe(used *usedLengths, index []uint32, seed uint64, from, to int) (probes, int)
}

// Prefixes of the first so many bits are not separated: all longer ones that
// cover one address are in one shard, so that a lookup sees them under one
// lock.
const (
	home4 = 16
	home6 = 32
)

// mix is the finalizer of MurmurHash3: each bit of the result depends on each
// bit of x. The seed keeps who chooses prefixes from choosing collisions.
func mix(x, seed uint64) uint64 {
	x ^= seed
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// Key4 makes the key of an IPv4 prefix.
func Key4(p netip.Prefix) K4 {
	a := p.Addr().As4()
	return cut4(uint64(binary.BigEndian.Uint32(a[:])), p.Bits())
}

// Key6 makes the key of an IPv6 prefix.
func Key6(p netip.Prefix) K6 {
	a := p.Addr().As16()
	return cut6(binary.BigEndian.Uint64(a[:]), binary.BigEndian.Uint64(a[8:]), p.Bits())
}

func cut4(addr uint64, n int) K4 {
	return K4((addr&^(0xffffffff>>n))<<8 | uint64(n))
}

func cut6(hi, lo uint64, n int) K6 {
	if n <= 64 {
		return K6{hi &^ (^uint64(0) >> n), 0, uint8(n)}
	}
	return K6{hi, lo &^ (^uint64(0) >> (n - 64)), uint8(n)}
}

// Next4 cuts the first prefix off encoded ones, which the codec has checked.
func Next4(b []byte) (K4, []byte) {
	n := int(b[0])
	size := 1 + (n+7)>>3
	var addr uint64
	if len(b) >= 5 { // one load; what is of the next prefix is cut off below
		addr = uint64(binary.BigEndian.Uint32(b[1:]))
	} else {
		for i, c := range b[1:size] {
			addr |= uint64(c) << (24 - 8*i)
		}
	}
	return cut4(addr, n), b[size:]
}

// Next6 cuts the first prefix off encoded ones, which the codec has checked.
func Next6(b []byte) (K6, []byte) {
	n := int(b[0])
	size := 1 + (n+7)>>3
	var a [16]byte
	copy(a[:], b[1:size])
	return cut6(binary.BigEndian.Uint64(a[:]), binary.BigEndian.Uint64(a[8:]), n), b[size:]
}

// Prefix implements Key.
func (k K4) Prefix() netip.Prefix {
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], uint32(k>>8))
	return netip.PrefixFrom(netip.AddrFrom4(a), k.length())
}

// AppendNLRI implements Key.
func (k K4) AppendNLRI(b []byte) []byte {
	n := len(b)
	b = append(b, byte(k), byte(k>>32), byte(k>>24), byte(k>>16), byte(k>>8))
	return b[:n+1+(k.length()+7)>>3]
}

func (k K4) length() int { return int(k & 0xff) }

func (k K4) clip(n int) K4 { return cut4(uint64(k>>8), min(n, k.length())) }

func (k K4) home() K4 { return k.clip(home4) }

func (k K4) hash(seed uint64) uint64 { return mix(uint64(k), seed) }

func (k K4) probe(used *usedLengths, index []uint32, seed uint64, from, to int) (p probes, next int) {
	for p.n < block {
		if to = used.longest(from, to); to < 0 {
			break
		}
		p.hashes[p.n], p.lengths[p.n] = k.clip(to).hash(seed), uint8(to)
		p.n++
		to--
	}
	p.read(index)
	return p, to
}

// Prefix implements Key.
func (k K6) Prefix() netip.Prefix {
	var a [16]byte
	binary.BigEndian.PutUint64(a[:], k.Hi)
	binary.BigEndian.PutUint64(a[8:], k.Lo)
	return netip.PrefixFrom(netip.AddrFrom16(a), k.length())
}

// AppendNLRI implements Key.
func (k K6) AppendNLRI(b []byte) []byte {
	n := len(b)
	b = append(b, k.Bits)
	b = binary.BigEndian.AppendUint64(b, k.Hi)
	b = binary.BigEndian.AppendUint64(b, k.Lo)
	return b[:n+1+(k.length()+7)>>3]
}

func (k K6) length() int { return int(k.Bits) }

func (k K6) clip(n int) K6 { return cut6(k.Hi, k.Lo, min(n, k.length())) }

func (k K6) home() K6 { return k.clip(home6) }

func (k K6) hash(seed uint64) uint64 {
	return mix(k.Lo^uint64(k.Bits), mix(k.Hi, seed))
}

func (k K6) probe(used *usedLengths, index []uint32, seed uint64, from, to int) (p probes, next int) {
	for p.n < block {
		if to = used.longest(from, to); to < 0 {
			break
		}
		p.hashes[p.n], p.lengths[p.n] = k.clip(to).hash(seed), uint8(to)
		p.n++
		to--
	}
	p.read(index)
	return p, to
}

// Layout says which shard has which prefix.
type Layout struct {
	shards uint64
	seed   uint64
}

// NewLayout spreads prefixes over n shards, differently for each seed.
func NewLayout(n int, seed uint64) Layout { return Layout{uint64(max(n, 1)), seed} }

// Of4 is the shard of an IPv4 prefix.
func (l Layout) Of4(k K4) int { return l.of(k.home().hash(l.seed)) }

// Of6 is the shard of an IPv6 prefix.
func (l Layout) Of6(k K6) int { return l.of(k.home().hash(l.seed)) }

func (l Layout) of(hash uint64) int {
	hi, _ := bits.Mul64(hash, l.shards)
	return int(hi)
}
