package swarm

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"github.com/peerage/peerage/realserver/bgp"
)

var errSetTooLarge = errors.New("the attributes of a route set leave no room for a prefix in a message of 4,096 bytes")

// RouteSet is prefixes that share their attributes.
type RouteSet struct {
	Prefixes []netip.Prefix
	// Path follows the session's own AS in the AS_PATH; at most 254 numbers.
	Path        []uint32
	Communities []uint32
	MED         uint32 // 0: none
}

// NewTable encodes route sets. An IPv6 next hop is the session's source when
// that is an IPv6 address, else the IPv4-mapped form of it.
func NewTable(sets []RouteSet) (*Table, error) {
	var b Builder
	for _, set := range sets {
		if err := b.AddSet(set); err != nil {
			return nil, err
		}
	}
	return b.Table(), nil
}

// AddSet adds a route set.
func (b *Builder) AddSet(set RouteSet) error {
	a := set.attributes()
	var v4, v6 []byte
	for _, p := range set.Prefixes {
		if p.Addr().Is4() {
			v4 = bgp.AppendPrefix(v4, p)
		} else {
			v6 = bgp.AppendPrefix(v6, p)
		}
	}
	return errors.Join(b.Add(true, a, v4), b.Add(false, a, v6))
}

func (set *RouteSet) attributes() (a Attributes) {
	if n := min(len(set.Path), 254); n > 0 {
		a.Path = []byte{2, byte(n)}
		for _, as := range set.Path[:n] {
			a.Path = binary.BigEndian.AppendUint32(a.Path, as)
		}
	}
	if set.MED != 0 {
		a.More = bgp.AppendMED(a.More, set.MED)
	}
	if len(set.Communities) > 0 {
		a.More = bgp.AppendCommunities(a.More, set.Communities...)
	}
	return a
}

// NewDefaultTable is a default route in each family.
func NewDefaultTable() *Table {
	var b Builder
	b.add(true, Attributes{}, routes{nlri: []byte{0}, count: 1})
	b.add(false, Attributes{}, routes{nlri: []byte{0}, count: 1})
	return b.Table()
}

// Blocks that the prefixes of single sessions come from: /24s from 11.0.0.0 to
// 126.255.255.0, and /48s of the documentation prefix 3fff::/20 (RFC 9637). No
// IPv4 block for documentation is large enough.
const (
	own4First = 11 << 16
	own4Count = 116 << 16 // and more of the others
)

// MaxOwnPrefixes bounds the prefixes that each session has for itself.
const MaxOwnPrefixes = 100_000

// NewOwnTable is n prefixes in each family that no other session announces.
func NewOwnTable(n int) *Table {
	b := Builder{}
	b.table.own = n
	const perMessage = 200
	for first := 0; first < n; first += perMessage {
		count := min(perMessage, n-first)
		r4, r6 := routes{count: count, stride: uint32(n)}, routes{count: count, stride: uint32(n)}
		for i := range count {
			number := uint32(first + i)
			r4.patches = append(r4.patches, patch{uint16(len(r4.nlri) + 1), patchOwn4, number})
			r4.nlri = append(r4.nlri, 24, 0, 0, 0)
			r6.patches = append(r6.patches, patch{uint16(len(r6.nlri) + 1), patchOwn6, number})
			r6.nlri = append(r6.nlri, 48, 0, 0, 0, 0, 0, 0)
		}
		b.add(true, Attributes{}, r4)
		b.add(false, Attributes{}, r6)
	}
	return b.Table()
}

func ownPrefix4(number uint32) (a [4]byte) {
	binary.BigEndian.PutUint32(a[:], (own4First+number)<<8)
	return a
}

func ownPrefix6(number uint32) (a [8]byte) {
	binary.BigEndian.PutUint64(a[:], 0x3fff<<48|uint64(number)<<16)
	return a
}

// fits tells whether n sessions have prefixes of their own.
func (t *Table) fits(n int) bool {
	return t == nil || uint64(t.own)*uint64(n) <= own4Count
}
