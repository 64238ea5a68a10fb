package exchange

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/peerage/peerage/realserver/bgp"
)

const localAS = 65000

var localID = netip.MustParseAddr("192.0.2.255")

var bothFamilies = bgp.Families(bgp.IPv4Unicast, bgp.IPv6Unicast)

// router is the other end of a session: it announces and withdraws through
// UPDATEs, and keeps what the bytes that it is sent amount to.
type router struct {
	t      testing.TB
	config PeerConfig
	peer   *Peer
	enc    bgp.Decoder
	dec    bgp.Decoder
	woken  atomic.Bool

	table     map[netip.Prefix]string
	ended     map[bgp.Family]int
	begun     map[bgp.Family]int // Begin-of-RR
	refreshed map[bgp.Family]int // End-of-RR
	// early are prefixes that came after End-of-RIB was due to have been sent.
	messages, announced int
	problem             string
}

func newRouter(t testing.TB, i int, c PeerConfig) *router {
	c.Name = fmt.Sprintf("session-%d", i)
	c.LocalID, c.LocalAddr, c.LocalAS = localID, localID, localAS
	c.PeerID = netip.AddrFrom4([4]byte{10, 255, byte(i >> 8), byte(i)})
	c.PeerAddr = netip.AddrFrom4([4]byte{10, 254, byte(i >> 8), byte(i)})
	if c.Families == 0 {
		c.Families = bothFamilies
	}
	if c.AS == 0 {
		c.AS = localAS
	}
	r := &router{t: t, config: c}
	r.config.Wake = func() { r.woken.Store(true) }
	internal := c.AS == c.LocalAS
	r.enc.Peer = bgp.Peer{FourOctetAS: true, Internal: internal, LocalAS: localAS, AS: c.AS, LocalID: localID, Families: c.Families}
	r.dec.Peer = bgp.Peer{FourOctetAS: c.FourOctetAS, Internal: internal, LocalAS: c.AS, AS: localAS, LocalID: c.PeerID, Families: c.Families}
	return r
}

func (r *router) join(x *Exchange) {
	p, err := x.Join(context.Background(), r.config)
	if err != nil {
		r.t.Fatal(err)
	}
	r.peer = p
	r.table, r.ended = map[netip.Prefix]string{}, map[bgp.Family]int{}
	r.begun, r.refreshed = map[bgp.Family]int{}, map[bgp.Family]int{}
}

func (r *router) leave() {
	if err := r.peer.Leave(context.Background()); err != nil {
		r.t.Error(err)
	}
	r.peer = nil
}

// update encodes one UPDATE of a family.
func update(f bgp.Family, announced, withdrawn []netip.Prefix, attributes []byte, hop netip.Addr) []byte {
	var reach, gone []byte
	for _, p := range announced {
		reach = bgp.AppendPrefix(reach, p)
	}
	for _, p := range withdrawn {
		gone = bgp.AppendPrefix(gone, p)
	}
	if f == bgp.IPv4Unicast {
		if len(announced) > 0 {
			attributes = bgp.AppendNextHop(slices.Clone(attributes), hop)
		} else {
			attributes = nil
		}
		return bgp.AppendUpdate(nil, gone, attributes, reach)
	}
	attributes = slices.Clone(attributes)
	if len(announced) > 0 {
		attributes = bgp.AppendReach(attributes, hop, reach)
	} else {
		attributes = nil
	}
	if len(withdrawn) > 0 {
		attributes = bgp.AppendUnreach(attributes, f, gone)
	}
	return bgp.AppendUpdate(nil, nil, attributes, nil)
}

// send sends UPDATEs to the exchange.
func (r *router) send(messages ...[]byte) {
	var routes bgp.Routes
	for _, m := range messages {
		if err := r.enc.Decode(m[bgp.HeaderLen:], &routes); err != nil {
			r.t.Fatal(err)
		}
		if routes.Action != bgp.None || routes.Loop {
			r.t.Fatalf("the test sends a bad UPDATE: %s", routes.Reason)
		}
		if err := r.peer.Update(context.Background(), &routes); err != nil {
			r.t.Fatal(err)
		}
	}
	if err := r.peer.Flush(context.Background()); err != nil {
		r.t.Fatal(err)
	}
}

// receive takes what there is, at most so many times.
func (r *router) receive(most, times int) {
	for range times {
		messages, more := r.peer.Next(most)
		total := 0
		for _, b := range messages {
			total += len(b)
			r.replay(b)
		}
		if total > most && len(messages) > 1 {
			r.fail("Next(%d) returned %d bytes in %d pieces", most, total, len(messages))
		}
		if !more {
			return
		}
	}
}

func (r *router) fail(format string, args ...any) {
	if r.problem == "" {
		r.problem = r.config.Name + ": " + fmt.Sprintf(format, args...)
	}
}

func (r *router) replay(b []byte) {
	limit := bgp.MaxMessage
	if r.config.ExtendedMessage {
		limit = bgp.MaxExtendedMessage
	}
	for len(b) > 0 {
		m, n, err := bgp.Next(b, limit)
		if err != nil || n == 0 {
			r.fail("not whole messages: %v", err)
			return
		}
		b = b[n:]
		r.messages++
		switch m.Type {
		case bgp.TypeUpdate:
			r.update(m.Body)
		case bgp.TypeRouteRefresh:
			refresh, _ := bgp.DecodeRouteRefresh(m.Body)
			if refresh.Subtype == bgp.RefreshBegin {
				r.begun[refresh.Family]++
			} else {
				r.refreshed[refresh.Family]++
			}
		default:
			r.fail("unexpected %s", m.Type)
		}
	}
}

func (r *router) update(body []byte) {
	var routes bgp.Routes
	if err := r.dec.Decode(body, &routes); err != nil {
		r.fail("%v", err)
		return
	}
	if routes.Action != bgp.None || routes.Loop || routes.Ignored {
		r.fail("is sent what is not for it: %s", routes.Reason)
	}
	if f, ok := routes.EndOfRIB(); ok {
		r.ended[f]++
	}
	for i := range routes.Parts {
		part := &routes.Parts[i]
		for p := range bgp.Prefixes(part.Family.AFI, part.Withdrawn) {
			delete(r.table, p)
		}
		key := string(bgp.AppendKey(nil, part, routes.Attributes))
		for p := range bgp.Prefixes(part.Family.AFI, part.Announced) {
			r.table[p] = key
			r.announced++
		}
	}
}

// attributes makes a set for a test: variants differ in what is compared, and
// in a community.
func attributes(variant int, internal bool) []byte {
	b := bgp.AppendOrigin(nil, byte(variant%2))
	path := []uint32{uint32(100 + variant%3), 200}
	if variant%5 == 0 {
		path = append(path, 300000)
	}
	b = bgp.AppendASPath(b, path...)
	if variant%3 > 0 {
		b = bgp.AppendMED(b, uint32(variant%4))
	}
	if internal {
		b = bgp.AppendAttribute(b, bgp.FlagTransitive, bgp.AttrLocalPref, binary.BigEndian.AppendUint32(nil, uint32(100+variant%2)))
	}
	return bgp.AppendCommunities(b, uint32(variant))
}

func hop(f bgp.Family, i int) netip.Addr {
	if f == bgp.IPv4Unicast {
		return netip.AddrFrom4([4]byte{10, 253, byte(i >> 8), byte(i)})
	}
	return netip.AddrFrom16([16]byte{0x20, 0x01, 0xd, 0xb8, 0xff, 14: byte(i >> 8), 15: byte(i)})
}
