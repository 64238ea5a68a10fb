package bgp

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
)

// Description is a canonical set of attributes for people to read.
type Description struct {
	Origin string // igp, egp or incomplete
	// ASPath is as customary: sequences as numbers, sets in braces,
	// confederations in parentheses, their sets in brackets.
	ASPath              string
	MED, LocalPref      *uint32
	AtomicAggregate     bool
	Aggregator          string // "AS ADDRESS"
	Communities         []string
	ExtendedCommunities []string
	LargeCommunities    []string
	OriginatorID        string
	ClusterList         []string
	// Unknown are attributes kept without being understood, "TYPE:FLAGS:HEX".
	Unknown []string
}

// Describe reads a canonical set. What cannot be read is left out.
func Describe(canonical []byte) Description {
	var d Description
	for a, err := range Attributes(canonical) {
		if err != nil {
			break
		}
		d.add(a)
	}
	return d
}

func (d *Description) add(a Attribute) {
	v := a.Value
	switch {
	case a.Type == AttrOrigin && len(v) == 1:
		d.Origin = originName(v[0])
	case a.Type == AttrASPath:
		d.ASPath = FormatPath(v)
	case a.Type == AttrMED && len(v) == 4:
		med := binary.BigEndian.Uint32(v)
		d.MED = &med
	case a.Type == AttrLocalPref && len(v) == 4:
		pref := binary.BigEndian.Uint32(v)
		d.LocalPref = &pref
	case a.Type == AttrAtomicAggregate:
		d.AtomicAggregate = true
	case a.Type == AttrAggregator && len(v) == 8:
		d.Aggregator = fmt.Sprintf("%d %s", binary.BigEndian.Uint32(v), netip.AddrFrom4([4]byte(v[4:])))
	case a.Type == AttrCommunities:
		for ; len(v) >= 4; v = v[4:] {
			d.Communities = append(d.Communities, Community(binary.BigEndian.Uint32(v)).String())
		}
	case a.Type == AttrExtendedCommunities:
		for ; len(v) >= 8; v = v[8:] {
			d.ExtendedCommunities = append(d.ExtendedCommunities, extendedName([8]byte(v)))
		}
	case a.Type == AttrLargeCommunities:
		for ; len(v) >= 12; v = v[12:] {
			d.LargeCommunities = append(d.LargeCommunities, LargeCommunity([12]byte(v)).String())
		}
	case a.Type == AttrOriginatorID && len(v) == 4:
		d.OriginatorID = netip.AddrFrom4([4]byte(v)).String()
	case a.Type == AttrClusterList:
		for ; len(v) >= 4; v = v[4:] {
			d.ClusterList = append(d.ClusterList, netip.AddrFrom4([4]byte(v)).String())
		}
	default:
		d.Unknown = append(d.Unknown, fmt.Sprintf("%d:%02x:%x", uint8(a.Type), a.Flags&^FlagExtended, v))
	}
}

func originName(o byte) string {
	switch o {
	case 0:
		return "igp"
	case 1:
		return "egp"
	}
	return "incomplete"
}

// FormatPath writes a valid path of 4-octet numbers.
func FormatPath(v []byte) string {
	var b []byte
	for len(v) >= 2 && len(v) >= 2+4*int(v[1]) {
		kind, segment := v[0], v[2:2+4*int(v[1])]
		v = v[2+len(segment):]
		open, sep, closing := "", " ", ""
		switch kind {
		case segmentSet:
			open, sep, closing = "{", ",", "}"
		case segmentConfedSequence:
			open, closing = "(", ")"
		case segmentConfedSet:
			open, sep, closing = "[", ",", "]"
		}
		if len(b) > 0 {
			b = append(b, ' ')
		}
		b = append(b, open...)
		for i := 0; i < len(segment); i += 4 {
			if i > 0 {
				b = append(b, sep...)
			}
			b = strconv.AppendUint(b, uint64(binary.BigEndian.Uint32(segment[i:])), 10)
		}
		b = append(b, closing...)
	}
	return string(b)
}
