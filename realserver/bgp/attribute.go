package bgp

import (
	"encoding/binary"
	"iter"
	"net/netip"
)

// AttrType is a path attribute type code.
type AttrType uint8

// The attribute flags of RFC 4271 section 4.3.
const (
	FlagOptional   = 0x80
	FlagTransitive = 0x40
	FlagPartial    = 0x20
	FlagExtended   = 0x10
)

// Attribute is one path attribute as it stands in a message.
type Attribute struct {
	Flags byte
	Type  AttrType
	Value []byte
}

// Attributes iterates over encoded path attributes. A length that exceeds the
// list ends the iteration with an error.
func Attributes(b []byte) iter.Seq2[Attribute, error] {
	return func(yield func(Attribute, error) bool) {
		for len(b) > 0 {
			a, n, ok := cutAttribute(b)
			if !ok {
				yield(a, Errorf(CodeUpdate, SubMalformedAttributeList, nil, "a path attribute exceeds the list"))
				return
			}
			if !yield(a, nil) {
				return
			}
			b = b[n:]
		}
	}
}

// AppendAttribute appends an attribute; the extended length is used when the
// value needs it.
func AppendAttribute(b []byte, flags byte, t AttrType, value []byte) []byte {
	if len(value) > 255 {
		b = append(b, flags|FlagExtended, byte(t))
		b = binary.BigEndian.AppendUint16(b, uint16(len(value)))
	} else {
		b = append(b, flags&^FlagExtended, byte(t), byte(len(value)))
	}
	return append(b, value...)
}

// AppendOrigin appends ORIGIN: 0 IGP, 1 EGP, 2 incomplete.
func AppendOrigin(b []byte, origin byte) []byte {
	return AppendAttribute(b, FlagTransitive, AttrOrigin, []byte{origin})
}

// AppendASPath appends an AS_PATH of one AS_SEQUENCE with 4-octet numbers
// (RFC 6793); an empty path is an empty attribute. At most 255 numbers.
func AppendASPath(b []byte, path ...uint32) []byte {
	var v []byte
	if len(path) > 0 {
		v = append(v, 2, byte(len(path)))
		for _, as := range path {
			v = binary.BigEndian.AppendUint32(v, as)
		}
	}
	return AppendAttribute(b, FlagTransitive, AttrASPath, v)
}

// AppendNextHop appends NEXT_HOP for IPv4 unicast.
func AppendNextHop(b []byte, hop netip.Addr) []byte {
	a := hop.As4()
	return AppendAttribute(b, FlagTransitive, AttrNextHop, a[:])
}

// AppendMED appends MULTI_EXIT_DISC.
func AppendMED(b []byte, med uint32) []byte {
	return AppendAttribute(b, FlagOptional, AttrMED, binary.BigEndian.AppendUint32(nil, med))
}

// AppendLocalPref appends LOCAL_PREF.
func AppendLocalPref(b []byte, pref uint32) []byte {
	return append(b, FlagTransitive, byte(AttrLocalPref), 4, byte(pref>>24), byte(pref>>16), byte(pref>>8), byte(pref))
}

// AppendCommunities appends COMMUNITIES, as AS<<16 | value.
func AppendCommunities(b []byte, communities ...uint32) []byte {
	v := make([]byte, 0, 4*len(communities))
	for _, c := range communities {
		v = binary.BigEndian.AppendUint32(v, c)
	}
	return AppendAttribute(b, FlagOptional|FlagTransitive, AttrCommunities, v)
}

// AppendLargeCommunities appends LARGE_COMMUNITIES.
func AppendLargeCommunities(b []byte, communities ...LargeCommunity) []byte {
	v := make([]byte, 0, 12*len(communities))
	for _, c := range communities {
		v = append(v, c[:]...)
	}
	return AppendAttribute(b, FlagOptional|FlagTransitive, AttrLargeCommunities, v)
}

// AppendReach appends MP_REACH_NLRI for IPv6 unicast with one global next hop
// (RFC 2545 section 3); nlri is encoded.
func AppendReach(b []byte, hop netip.Addr, nlri []byte) []byte {
	a := hop.As16()
	v := make([]byte, 0, 21+len(nlri))
	v = append(v, 0, byte(AFIIPv6), byte(SAFIUnicast), 16)
	v = append(v, a[:]...)
	v = append(v, 0)
	return AppendAttribute(b, FlagOptional, AttrMPReach, append(v, nlri...))
}

// AppendUnreach appends MP_UNREACH_NLRI; nlri is encoded.
func AppendUnreach(b []byte, f Family, nlri []byte) []byte {
	v := binary.BigEndian.AppendUint16(nil, uint16(f.AFI))
	v = append(v, byte(f.SAFI))
	return AppendAttribute(b, FlagOptional, AttrMPUnreach, append(v, nlri...))
}

// AppendUpdate appends an UPDATE from its encoded parts.
func AppendUpdate(b, withdrawn, attributes, nlri []byte) []byte {
	start := len(b)
	b = appendHeader(b, TypeUpdate)
	b = binary.BigEndian.AppendUint16(b, uint16(len(withdrawn)))
	b = append(b, withdrawn...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(attributes)))
	b = append(b, attributes...)
	return finish(append(b, nlri...), start)
}

// AppendEndOfRIB appends the End-of-RIB marker of a family (RFC 4724).
func AppendEndOfRIB(b []byte, f Family) []byte {
	if f == IPv4Unicast {
		return AppendUpdate(b, nil, nil, nil)
	}
	return AppendUpdate(b, nil, AppendUnreach(nil, f, nil), nil)
}
