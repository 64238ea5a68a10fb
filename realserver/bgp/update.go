package bgp

import (
	"encoding/binary"
	"iter"
	"net/netip"
)

// Update is an UPDATE split into its parts (RFC 4271 section 4.3). The parts
// point into the message.
type Update struct {
	// Withdrawn and NLRI are encoded IPv4 unicast prefixes.
	Withdrawn []byte
	// Attributes are the encoded path attributes.
	Attributes []byte
	NLRI       []byte
	// Reach and Unreach are the contents of MP_REACH_NLRI and
	// MP_UNREACH_NLRI (RFC 4760); nil when absent.
	Reach   *Reach
	Unreach *Unreach
}

// Reach is the content of an MP_REACH_NLRI attribute.
type Reach struct {
	Family  Family
	NextHop []byte
	NLRI    []byte
}

// Unreach is the content of an MP_UNREACH_NLRI attribute.
type Unreach struct {
	Family Family
	NLRI   []byte
}

// DecodeUpdate splits the body of an UPDATE. Its errors are those after which
// the prefixes of the message cannot be told (RFC 7606 section 3, a and j), so
// that the session must end. What can be mended by treating the routes as
// withdrawn is the business of whoever looks at the attributes.
func DecodeUpdate(body []byte) (Update, error) {
	var u Update
	withdrawn, attributes, err := frame(body)
	if err != nil {
		return u, err
	}
	u.Withdrawn, u.Attributes, u.NLRI = body[2:withdrawn], body[withdrawn+2:attributes], body[attributes:]
	return u, u.findMultiprotocol()
}

// findMultiprotocol fills Reach and Unreach.
func (u *Update) findMultiprotocol() error {
	var failed error
	for a, err := range Attributes(u.Attributes) {
		switch {
		case err != nil:
			failed = err
		case a.Type == AttrMPReach && u.Reach == nil:
			u.Reach, failed = decodeReach(a.Value)
		case a.Type == AttrMPUnreach && u.Unreach == nil:
			u.Unreach, failed = decodeUnreach(a.Value)
		case a.Type == AttrMPReach || a.Type == AttrMPUnreach:
			// RFC 7606 section 3 g: more than one of them resets the session.
			failed = Errorf(CodeUpdate, SubMalformedAttributeList, nil, "attribute %d appears twice", a.Type)
		}
		if failed != nil {
			return failed
		}
	}
	return nil
}

func decodeReach(v []byte) (*Reach, error) {
	if len(v) < 5 || int(v[3]) > len(v)-5 {
		return nil, Errorf(CodeUpdate, SubOptionalAttribute, nil, "MP_REACH_NLRI of %d bytes is cut short", len(v))
	}
	f := Family{AFI(binary.BigEndian.Uint16(v)), SAFI(v[2])}
	next := v[4 : 4+int(v[3])]
	return &Reach{f, next, v[5+len(next):]}, nil
}

func decodeUnreach(v []byte) (*Unreach, error) {
	if len(v) < 3 {
		return nil, Errorf(CodeUpdate, SubOptionalAttribute, nil, "MP_UNREACH_NLRI of %d bytes is cut short", len(v))
	}
	return &Unreach{Family{AFI(binary.BigEndian.Uint16(v)), SAFI(v[2])}, v[3:]}, nil
}

// EndOfRIB tells whether the message is the End-of-RIB marker of a family
// (RFC 4724 section 2).
func (u *Update) EndOfRIB() (Family, bool) {
	if len(u.Withdrawn) > 0 || len(u.NLRI) > 0 {
		return Family{}, false
	}
	if len(u.Attributes) == 0 {
		return IPv4Unicast, true
	}
	if u.Unreach != nil && len(u.Unreach.NLRI) == 0 && len(u.Attributes) <= 7 {
		return u.Unreach.Family, true
	}
	return Family{}, false
}

// Count counts the unicast routes that the message announces and withdraws,
// without building them. Other families count as nothing.
func (u *Update) Count() (announced, withdrawn int, err error) {
	if announced, err = CountPrefixes(AFIIPv4, u.NLRI); err != nil {
		return 0, 0, err
	}
	if withdrawn, err = CountPrefixes(AFIIPv4, u.Withdrawn); err != nil {
		return 0, 0, err
	}
	if u.Reach != nil && u.Reach.Family.known() {
		n, err := CountPrefixes(u.Reach.Family.AFI, u.Reach.NLRI)
		if err != nil {
			return 0, 0, err
		}
		announced += n
	}
	if u.Unreach != nil && u.Unreach.Family.known() {
		n, err := CountPrefixes(u.Unreach.Family.AFI, u.Unreach.NLRI)
		if err != nil {
			return 0, 0, err
		}
		withdrawn += n
	}
	return announced, withdrawn, nil
}

// Prefixes iterates over encoded unicast prefixes (RFC 4271 section 4.3, RFC
// 4760 section 5). Bits beyond the prefix length are ignored, as the RFC says.
// The iteration ends after the first error.
func Prefixes(afi AFI, b []byte) iter.Seq2[netip.Prefix, error] {
	return func(yield func(netip.Prefix, error) bool) {
		for len(b) > 0 {
			p, n, err := decodePrefix(afi, b)
			if !yield(p, err) || err != nil {
				return
			}
			b = b[n:]
		}
	}
}

func decodePrefix(afi AFI, b []byte) (netip.Prefix, int, error) {
	maxBits := 32
	if afi == AFIIPv6 {
		maxBits = 128
	}
	bits := int(b[0])
	n := (bits + 7) / 8
	if bits > maxBits || n > len(b)-1 {
		return netip.Prefix{}, 0, Errorf(CodeUpdate, SubInvalidNetworkField, nil, "prefix of length %d in %d bytes", bits, len(b)-1)
	}
	var addr netip.Addr
	if afi == AFIIPv6 {
		var a [16]byte
		copy(a[:], b[1:1+n])
		addr = netip.AddrFrom16(a)
	} else {
		var a [4]byte
		copy(a[:], b[1:1+n])
		addr = netip.AddrFrom4(a)
	}
	// An IPv4-mapped IPv6 prefix stays what it is: Prefix masks 16 bytes.
	p := netip.PrefixFrom(addr, bits).Masked()
	return p, 1 + n, nil
}

// CountPrefixes counts encoded prefixes without building them.
func CountPrefixes(afi AFI, b []byte) (int, error) {
	maxBits := 32
	if afi == AFIIPv6 {
		maxBits = 128
	}
	count := 0
	for len(b) > 0 {
		bits := int(b[0])
		n := 1 + (bits+7)/8
		if bits > maxBits || n > len(b) {
			return count, Errorf(CodeUpdate, SubInvalidNetworkField, nil, "prefix of length %d in %d bytes", bits, len(b)-1)
		}
		count++
		b = b[n:]
	}
	return count, nil
}

// AppendPrefix appends an encoded prefix.
func AppendPrefix(b []byte, p netip.Prefix) []byte {
	b = append(b, byte(p.Bits()))
	n := (p.Bits() + 7) / 8
	if p.Addr().Is4() {
		a := p.Masked().Addr().As4()
		return append(b, a[:n]...)
	}
	a := p.Masked().Addr().As16()
	return append(b, a[:n]...)
}
