// Package mh is the kernel's Maglev scheduler (ip_vs_mh) in user space: the
// same table and the same choice, so that one can say where a customer goes
// before any kernel does.
package mh

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"slices"

	"github.com/peerage/peerage/api"
)

const (
	// size is the number of places, of a kernel that is built with
	// CONFIG_IP_VS_MH_TAB_INDEX=12, the default.
	size = 4093
	// weightBits is how many bits of a weight count; what is more is shifted out.
	weightBits = 6
)

// Table is the lookup table of one IPVS service.
type Table struct {
	places       []int // by hash: a destination; nil: no destination has a weight
	destinations []api.TableDestination
	fallback     bool
}

// New computes the table of a service whose destinations are in the order of
// their insertion. Only the flag mh-fallback is known; the source port must not
// count (mh-port), or a customer could not be told by its address.
func New(t api.Table) *Table {
	out := &Table{destinations: t.Destinations, fallback: slices.Contains(t.Flags, "mh-fallback")}
	// The kernel puts each new destination at the head of its list.
	var seats []*seat
	for i, turns := range turns(t.Destinations) {
		if turns == 0 {
			continue
		}
		d := t.Destinations[i]
		seats = append(seats, &seat{
			destination: i, turns: turns,
			next: int(hash(firstSecret, d.Addr, d.Port, 0) % size),
			skip: int(hash(secondSecret, d.Addr, d.Port, 0)%(size-1)) + 1,
		})
	}
	slices.Reverse(seats)
	if len(seats) > 0 {
		out.fill(seats)
	}
	return out
}

// seat is a destination that takes places: each turn its next free one, in an
// order of its own.
type seat struct {
	destination, turns, next, skip int
}

// fill gives each destination in turn as many places as its weight says, until
// none is left.
func (t *Table) fill(seats []*seat) {
	t.places = make([]int, size)
	for i := range t.places {
		t.places[i] = -1
	}
	left := size
	for {
		for _, s := range seats {
			for range s.turns {
				for t.places[s.next] >= 0 {
					s.next = (s.next + s.skip) % size
				}
				t.places[s.next] = s.destination
				if left--; left == 0 {
					return
				}
			}
		}
	}
}

// turns are the nominal weights, divided by their greatest common divisor and
// cut to weightBits. A destination's weight before it was set to 0 counts: its
// share of the table stays its own.
func turns(ds []api.TableDestination) []int {
	divisor, most := 0, 0
	for _, d := range ds {
		most = max(most, d.Nominal)
		for a, b := divisor, d.Nominal; ; a, b = b, a%b {
			if b == 0 {
				divisor = a
				break
			}
		}
	}
	out := make([]int, len(ds))
	if divisor == 0 {
		return out
	}
	shift := max(0, bits.Len(uint(most/divisor))-weightBits)
	for i, d := range ds {
		if d.Nominal > 0 {
			out[i] = max(1, d.Nominal/divisor>>shift)
		}
	}
	return out
}

// Lookup is the destination that a new connection from source goes to. There is
// none when its own has weight 0 and no other may take it.
func (t *Table) Lookup(source netip.Addr) (to api.TableDestination, ok bool) {
	if t.places == nil {
		return to, false
	}
	first := hash(firstSecret, source, 0, 0) % size
	if to = t.destinations[t.places[first]]; to.Weight > 0 || !t.fallback {
		return to, to.Weight > 0
	}
	for i := range uint32(size) {
		place := hash(firstSecret, source, 0, (first+i)%size) % size
		if to = t.destinations[t.places[place]]; to.Weight > 0 {
			return to, true
		}
	}
	return api.TableDestination{}, false
}

// The two secrets of the kernel; each one is both halves of a key.
const (
	firstSecret  = 2654435761
	secondSecret = 2654446892
)

// hash is the kernel's hash of an address: IPv6 ones are folded to 32 bits.
func hash(secret uint64, a netip.Addr, port uint16, offset uint32) uint32 {
	var fold uint32
	b := a.AsSlice()
	for i := 0; i+4 <= len(b); i += 4 {
		fold ^= binary.BigEndian.Uint32(b[i:])
	}
	return sipHash13(secret, fold+uint32(port)+offset)
}

// sipHash13 is SipHash-1-3 of 4 bytes, little-endian, cut to 32 bits; a 64-bit
// kernel means that by hsiphash.
func sipHash13(secret uint64, v uint32) uint32 {
	v0, v1, v2, v3 := secret^0x736f6d6570736575, secret^0x646f72616e646f6d, secret^0x6c7967656e657261, secret^0x7465646279746573
	round := func() {
		v0 += v1
		v1 = bits.RotateLeft64(v1, 13) ^ v0
		v0 = bits.RotateLeft64(v0, 32)
		v2 += v3
		v3 = bits.RotateLeft64(v3, 16) ^ v2
		v0 += v3
		v3 = bits.RotateLeft64(v3, 21) ^ v0
		v2 += v1
		v1 = bits.RotateLeft64(v1, 17) ^ v2
		v2 = bits.RotateLeft64(v2, 32)
	}
	last := uint64(4)<<56 | uint64(v) // length and what is left of the input
	v3 ^= last
	round()
	v0 ^= last
	v2 ^= 0xff
	for range 3 {
		round()
	}
	return uint32(v0 ^ v1 ^ v2 ^ v3)
}
