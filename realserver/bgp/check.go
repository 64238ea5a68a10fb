package bgp

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// The attributes that this package builds or looks into.
const (
	AttrOrigin                  AttrType = 1
	AttrASPath                  AttrType = 2
	AttrNextHop                 AttrType = 3
	AttrMED                     AttrType = 4
	AttrLocalPref               AttrType = 5
	AttrAtomicAggregate         AttrType = 6
	AttrAggregator              AttrType = 7
	AttrCommunities             AttrType = 8  // RFC 1997
	AttrOriginatorID            AttrType = 9  // RFC 4456
	AttrClusterList             AttrType = 10 // RFC 4456
	AttrMPReach                 AttrType = 14 // RFC 4760
	AttrMPUnreach               AttrType = 15 // RFC 4760
	AttrExtendedCommunities     AttrType = 16 // RFC 4360
	AttrAS4Path                 AttrType = 17 // RFC 6793
	AttrAS4Aggregator           AttrType = 18 // RFC 6793
	AttrIPv6ExtendedCommunities AttrType = 25 // RFC 5701
	AttrLargeCommunities        AttrType = 32 // RFC 8092
)

const (
	wellKnown     = FlagTransitive
	transitive    = FlagOptional | FlagTransitive
	nonTransitive = FlagOptional
)

// attributes is the table of recognized attributes; one line adds one. An
// attribute that is not in it is handled by its flags alone.
var attributes = [...]struct {
	name  string
	flags byte // the Optional and Transitive bits that it must have
	stays bool // in the canonical set
	check func(*Decoder, []byte) fault
}{
	AttrOrigin:                  {"ORIGIN", wellKnown, true, checkOrigin},
	AttrASPath:                  {"AS_PATH", wellKnown, true, checkASPath},
	AttrNextHop:                 {"NEXT_HOP", wellKnown, false, checkNextHop},
	AttrMED:                     {"MULTI_EXIT_DISC", nonTransitive, true, checkMED},
	AttrLocalPref:               {"LOCAL_PREF", wellKnown, true, checkLocalPref},
	AttrAtomicAggregate:         {"ATOMIC_AGGREGATE", wellKnown, true, checkAtomicAggregate},
	AttrAggregator:              {"AGGREGATOR", transitive, true, checkAggregator},
	AttrCommunities:             {"COMMUNITIES", transitive, true, multipleOf(4, "section 7.8")},
	AttrOriginatorID:            {"ORIGINATOR_ID", nonTransitive, true, checkOriginatorID},
	AttrClusterList:             {"CLUSTER_LIST", nonTransitive, true, checkClusterList},
	AttrMPReach:                 {"MP_REACH_NLRI", nonTransitive, false, nil},
	AttrMPUnreach:               {"MP_UNREACH_NLRI", nonTransitive, false, nil},
	AttrExtendedCommunities:     {"EXTENDED_COMMUNITIES", transitive, true, multipleOf(8, "section 7.14")},
	AttrAS4Path:                 {"AS4_PATH", transitive, false, checkAS4Path},
	AttrAS4Aggregator:           {"AS4_AGGREGATOR", transitive, false, checkAS4Aggregator},
	AttrIPv6ExtendedCommunities: {"IPV6_EXTENDED_COMMUNITIES", transitive, true, multipleOf(20, "section 7.15")},
	AttrLargeCommunities:        {"LARGE_COMMUNITIES", transitive, true, checkLargeCommunities},
}

func (t AttrType) recognized() bool {
	return int(t) < len(attributes) && attributes[t].flags != 0
}

// String names the attribute as the RFCs do.
func (t AttrType) String() string {
	switch t {
	case AttrMPReach:
		return "MP_REACH_NLRI"
	case AttrMPUnreach:
		return "MP_UNREACH_NLRI"
	}
	return fmt.Sprintf("attribute %d", uint8(t))
}

// fault is what is wrong with one attribute.
type fault struct {
	action  Action
	subcode uint8 // if it comes to a NOTIFICATION
	why     string
}

func withdraw(subcode uint8, why string) fault {
	return fault{action: TreatAsWithdraw, subcode: subcode, why: why}
}

func discard(why string) fault {
	return fault{action: AttributeDiscard, subcode: SubOptionalAttribute, why: why}
}

// multipleOf checks a list of values of a size: not empty, none cut short.
func multipleOf(size int, section string) func(*Decoder, []byte) fault {
	why := fmt.Sprintf("length is not a multiple of %d above 0 (RFC 7606 %s)", size, section)
	return func(_ *Decoder, v []byte) fault {
		if len(v) == 0 || len(v)%size != 0 {
			return withdraw(SubOptionalAttribute, why)
		}
		return fault{}
	}
}

func checkOrigin(d *Decoder, v []byte) fault {
	if len(v) != 1 {
		return withdraw(SubAttributeLength, "length is not 1 (RFC 7606 section 7.1)")
	}
	if v[0] > 2 {
		return withdraw(SubInvalidOrigin, "value is not defined (RFC 7606 section 7.1)")
	}
	d.rank.Origin = v[0]
	return fault{}
}

// checkNextHop only notes the value: whether it matters is known at the end.
func checkNextHop(d *Decoder, v []byte) fault {
	d.hop = v
	return fault{}
}

func checkMED(d *Decoder, v []byte) fault {
	if len(v) != 4 {
		return withdraw(SubAttributeLength, "length is not 4 (RFC 7606 section 7.4)")
	}
	d.rank.MED, d.rank.HasMED = binary.BigEndian.Uint32(v), true
	return fault{}
}

func checkLocalPref(d *Decoder, v []byte) fault {
	if !d.Internal {
		return discard("from an external peer (RFC 7606 section 7.5)")
	}
	if len(v) != 4 {
		return withdraw(SubAttributeLength, "length is not 4 (RFC 7606 section 7.5)")
	}
	d.rank.LocalPref, d.hasLocalPref = binary.BigEndian.Uint32(v), true
	return fault{}
}

func checkAtomicAggregate(_ *Decoder, v []byte) fault {
	if len(v) != 0 {
		return discard("length is not 0 (RFC 7606 section 7.6)")
	}
	return fault{}
}

// checkAggregator leaves the AS in 4 octets.
func checkAggregator(d *Decoder, v []byte) fault {
	switch {
	case d.FourOctetAS && len(v) == 8:
		copy(d.aggregator[:], v)
	case !d.FourOctetAS && len(v) == 6:
		clear(d.aggregator[:2])
		copy(d.aggregator[2:], v)
	default:
		return discard("length is not that of an AS and an address (RFC 7606 section 7.7)")
	}
	if [4]byte(d.aggregator[:4]) == [4]byte{} {
		return discard("AS 0 (RFC 7607)")
	}
	d.hasAggregator, d.rebuild = true, d.rebuild || !d.FourOctetAS
	return fault{}
}

func checkOriginatorID(d *Decoder, v []byte) fault {
	if !d.Internal {
		return discard("from an external peer (RFC 7606 section 7.9)")
	}
	if len(v) != 4 {
		return withdraw(SubOptionalAttribute, "length is not 4 (RFC 7606 section 7.9)")
	}
	d.rank.OriginatorID = binary.BigEndian.Uint32(v)
	if own := addr32(d.LocalID); own != 0 && d.rank.OriginatorID == own {
		d.loop = "own id in ORIGINATOR_ID"
	}
	return fault{}
}

func checkClusterList(d *Decoder, v []byte) fault {
	if !d.Internal {
		return discard("from an external peer (RFC 7606 section 7.10)")
	}
	if len(v) == 0 || len(v)%4 != 0 {
		return withdraw(SubOptionalAttribute, "length is not a multiple of 4 above 0 (RFC 7606 section 7.10)")
	}
	own := addr32(d.LocalID)
	for id := v; len(id) > 0; id = id[4:] {
		if own != 0 && binary.BigEndian.Uint32(id) == own {
			d.loop = "own id in CLUSTER_LIST"
		}
	}
	d.rank.ClusterLen = uint16(len(v) / 4)
	return fault{}
}

func checkAS4Aggregator(d *Decoder, v []byte) fault {
	switch {
	case d.FourOctetAS:
		return discard("from a peer with 4-octet AS numbers (RFC 6793 section 4.1)")
	case len(v) != 8:
		return discard("length is not 8 (RFC 6793 section 6)")
	case [4]byte(v) == [4]byte{}:
		return discard("AS 0 (RFC 7607)")
	}
	d.as4Aggregator = v
	return fault{}
}

func checkLargeCommunities(d *Decoder, v []byte) fault {
	if len(v) == 0 || len(v)%12 != 0 {
		return withdraw(SubOptionalAttribute, "length is not a multiple of 12 above 0 (RFC 8092 section 6)")
	}
	for ; len(v) > 12; v = v[12:] {
		d.rebuild = d.rebuild || bytes.Compare(v[:12], v[12:24]) >= 0
	}
	return fault{}
}
