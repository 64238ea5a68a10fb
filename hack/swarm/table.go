package swarm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net/netip"

	"github.com/peerage/peerage/realserver/bgp"
)

// Table is a set of routes encoded once as UPDATEs and shared by all sessions.
// What differs between sessions, the first AS of the path and the next hop, is
// patched into a borrowed copy on its way to the socket: a thousand full
// tables take the memory of one.
type Table struct {
	chunks   []chunk
	prefixes int
}

// chunk is a run of whole messages, small enough for one borrowed buffer.
type chunk struct {
	bytes   []byte
	patches []patch
}

// patch is a place in a chunk that each session fills in.
type patch struct {
	at   uint32
	kind patchKind
}

type patchKind uint8

const (
	patchAS       patchKind = iota // 4 bytes: the session's AS
	patchNextHop4                  // 4 bytes: its source
	patchNextHop6                  // 16 bytes: its source
)

// Prefixes is the number of routes in the table.
func (t *Table) Prefixes() int { return t.prefixes }

// RouteSet is prefixes of one family that share their attributes.
type RouteSet struct {
	Prefixes []netip.Prefix
	// Path follows the session's own AS in the AS_PATH.
	Path        []uint32
	Communities []uint32
	MED         uint32 // 0: none
}

// NewTable encodes route sets. An IPv6 next hop is the session's source when
// that is an IPv6 address, else the IPv4-mapped form of it.
func NewTable(sets []RouteSet) (*Table, error) {
	t := &Table{}
	var cur chunk
	flush := func() {
		if len(cur.bytes) > 0 {
			t.chunks = append(t.chunks, cur)
			cur = chunk{}
		}
	}
	for _, set := range sets {
		for len(set.Prefixes) > 0 {
			m, patches, n, err := encodeSet(set)
			if err != nil {
				return nil, err
			}
			if len(cur.bytes)+len(m) > chunkSize {
				flush()
			}
			base := uint32(len(cur.bytes))
			for _, p := range patches {
				cur.patches = append(cur.patches, patch{base + p.at, p.kind})
			}
			cur.bytes = append(cur.bytes, m...)
			t.prefixes += n
			set.Prefixes = set.Prefixes[n:]
		}
	}
	flush()
	return t, nil
}

// chunkSize keeps a chunk inside one borrowed buffer.
const chunkSize = 32 << 10

// Markers stand where a session's own values go; they are found again in the
// encoded message, so that the encoder needs no knowledge of patches.
const markerAS = uint32(0xf0e1d2c3)

var (
	markerHop = netip.MustParseAddr("240.225.210.196")
	marker6   = netip.MustParseAddr("fe80:1e0f:2d3c:4b5a:6978:8796:a5b4:c3d2")
)

var errSetTooLarge = errors.New("the attributes of a route set leave no room for a prefix in a message of 4,096 bytes")

// encodeSet encodes as many prefixes of the set as one message takes.
func encodeSet(set RouteSet) (m []byte, patches []patch, n int, err error) {
	attrs := bgp.AppendOrigin(nil, 0)
	attrs = bgp.AppendASPath(attrs, append([]uint32{markerAS}, set.Path...)...)
	v4 := set.Prefixes[0].Addr().Is4()
	if v4 {
		attrs = bgp.AppendNextHop(attrs, markerHop)
	}
	if set.MED != 0 {
		attrs = bgp.AppendMED(attrs, set.MED)
	}
	if len(set.Communities) > 0 {
		attrs = bgp.AppendCommunities(attrs, set.Communities...)
	}
	// 4 lengths octets, and the head of MP_REACH_NLRI with its next hop.
	room := bgp.MaxMessage - bgp.HeaderLen - 4 - len(attrs) - 32
	var nlri []byte
	for n < len(set.Prefixes) && set.Prefixes[n].Addr().Is4() == v4 && len(nlri)+17 <= room {
		nlri = bgp.AppendPrefix(nlri, set.Prefixes[n])
		n++
	}
	if n == 0 {
		return nil, nil, 0, errSetTooLarge
	}
	if v4 {
		m = bgp.AppendUpdate(nil, nil, attrs, nlri)
	} else {
		m = bgp.AppendUpdate(nil, nil, bgp.AppendReach(attrs, marker6, nlri), nil)
	}
	return m, findPatches(m[:len(m)-len(nlri)], v4), n, nil
}

// findPatches finds the markers in the part of a message before its prefixes.
func findPatches(head []byte, v4 bool) (ps []patch) {
	hop, kind := markerHop.AsSlice(), patchNextHop4
	if !v4 {
		hop, kind = marker6.AsSlice(), patchNextHop6
	}
	as := binary.BigEndian.AppendUint32(nil, markerAS)
	if i := bytes.LastIndex(head, as); i >= 0 {
		ps = append(ps, patch{uint32(i), patchAS})
	}
	if i := bytes.LastIndex(head, hop); i >= 0 {
		ps = append(ps, patch{uint32(i), kind})
	}
	return ps
}

// render copies a chunk into b with the session's own values.
func (c *chunk) render(b []byte, as uint32, source netip.Addr) []byte {
	b = append(b[:0], c.bytes...)
	for _, p := range c.patches {
		switch p.kind {
		case patchAS:
			binary.BigEndian.PutUint32(b[p.at:], as)
		case patchNextHop4:
			hop := nextHop4(source)
			copy(b[p.at:], hop[:])
		case patchNextHop6:
			hop := source.As16()
			copy(b[p.at:], hop[:])
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

// announce sends the table, and the End-of-RIB markers, beside the goroutine
// that reads: a peer that is slow to take it must still be heard.
func (s *session) announce(ctx context.Context) {
	conn, table := s.conn, s.swarm.cfg.Table
	s.sender.Go(func() {
		b := buffers.Get().(*[bgp.MaxExtendedMessage]byte)
		defer buffers.Put(b)
		if table != nil {
			for i := range table.chunks {
				if ctx.Err() != nil {
					return
				}
				if writeTo(conn, table.chunks[i].render(b[:0], s.as, s.source)) != nil {
					return // the reader learns why
				}
			}
		}
		end := bgp.AppendEndOfRIB(b[:0], bgp.IPv4Unicast)
		_ = writeTo(conn, bgp.AppendEndOfRIB(end, bgp.IPv6Unicast))
	})
}
