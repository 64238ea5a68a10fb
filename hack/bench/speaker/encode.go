package speaker

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"

	"github.com/peerage/peerage/realserver/bgp"
)

// sharing says what the feeds' attributes of the same prefixes have in common
// in the work collect. That decides the memory of every speaker that stores
// equal attributes once, so it is part of each result.
type sharing string

// The kinds. Own means that nothing is shared, as in the reflecting works.
const (
	// shareAll: routers that pass on what one border router learned.
	shareAll sharing = "all"
	// shareHop: all but the next hop is the same: one customer's border routers.
	shareHop sharing = "hop"
	// shareAS: next hop and first AS are each feed's own: as many customers.
	shareAS sharing = "as"
)

// feedHop is the next hop that tells whose path one is.
func feedHop(feed int) netip.Addr { return netip.AddrFrom4([4]byte{10, 255, 0, byte(feed + 1)}) }

// message is an UPDATE per group of the table; the order is each feed's own.
func (t *table) encode(feed int) *stream {
	order := rand.New(rand.NewPCG(uint64(feed)+1, 7)).Perm(len(t.groups))
	s := &stream{bytes: make([]byte, 0, 90*len(t.groups)+4*t.n)}
	var attributes, nlri []byte
	for _, g := range order {
		attributes = t.attributes(attributes[:0], g, feed)
		nlri = t.nlri(nlri[:0], g)
		s.add(attributes, nlri)
	}
	return s
}

func (t *table) nlri(b []byte, g int) []byte {
	for i := range t.groups[g].n {
		b = t.plan.append(b, t.groups[g].at+i)
	}
	return b
}

// attributes are those of one group from one feed: a path of 2 to 5 ASes,
// a next hop that names the feed, and up to 5 communities. LOCAL_PREF ranks
// the feeds strictly, so that every speaker must choose the same paths.
func (t *table) attributes(b []byte, g, feed int) []byte {
	h := mix(uint64(g)<<8 | uint64(feed))
	b = bgp.AppendOrigin(b, 0)
	b, h = appendPath(b, h)
	b = bgp.AppendNextHop(b, feedHop(feed))
	b = bgp.AppendMED(b, 0)
	b = bgp.AppendAttribute(b, 0x40, bgp.AttrLocalPref, binary.BigEndian.AppendUint32(nil, uint32(400-t.rank(g, feed))))
	return appendCommunities(b, h, int(mix(uint64(g))%6))
}

func appendPath(b []byte, h uint64) ([]byte, uint64) {
	path := make([]uint32, 2+h%4)
	for i := range path {
		h = mix(h)
		path[i] = uint32(1 + h%400_000)
		if a := path[i]; a == localAS || a == bgp.ASTrans || a == 65535 {
			path[i]++ // the speaker's own, and reserved ones
		}
	}
	return bgp.AppendASPath(b, path...), h
}

func appendCommunities(b []byte, h uint64, n int) []byte {
	if n == 0 {
		return b
	}
	all := make([]uint32, n)
	for i := range all {
		h = mix(h)
		all[i] = uint32(h) &^ (1 << 31) // never a well-known one
	}
	return bgp.AppendCommunities(b, all...)
}

// mix is SplitMix64: a hash of a number.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// stream is the encoded messages of a feed. It is never changed: feeds of the
// work collect share one, and each patches what it sends.
type stream struct {
	bytes []byte
	ends  []int // where chunks of whole messages end, at most chunkSize long
}

// chunkSize is what is written at once.
const chunkSize = 64 << 10

func (s *stream) add(attributes, nlri []byte) {
	start := len(s.bytes)
	s.bytes = bgp.AppendUpdate(s.bytes, nil, attributes, nlri)
	last := len(s.ends) - 1
	if last >= 0 && len(s.bytes)-s.start(last) <= chunkSize {
		s.ends[last] = len(s.bytes)
		return
	}
	if last >= 0 {
		s.ends[last] = start
	}
	s.ends = append(s.ends, len(s.bytes))
}

// start is where a chunk begins.
func (s *stream) start(chunk int) int {
	if chunk == 0 {
		return 0
	}
	return s.ends[chunk-1]
}

func (s *stream) chunk(i int) []byte { return s.bytes[s.start(i):s.ends[i]] }

// collected is the stream that all feeds of the work collect send, before
// patching: external sessions have no LOCAL_PREF.
func (t *table) collected() *stream {
	s := &stream{bytes: make([]byte, 0, 80*len(t.groups)+4*t.n)}
	var attributes, nlri []byte
	for g := range t.groups {
		h := mix(uint64(g) << 8)
		attributes = bgp.AppendOrigin(attributes[:0], 0)
		attributes, h = appendPath(attributes, h)
		attributes = bgp.AppendNextHop(attributes, feedHop(0))
		attributes = appendCommunities(attributes, h, int(mix(uint64(g))%6))
		nlri = t.nlri(nlri[:0], g)
		s.add(attributes, nlri)
	}
	return s
}

// patch makes a copy of a chunk of a collected stream one of a feed: ORIGIN,
// AS_PATH and NEXT_HOP are at known places, for encode put them there.
func patch(chunk []byte, as uint32, hop netip.Addr) {
	const pathAt = bgp.HeaderLen + 4 + 4 // lengths, ORIGIN
	a := hop.As4()
	for len(chunk) > 0 {
		binary.BigEndian.PutUint32(chunk[pathAt+5:], as)
		copy(chunk[pathAt+5+4*int(chunk[pathAt+4])+3:], a[:])
		chunk = chunk[binary.BigEndian.Uint16(chunk[16:]):]
	}
}

// feedAS is the AS of a feed of the work collect, and the first of its paths.
func (s sharing) feedAS(feed int) uint32 {
	if s == shareAS {
		return collectAS + uint32(feed)
	}
	return collectAS
}

func (s sharing) feedHop(feed int) netip.Addr {
	if s == shareAll {
		return feedHop(0)
	}
	return feedHop(feed)
}

// AS numbers of the works: the speaker's, and that of the first collected feed.
const (
	localAS   = 65000
	collectAS = 65101
)
