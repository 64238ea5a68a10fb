package bgp

import (
	"encoding/binary"
	"net/netip"
)

// Peer is what decoding must know of a session.
type Peer struct {
	// FourOctetAS: both sides offered the capability (RFC 6793).
	FourOctetAS bool
	// Internal: the peer is in the same AS.
	Internal bool
	// EnforceFirstAS treats routes of an external peer as withdrawn whose path
	// does not begin with the peer's AS (RFC 7606 section 7.2).
	EnforceFirstAS bool
	LocalAS, AS    uint32
	// LocalID is the own BGP identifier, which is the cluster id too.
	LocalID netip.Addr
	// LocalAddr is the own end of the session: never an acceptable next hop
	// (RFC 4271 section 6.3). May be left out.
	LocalAddr netip.Addr
	// Families are those negotiated; routes of others are ignored.
	Families FamilySet
}

// Action is what RFC 7606 has done with an UPDATE that has errors, from weak
// to strong. What must reset the session is an error instead.
type Action uint8

// The actions of RFC 7606 section 2.
const (
	None Action = iota
	AttributeDiscard
	TreatAsWithdraw
	sessionReset
)

// String names the action as the RFC does.
func (a Action) String() string {
	switch a {
	case None:
		return "none"
	case AttributeDiscard:
		return "attribute discard"
	case TreatAsWithdraw:
		return "treat-as-withdraw"
	case sessionReset:
	}
	return "session reset"
}

// Routes is one validated UPDATE. The slices point into the message or into
// the Decoder and are valid until its next Decode.
type Routes struct {
	// Parts are the routes. What they withdraw goes first, each Part's own
	// withdrawals before what it announces: a prefix that one message withdraws
	// and announces is announced (RFC 4271 section 4.3).
	Parts []Part
	// Attributes is the canonical set of what is announced: sorted by type,
	// minimal flags and lengths, 4-octet AS_PATH with AS4_PATH merged in, and
	// without NEXT_HOP, MP_REACH_NLRI, MP_UNREACH_NLRI and what the RFCs have
	// discarded. Nil when nothing is announced.
	Attributes []byte
	// Rank is what choosing between routes needs of the attributes.
	Rank
	// Action is what was done about errors; with TreatAsWithdraw, Parts has all
	// routes as withdrawn.
	Action Action
	// Loop tells that the routes came back to us: Parts has them as withdrawn,
	// which is no error.
	Loop bool
	// Ignored tells that there were routes of families not negotiated.
	Ignored bool
	// Reason says why there is an Action or a Loop.
	Reason string

	end     Family
	endOfIt bool
}

// Part is the routes of one family with one next hop.
type Part struct {
	Family Family
	// Withdrawn and Announced are encoded and syntactically correct.
	Withdrawn, Announced []byte
	// NextHop is set when something is announced; LinkLocal may be, for IPv6
	// (RFC 2545 section 3). A router without global address gives its
	// link-local one as NextHop.
	NextHop, LinkLocal netip.Addr
}

// Rank is what route selection compares (RFC 4271 section 9.1.2.2, RFC 4456
// section 9). It has no pointers.
type Rank struct {
	LocalPref uint32 // DefaultLocalPref when the route has none
	MED       uint32 // 0 when the route has none
	// PathLen counts a set as one and confederation segments not at all.
	PathLen uint32
	// FirstAS is the neighbouring AS, within which MEDs compare; 0 when the
	// path is empty or begins with a set: the route is of the own AS.
	FirstAS uint32
	// OriginatorID is 0 when the route has none.
	OriginatorID uint32
	ClusterLen   uint16
	Origin       uint8
	HasMED       bool
}

// DefaultLocalPref is the degree of preference of a route without LOCAL_PREF.
const DefaultLocalPref = 100

// EndOfRIB tells whether the message is the End-of-RIB marker of a family
// (RFC 4724 section 2).
func (r *Routes) EndOfRIB() (Family, bool) { return r.end, r.endOfIt }

// reset empties r and keeps its memory.
func (r *Routes) reset() { *r = Routes{Parts: r.Parts[:0]} }

// part adds an empty part.
func (r *Routes) part() *Part {
	if n := len(r.Parts); n < cap(r.Parts) {
		r.Parts = r.Parts[:n+1]
		r.Parts[n] = Part{}
	} else {
		r.Parts = append(r.Parts, Part{})
	}
	return &r.Parts[len(r.Parts)-1]
}

// announces tells whether any part announces routes.
func (r *Routes) announces() bool {
	for i := range r.Parts {
		if len(r.Parts[i].Announced) > 0 {
			return true
		}
	}
	return false
}

// withdrawAll turns what is announced into withdrawals.
func (r *Routes) withdrawAll() {
	for i := range r.Parts {
		p := &r.Parts[i]
		if len(p.Announced) == 0 {
			continue
		}
		gone := Part{Family: p.Family, Withdrawn: p.Announced}
		if len(p.Withdrawn) == 0 {
			*p = gone
			continue
		}
		*p = Part{Family: p.Family, Withdrawn: p.Withdrawn}
		r.Parts = append(r.Parts, gone)
	}
	r.Attributes, r.Rank = nil, Rank{}
}

// NextHopBytes appends the next hop of the part as MP_REACH_NLRI encodes it:
// 4, 16 or 32 bytes.
func (p *Part) NextHopBytes(b []byte) []byte {
	if p.NextHop.Is4() {
		a := p.NextHop.As4()
		return append(b, a[:]...)
	}
	a := p.NextHop.As16()
	b = append(b, a[:]...)
	if p.LinkLocal.IsValid() {
		a = p.LinkLocal.As16()
		b = append(b, a[:]...)
	}
	return b
}

// AppendKey appends the key by which a set of attributes with a next hop is
// kept once: the length of the next hop, the next hop, the attributes.
func AppendKey(b []byte, p *Part, attributes []byte) []byte {
	at := len(b)
	b = p.NextHopBytes(append(b, 0))
	b[at] = byte(len(b) - at - 1)
	return append(b, attributes...)
}

// SplitKey splits what AppendKey made.
func SplitKey(key []byte) (nextHop, attributes []byte) {
	if len(key) == 0 || int(key[0]) > len(key)-1 {
		return nil, nil
	}
	return key[1 : 1+key[0]], key[1+key[0]:]
}

// NextHops reads an encoded next hop.
func NextHops(b []byte) (hop, linkLocal netip.Addr) {
	switch len(b) {
	case 4:
		hop = netip.AddrFrom4([4]byte(b))
	case 16:
		hop = netip.AddrFrom16([16]byte(b))
	case 32:
		hop, linkLocal = netip.AddrFrom16([16]byte(b)), netip.AddrFrom16([16]byte(b[16:]))
		if hop.IsUnspecified() {
			hop = linkLocal
		}
		// Routers without a global address give the link-local one twice.
		if !linkLocal.IsLinkLocalUnicast() || hop.IsLinkLocalUnicast() {
			linkLocal = netip.Addr{}
		}
	}
	return hop, linkLocal
}

// addr32 is an IPv4 address as a number, 0 for none.
func addr32(a netip.Addr) uint32 {
	if !a.Is4() {
		return 0
	}
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}
