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
	// check validates a value and tells whether the attribute may stay.
	check func(*Decoder, []byte) bool
}{
	AttrOrigin:                  {"ORIGIN", wellKnown, true, checkOrigin},
	AttrASPath:                  {"AS_PATH", wellKnown, true, checkASPath},
	AttrNextHop:                 {"NEXT_HOP", wellKnown, false, checkNextHop},
	AttrMED:                     {"MULTI_EXIT_DISC", nonTransitive, true, checkMED},
	AttrLocalPref:               {"LOCAL_PREF", wellKnown, true, checkLocalPref},
	AttrAtomicAggregate:         {"ATOMIC_AGGREGATE", wellKnown, true, checkAtomicAggregate},
	AttrAggregator:              {"AGGREGATOR", transitive, true, checkAggregator},
	AttrCommunities:             {"COMMUNITIES", transitive, true, multipleOf(4, AttrCommunities, "section 7.8")},
	AttrOriginatorID:            {"ORIGINATOR_ID", nonTransitive, true, checkOriginatorID},
	AttrClusterList:             {"CLUSTER_LIST", nonTransitive, true, checkClusterList},
	AttrMPReach:                 {"MP_REACH_NLRI", nonTransitive, false, nil},
	AttrMPUnreach:               {"MP_UNREACH_NLRI", nonTransitive, false, nil},
	AttrExtendedCommunities:     {"EXTENDED_COMMUNITIES", transitive, true, multipleOf(8, AttrExtendedCommunities, "section 7.14")},
	AttrAS4Path:                 {"AS4_PATH", transitive, false, checkAS4Path},
	AttrAS4Aggregator:           {"AS4_AGGREGATOR", transitive, false, checkAS4Aggregator},
	AttrIPv6ExtendedCommunities: {"IPV6_EXTENDED_COMMUNITIES", transitive, true, multipleOf(20, AttrIPv6ExtendedCommunities, "section 7.15")},
	AttrLargeCommunities:        {"LARGE_COMMUNITIES", transitive, true, checkLargeCommunities},
}

func (t AttrType) recognized() bool {
	return int(t) < len(attributes) && attributes[t].flags != 0
}

// String names the attribute as the RFCs do.
func (t AttrType) String() string {
	if t.recognized() {
		return attributes[t].name
	}
	return fmt.Sprintf("attribute %d", uint8(t))
}

// multipleOf checks a list of values of a size: not empty, none cut short.
func multipleOf(size int, t AttrType, section string) func(*Decoder, []byte) bool {
	why := fmt.Sprintf("length is not a multiple of %d above 0 (RFC 7606 %s)", size, section)
	return func(d *Decoder, v []byte) bool {
		if len(v) == 0 || len(v)%size != 0 {
			return d.withdraw(t, v, SubOptionalAttribute, why)
		}
		return true
	}
}

func checkOrigin(d *Decoder, v []byte) bool {
	if len(v) != 1 {
		return d.withdraw(AttrOrigin, v, SubAttributeLength, "length is not 1 (RFC 7606 section 7.1)")
	}
	if v[0] > 2 {
		return d.withdraw(AttrOrigin, v, SubInvalidOrigin, "value is not defined (RFC 7606 section 7.1)")
	}
	d.rank.Origin = v[0]
	return true
}

// checkNextHop only notes the value: whether it matters is known at the end.
func checkNextHop(d *Decoder, v []byte) bool {
	d.hop = v
	return true
}

func checkMED(d *Decoder, v []byte) bool {
	if len(v) != 4 {
		return d.withdraw(AttrMED, v, SubAttributeLength, "length is not 4 (RFC 7606 section 7.4)")
	}
	d.rank.MED, d.rank.HasMED = binary.BigEndian.Uint32(v), true
	return true
}

func checkLocalPref(d *Decoder, v []byte) bool {
	if !d.Internal {
		return d.discard(AttrLocalPref, v, "from an external peer (RFC 7606 section 7.5)")
	}
	if len(v) != 4 {
		return d.withdraw(AttrLocalPref, v, SubAttributeLength, "length is not 4 (RFC 7606 section 7.5)")
	}
	d.rank.LocalPref, d.hasLocalPref = binary.BigEndian.Uint32(v), true
	return true
}

func checkAtomicAggregate(d *Decoder, v []byte) bool {
	if len(v) != 0 {
		return d.discard(AttrAtomicAggregate, v, "length is not 0 (RFC 7606 section 7.6)")
	}
	return true
}

// checkAggregator leaves the AS in 4 octets.
func checkAggregator(d *Decoder, v []byte) bool {
	switch {
	case d.FourOctetAS && len(v) == 8:
		copy(d.aggregator[:], v)
	case !d.FourOctetAS && len(v) == 6:
		clear(d.aggregator[:2])
		copy(d.aggregator[2:], v)
	default:
		return d.discard(AttrAggregator, v, "length is not that of an AS and an address (RFC 7606 section 7.7)")
	}
	if [4]byte(d.aggregator[:4]) == [4]byte{} {
		return d.discard(AttrAggregator, v, "AS 0 (RFC 7607)")
	}
	d.hasAggregator, d.rebuild = true, d.rebuild || !d.FourOctetAS
	return true
}

func checkOriginatorID(d *Decoder, v []byte) bool {
	if !d.Internal {
		return d.discard(AttrOriginatorID, v, "from an external peer (RFC 7606 section 7.9)")
	}
	if len(v) != 4 {
		return d.withdraw(AttrOriginatorID, v, SubOptionalAttribute, "length is not 4 (RFC 7606 section 7.9)")
	}
	d.rank.OriginatorID = binary.BigEndian.Uint32(v)
	if own := addr32(d.LocalID); own != 0 && d.rank.OriginatorID == own {
		d.loop = "own id in ORIGINATOR_ID"
	}
	return true
}

func checkClusterList(d *Decoder, v []byte) bool {
	if !d.Internal {
		return d.discard(AttrClusterList, v, "from an external peer (RFC 7606 section 7.10)")
	}
	if len(v) == 0 || len(v)%4 != 0 {
		return d.withdraw(AttrClusterList, v, SubOptionalAttribute, "length is not a multiple of 4 above 0 (RFC 7606 section 7.10)")
	}
	own := addr32(d.LocalID)
	for id := v; len(id) > 0; id = id[4:] {
		if own != 0 && binary.BigEndian.Uint32(id) == own {
			d.loop = "own id in CLUSTER_LIST"
		}
	}
	d.rank.ClusterLen = uint16(len(v) / 4)
	return true
}

func checkAS4Aggregator(d *Decoder, v []byte) bool {
	switch {
	case d.FourOctetAS:
		return d.discard(AttrAS4Aggregator, v, "from a peer with 4-octet AS numbers (RFC 6793 section 4.1)")
	case len(v) != 8:
		return d.discard(AttrAS4Aggregator, v, "length is not 8 (RFC 6793 section 6)")
	case [4]byte(v) == [4]byte{}:
		return d.discard(AttrAS4Aggregator, v, "AS 0 (RFC 7607)")
	}
	d.as4Aggregator = v
	return true
}

func checkLargeCommunities(d *Decoder, v []byte) bool {
	if len(v) == 0 || len(v)%12 != 0 {
		return d.withdraw(AttrLargeCommunities, v, SubOptionalAttribute, "length is not a multiple of 12 above 0 (RFC 8092 section 6)")
	}
	for ; len(v) > 12; v = v[12:] {
		d.rebuild = d.rebuild || bytes.Compare(v[:12], v[12:24]) >= 0
	}
	return true
}
