package swarm

import (
	"encoding/binary"
	"net/netip"

	"github.com/peerage/peerage/realserver/bgp"
)

// Table is a set of routes encoded once as UPDATEs and shared by all sessions.
// What differs between sessions, the first AS of the path, the next hop and
// numbered prefixes, is patched into a borrowed copy on its way to the socket:
// a thousand full tables take the memory of one. A nil Table has no routes.
type Table struct {
	v4, v6   tableFamily
	own      int // prefixes of its own that each session announces
	prefixes int
	messages int
}

type tableFamily struct {
	chunks []chunk
	steps  []churnStep
}

// chunk is a run of whole messages, small enough for one borrowed buffer.
type chunk struct {
	bytes   []byte
	patches []patch
	stride  uint32 // from a session's own prefixes to the next session's
}

// churnStep is the routes of one UPDATE, to be withdrawn and announced again.
type churnStep struct {
	announce, withdraw chunk
	prefixes           int
}

// maxSteps bounds the UPDATEs of a family that take part in the churn.
const maxSteps = 256

// patch is a place in a chunk that each session fills in.
type patch struct {
	at     uint16
	kind   patchKind
	number uint32 // patchOwn4, patchOwn6: which of the session's prefixes
}

type patchKind uint8

const (
	patchAS       patchKind = iota // 4 bytes: the session's AS
	patchNextHop4                  // 4 bytes: its source
	patchNextHop6                  // 16 bytes: its source
	patchOwn4                      // 3 bytes: a /24 of its own
	patchOwn6                      // 6 bytes: a /48 of its own
)

// Prefixes is the number of routes in the table, both families together.
func (t *Table) Prefixes() int {
	if t == nil {
		return 0
	}
	return t.prefixes
}

// Bytes is the memory that the encoded routes take.
func (t *Table) Bytes() (n int) {
	for _, c := range append(append([]chunk(nil), t.v4.chunks...), t.v6.chunks...) {
		n += len(c.bytes)
	}
	return n
}

func (t *Table) family(f bgp.Family) *tableFamily {
	switch {
	case t == nil:
		return &tableFamily{}
	case f == bgp.IPv4Unicast:
		return &t.v4
	}
	return &t.v6
}

// of is the routes of the family of a source.
func (t *Table) of(source netip.Addr) *tableFamily {
	if source.Is4() {
		return t.family(bgp.IPv4Unicast)
	}
	return t.family(bgp.IPv6Unicast)
}

// Attributes are what the routes of an UPDATE share.
type Attributes struct {
	Origin byte
	// Path is the value of an AS_PATH with 4-octet numbers; it follows the
	// session's own AS.
	Path []byte
	// More is encoded attributes of higher type codes than NEXT_HOP.
	More []byte
}

// Builder encodes a table.
type Builder struct {
	table   Table
	current [2]chunk // that are being filled: IPv4, IPv6
}

// chunkSize keeps a chunk inside one borrowed buffer.
const chunkSize = 32 << 10

// routes is the encoded prefixes of one UPDATE.
type routes struct {
	nlri    []byte
	patches []patch // in nlri
	count   int
	stride  uint32
}

// Add adds the routes to encoded prefixes of one family; they are split where
// a message is full.
func (b *Builder) Add(v4 bool, a Attributes, nlri []byte) error {
	afi := bgp.AFIIPv6
	if v4 {
		afi = bgp.AFIIPv4
	}
	// Less an octet that MP_REACH_NLRI needs once it is longer than 255.
	room := bgp.MaxMessage - 1 - len(encode(v4, a, routes{}).bytes)
	for len(nlri) > 0 {
		r, err := take(afi, nlri, room)
		if err != nil {
			return err
		}
		b.add(v4, a, r)
		nlri = nlri[len(r.nlri):]
	}
	return nil
}

// take takes the prefixes that fit into room.
func take(afi bgp.AFI, nlri []byte, room int) (r routes, err error) {
	n := 0
	for n < len(nlri) {
		size := 1 + (int(nlri[n])+7)/8
		if n+size > room {
			break
		}
		n += size
		r.count++
	}
	if r.count == 0 {
		return r, errSetTooLarge
	}
	r.nlri = nlri[:min(n, len(nlri))]
	_, err = bgp.CountPrefixes(afi, r.nlri)
	return r, err
}

// add adds one UPDATE.
func (b *Builder) add(v4 bool, a Attributes, r routes) {
	m := encode(v4, a, r)
	f, cur := &b.table.v6, &b.current[1]
	if v4 {
		f, cur = &b.table.v4, &b.current[0]
	}
	if len(cur.bytes)+len(m.bytes) > chunkSize {
		f.chunks = append(f.chunks, *cur)
		*cur = chunk{}
	}
	cur.join(m)
	if len(f.steps) < maxSteps {
		f.steps = append(f.steps, churnStep{announce: m, withdraw: encodeWithdrawal(v4, r), prefixes: r.count})
	}
	b.table.prefixes += r.count
	b.table.messages++
}

// Table ends the building.
func (b *Builder) Table() *Table {
	for i, f := range []*tableFamily{&b.table.v4, &b.table.v6} {
		if len(b.current[i].bytes) > 0 {
			f.chunks = append(f.chunks, b.current[i])
		}
		b.current[i] = chunk{}
	}
	return &b.table
}

// join appends messages.
func (c *chunk) join(m chunk) {
	base := uint16(len(c.bytes)) // at most chunkSize
	for _, p := range m.patches {
		p.at += base
		c.patches = append(c.patches, p)
	}
	c.bytes, c.stride = append(c.bytes, m.bytes...), m.stride
}

// encode encodes one UPDATE and notes where a session's own values go.
func encode(v4 bool, a Attributes, r routes) chunk {
	var attrs []byte
	if !v4 {
		// RFC 7606 section 5.1: MP_REACH_NLRI goes first.
		attrs = bgp.AppendReach(nil, netip.IPv6Unspecified(), r.nlri)
	}
	attrs = bgp.AppendOrigin(attrs, a.Origin)
	path := prepend(a.Path)
	attrs = bgp.AppendAttribute(attrs, bgp.FlagTransitive, bgp.AttrASPath, path)
	as := len(attrs) - len(path) + 2
	hop := len(attrs) + 3
	if v4 {
		attrs = bgp.AppendNextHop(attrs, netip.IPv4Unspecified())
	}
	attrs = append(attrs, a.More...)

	const start = bgp.HeaderLen + 4 // two lengths
	c := chunk{patches: []patch{{at: uint16(start + as), kind: patchAS}}}
	nlri := 0
	if v4 {
		c.bytes = bgp.AppendUpdate(nil, nil, attrs, r.nlri)
		c.patches = append(c.patches, patch{at: uint16(start + hop), kind: patchNextHop4})
		nlri = len(c.bytes) - len(r.nlri)
	} else {
		head := 3
		if attrs[0]&bgp.FlagExtended != 0 {
			head = 4
		}
		c.bytes = bgp.AppendUpdate(nil, nil, attrs, nil)
		// AFI, SAFI and a length come before the next hop, one octet after it.
		c.patches = append(c.patches, patch{at: uint16(start + head + 4), kind: patchNextHop6})
		nlri = start + head + 21
	}
	c.patchNLRI(nlri, r)
	return c
}

// encodeWithdrawal encodes the UPDATE that takes routes back.
func encodeWithdrawal(v4 bool, r routes) (c chunk) {
	if v4 {
		c.bytes = bgp.AppendUpdate(nil, r.nlri, nil, nil)
		c.patchNLRI(bgp.HeaderLen+2, r)
		return c
	}
	attr := bgp.AppendUnreach(nil, bgp.IPv6Unicast, r.nlri)
	c.bytes = bgp.AppendUpdate(nil, nil, attr, nil)
	c.patchNLRI(len(c.bytes)-len(r.nlri), r)
	return c
}

func (c *chunk) patchNLRI(at int, r routes) {
	c.stride = r.stride
	for _, p := range r.patches {
		p.at += uint16(at)
		c.patches = append(c.patches, p)
	}
}

// prepend puts a place for the session's AS before a path: into its first
// AS_SEQUENCE, or as one of its own (RFC 4271 section 5.1.2).
func prepend(path []byte) []byte {
	const sequence = 2
	if len(path) >= 2 && path[0] == sequence && path[1] < 255 {
		return append([]byte{sequence, path[1] + 1, 0, 0, 0, 0}, path[2:]...)
	}
	return append([]byte{sequence, 1, 0, 0, 0, 0}, path...)
}

// render copies a chunk into b with the session's own values.
func (c *chunk) render(b []byte, r *Record) []byte {
	b = append(b[:0], c.bytes...)
	for _, p := range c.patches {
		switch p.kind {
		case patchAS:
			binary.BigEndian.PutUint32(b[p.at:], r.AS)
		case patchNextHop4:
			hop := nextHop4(r.Source)
			copy(b[p.at:], hop[:])
		case patchNextHop6:
			hop := r.Source.As16()
			copy(b[p.at:], hop[:])
		case patchOwn4:
			a := ownPrefix4(p.number + c.stride*uint32(r.Index))
			copy(b[p.at:], a[:3])
		case patchOwn6:
			a := ownPrefix6(p.number + c.stride*uint32(r.Index))
			copy(b[p.at:], a[:6])
		}
	}
	return b
}

// nextHop4 is the source, or for an IPv6 source an address made of it.
func nextHop4(source netip.Addr) [4]byte {
	if source.Is4() {
		return source.As4()
	}
	a := source.As16()
	return [4]byte{192, 0, 2, a[15]}
}
