package exchange

import (
	"encoding/binary"

	"github.com/peerage/peerage/realserver/bgp"
	"github.com/peerage/peerage/realserver/rib"
)

// Attribute sets are most of the memory of a table, and the greater part of
// a set is the same everywhere: flags, types, lengths, the upper byte of AS
// numbers. So sets are kept squeezed: a byte for a common attribute with its
// usual flags, no length where there is only one, three bytes for an AS
// number. Of one set there is one squeezed form, by which it is interned.

// usual are the common attributes; the index is the byte that stands for one.
var usual = [...]struct {
	t      bgp.AttrType
	flags  byte
	length int // -1: it differs, and a byte tells
}{
	{}, // any other attribute: flags, type, and a length in two bytes
	{bgp.AttrOrigin, bgp.FlagTransitive, 1},
	{bgp.AttrASPath, bgp.FlagTransitive, -1},
	{bgp.AttrMED, bgp.FlagOptional, 4},
	{bgp.AttrLocalPref, bgp.FlagTransitive, 4},
	{bgp.AttrAtomicAggregate, bgp.FlagTransitive, 0},
	{bgp.AttrAggregator, bgp.FlagOptional | bgp.FlagTransitive, 8},
	{bgp.AttrCommunities, bgp.FlagOptional | bgp.FlagTransitive, -1},
	{bgp.AttrOriginatorID, bgp.FlagOptional, 4},
	{bgp.AttrClusterList, bgp.FlagOptional, -1},
	{bgp.AttrExtendedCommunities, bgp.FlagOptional | bgp.FlagTransitive, -1},
	{bgp.AttrLargeCommunities, bgp.FlagOptional | bgp.FlagTransitive, -1},
}

const (
	other    = 0
	sequence = 0xfe // AS_PATH of one AS_SEQUENCE with numbers of 24 bits
	verbatim = 0xff // what follows is not a list of attributes
)

// squeeze appends the squeezed form of attributes.
func squeeze(dst, attributes []byte) []byte {
	for b := attributes; len(b) > 0; {
		head, length := 3, 0
		switch {
		case len(b) >= 3 && b[0]&bgp.FlagExtended == 0:
			length = int(b[2])
		case len(b) >= 4:
			head, length = 4, int(binary.BigEndian.Uint16(b[2:]))
		default:
			return append(append(dst, verbatim), b...)
		}
		if head+length > len(b) {
			return append(append(dst, verbatim), b...)
		}
		dst = squeezeOne(dst, b[0], bgp.AttrType(b[1]), b[head:head+length])
		b = b[head+length:]
	}
	return dst
}

func squeezeOne(dst []byte, flags byte, t bgp.AttrType, value []byte) []byte {
	if t == bgp.AttrASPath && flags == bgp.FlagTransitive && narrow(value) {
		dst = append(dst, sequence, value[1])
		for v := value[2:]; len(v) > 0; v = v[4:] {
			dst = append(dst, v[1], v[2], v[3])
		}
		return dst
	}
	for i := 1; i < len(usual); i++ {
		u := &usual[i]
		if u.t != t || u.flags != flags || u.length >= 0 && u.length != len(value) {
			continue
		}
		dst = append(dst, byte(i))
		if u.length < 0 {
			dst = append(dst, byte(len(value)))
		}
		return append(dst, value...)
	}
	dst = append(dst, other, flags, byte(t), byte(len(value)>>8), byte(len(value)))
	return append(dst, value...)
}

// narrow tells whether a path is one AS_SEQUENCE with numbers of 24 bits.
func narrow(v []byte) bool {
	if len(v) < 6 || v[0] != 2 || len(v) != 2+4*int(v[1]) {
		return false
	}
	for i := 2; i < len(v); i += 4 {
		if v[i] != 0 {
			return false
		}
	}
	return true
}

// expand appends the attributes of which b is the squeezed form.
func expand(dst, b []byte) []byte {
	for len(b) > 0 {
		token := b[0]
		b = b[1:]
		switch token {
		case verbatim:
			return append(dst, b...)
		case sequence:
			n := int(b[0])
			dst = append(dst, bgp.FlagTransitive, byte(bgp.AttrASPath), byte(2+4*n), 2, byte(n))
			b = b[1:]
			for range n {
				dst = append(dst, 0, b[0], b[1], b[2])
				b = b[3:]
			}
		case other:
			flags, t, n := b[0], b[1], int(binary.BigEndian.Uint16(b[2:]))
			if flags&bgp.FlagExtended != 0 {
				dst = append(dst, flags, t, b[2], b[3])
			} else {
				dst = append(dst, flags, t, b[3])
			}
			dst = append(dst, b[4:4+n]...)
			b = b[4+n:]
		default:
			u := &usual[token]
			n := u.length
			if n < 0 {
				n = int(b[0])
				b = b[1:]
			}
			dst = append(dst, u.flags, byte(u.t), byte(n))
			dst = append(dst, b[:n]...)
			b = b[n:]
		}
	}
	return dst
}

// appendKey appends what a set is interned by: its next hop, and its
// attributes squeezed.
func appendKey(b []byte, part *bgp.Part, attributes []byte) []byte {
	b = bgp.AppendKey(b, part, nil)
	n := len(b)
	if b = squeeze(b, attributes); len(b) > rib.MaxSet {
		// Hundreds of odd attributes in a message of 64 KiB have grown.
		b = append(append(b[:n], verbatim), attributes...)
	}
	return b
}

// splitKey splits what appendKey made; the attributes are appended to dst.
func splitKey(dst, key []byte) (hop, attributes []byte) {
	hop, squeezed := bgp.SplitKey(key)
	return hop, expand(dst, squeezed)
}
