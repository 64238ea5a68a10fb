package bgp

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
)

// merge reconstructs AS_PATH and AGGREGATOR of a peer with 2-octet numbers
// (RFC 6793 section 4.2.3).
func (d *Decoder) merge() {
	if d.hasAggregator && d.as4Aggregator != nil {
		if binary.BigEndian.Uint32(d.aggregator[:]) != ASTrans {
			return // somebody in between did not know of 4 octets: both AS4 are stale
		}
		copy(d.aggregator[:], d.as4Aggregator)
	}
	if len(d.as4Path) == 0 || !d.hasPath || d.info.length < d.as4Len {
		return
	}
	d.merged = mergePath(d.merged[:0], d.path, d.as4Path, d.info.length-d.as4Len)
	d.path, d.merged = d.merged, d.path
	d.info.walk(d.path, d.LocalAS)
}

// finish fills in what the routes that are announced have in common.
func (d *Decoder) finish(r *Routes) {
	d.rank.PathLen, d.rank.FirstAS = d.info.length, d.info.first
	if d.rebuild || d.Internal && !d.hasLocalPref {
		d.rebuildSet()
	}
	r.Attributes = d.set
}

// rebuildSet makes the set canonical: sorted, with 4-octet AS numbers, and
// with the LOCAL_PREF that internal peers must be sent (RFC 4271 section 5.1.5).
func (d *Decoder) rebuildSet() {
	d.list = d.list[:0]
	for b := d.set; len(b) > 0; {
		a, n, ok := cutAttribute(b)
		if !ok {
			break
		}
		d.insert(a)
		b = b[n:]
	}
	if d.Internal && !d.hasLocalPref {
		d.insert(Attribute{FlagTransitive, AttrLocalPref, []byte{0, 0, 0, DefaultLocalPref}})
	}
	b := d.spare[:0]
	for i := range d.list {
		a := &d.list[i]
		switch {
		case a.Type == AttrASPath && !d.FourOctetAS:
			a.Value = d.path
		case a.Type == AttrAggregator:
			a.Value = d.aggregator[:]
		case a.Type == AttrLargeCommunities:
			a.Value = d.uniqueLarge(a.Value)
		}
		b = AppendAttribute(b, a.Flags, a.Type, a.Value)
	}
	d.set, d.spare = b, d.set
}

// insert inserts an attribute into the list.
func (d *Decoder) insert(a Attribute) {
	d.list = append(d.list, a)
	for i := len(d.list) - 1; i > 0 && d.list[i-1].Type > a.Type; i-- {
		d.list[i], d.list[i-1] = d.list[i-1], a
	}
}

// uniqueLarge removes redundant values, which a receiver must (RFC 8092
// section 3); the order has no meaning, so that it may be ours.
func (d *Decoder) uniqueLarge(v []byte) []byte {
	d.large = d.large[:0]
	sorted := true
	for ; len(v) >= 12; v = v[12:] {
		c := [12]byte(v)
		if n := len(d.large); n > 0 && bytes.Compare(d.large[n-1][:], c[:]) >= 0 {
			sorted = false
		}
		d.large = append(d.large, c)
	}
	if !sorted {
		slices.SortFunc(d.large, func(a, b [12]byte) int { return bytes.Compare(a[:], b[:]) })
		d.large = slices.Compact(d.large)
	}
	d.largeSet = d.largeSet[:0]
	for i := range d.large {
		d.largeSet = append(d.largeSet, d.large[i][:]...)
	}
	return d.largeSet
}

// AppendReflected appends a canonical set as a route reflector passes it on
// (RFC 4456 section 8): with the ORIGINATOR_ID of whom it has the route from
// if there is none yet, and its own cluster id in front of the CLUSTER_LIST.
func AppendReflected(dst, canonical []byte, originator, cluster netip.Addr) []byte {
	id, own := originator.As4(), cluster.As4()
	originated, clustered := false, false
	for len(canonical) > 0 {
		a, n, ok := cutAttribute(canonical)
		if !ok {
			break
		}
		if !originated && a.Type >= AttrOriginatorID {
			originated = true
			if a.Type != AttrOriginatorID {
				dst = AppendAttribute(dst, FlagOptional, AttrOriginatorID, id[:])
			}
		}
		if !clustered && a.Type >= AttrClusterList {
			clustered = true
			var list []byte
			if a.Type == AttrClusterList {
				list = a.Value
			}
			dst = appendClusters(dst, own, list)
			if list != nil {
				canonical = canonical[n:]
				continue
			}
		}
		dst = append(dst, canonical[:n]...)
		canonical = canonical[n:]
	}
	if !originated {
		dst = AppendAttribute(dst, FlagOptional, AttrOriginatorID, id[:])
	}
	if !clustered {
		dst = appendClusters(dst, own, nil)
	}
	return dst
}

func appendClusters(dst []byte, own [4]byte, list []byte) []byte {
	if n := len(list) + 4; n > 255 {
		dst = append(dst, FlagOptional|FlagExtended, byte(AttrClusterList), byte(n>>8), byte(n))
	} else {
		dst = append(dst, FlagOptional, byte(AttrClusterList), byte(n))
	}
	return append(append(dst, own[:]...), list...)
}

// AppendTwoOctet appends a canonical set for a peer with 2-octet AS numbers
// (RFC 6793 section 4.2.2): AS_TRANS stands for what does not fit, which goes
// into AS4_PATH and AS4_AGGREGATOR.
func AppendTwoOctet(dst, canonical []byte) []byte {
	var as4 []byte // after type 16 and before any other
	for len(canonical) > 0 {
		a, n, ok := cutAttribute(canonical)
		if !ok {
			break
		}
		if a.Type > AttrAS4Aggregator && as4 != nil {
			dst, as4 = append(dst, as4...), nil
		}
		switch {
		case a.Type == AttrASPath:
			path, wide := narrowPath(a.Value)
			dst = AppendAttribute(dst, a.Flags, AttrASPath, path)
			if wide != nil {
				as4 = AppendAttribute(as4, transitive, AttrAS4Path, wide)
			}
		case a.Type == AttrAggregator && len(a.Value) == 8:
			as := narrowAS(binary.BigEndian.Uint32(a.Value))
			dst = append(dst, a.Flags, byte(a.Type), 6, byte(as>>8), byte(as))
			dst = append(dst, a.Value[4:]...)
			if as == ASTrans {
				as4 = AppendAttribute(as4, transitive, AttrAS4Aggregator, a.Value)
			}
		default:
			dst = append(dst, canonical[:n]...)
		}
		canonical = canonical[n:]
	}
	return append(dst, as4...)
}

func narrowAS(as uint32) uint16 {
	if as > 0xffff {
		return ASTrans
	}
	return uint16(as)
}

// narrowPath returns a valid path with 2-octet numbers, and what AS4_PATH must
// have: the whole path without confederation segments, if any number of it
// does not fit, else nil.
func narrowPath(v []byte) (path, wide []byte) {
	path = make([]byte, 0, len(v))
	needed := false
	for len(v) > 0 {
		n := int(v[1])
		segment := v[:2+4*n]
		v = v[len(segment):]
		path = append(path, segment[0], segment[1])
		plain := segment[0] == segmentSequence || segment[0] == segmentSet
		if plain {
			wide = append(wide, segment...)
		}
		for as := segment[2:]; len(as) > 0; as = as[4:] {
			x := binary.BigEndian.Uint32(as)
			needed = needed || plain && x > 0xffff
			path = binary.BigEndian.AppendUint16(path, narrowAS(x))
		}
	}
	if !needed {
		wide = nil
	}
	return path, wide
}
