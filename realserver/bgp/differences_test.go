package bgp

// facts are what an UPDATE looks like, without judging it.
type facts struct {
	withdrawn, nlri []byte
	list            []Attribute
	left            []byte // what remains of the attributes
}

func look(body []byte) facts {
	var f facts
	withdrawn, attributes, err := frame(body)
	if err != nil {
		return f
	}
	f.withdrawn, f.left, f.nlri = body[2:withdrawn], body[withdrawn+2:attributes], body[attributes:]
	for len(f.left) > 0 {
		a, n, ok := cutAttribute(f.left)
		if !ok {
			break
		}
		f.list = append(f.list, a)
		f.left = f.left[n:]
	}
	return f
}

// any tells whether an attribute is of one of the types and, if it is given,
// as the function wants it.
func (f facts) any(is func(Attribute) bool, types ...AttrType) bool {
	for _, a := range f.list {
		for _, t := range types {
			if a.Type == t && (is == nil || is(a)) {
				return true
			}
		}
	}
	return false
}

// reachable tells whether routes are announced (RFC 7606 section 5.2).
func (f facts) reachable() bool {
	return len(f.nlri) > 0 || f.any(func(a Attribute) bool { return len(a.Value) >= 5 && len(a.Value) > 5+int(a.Value[3]) }, AttrMPReach)
}

// twice tells whether an attribute comes again.
func (f facts) twice() bool {
	var seen [256]bool
	for _, a := range f.list {
		if seen[a.Type] {
			return true
		}
		seen[a.Type] = true
	}
	return false
}

func partial(a Attribute) bool { return a.Flags&FlagPartial != 0 }
func empty(a Attribute) bool   { return len(a.Value) == 0 }

// differences are the ways in which GoBGP 4.8 decides otherwise, and who is
// right by the RFCs.
var differences = []struct {
	name    string
	word    string // the RFC's
	own     string
	their   string
	when    func(Peer, facts) bool
	peer    Peer
	example message
}{
	{"error without reachable routes", "RFC 7606 section 5.2: any error but those of attribute discard resets the session",
		"reset", "withdraw", func(_ Peer, f facts) bool { return !f.reachable() },
		testPeer, message{gone, "40 01 01 07", ""}},
	{"Partial where it has no meaning", "RFC 7606 section 3 c: of the flags only Optional and Transitive can conflict",
		"keep withdraw", "withdraw reset", func(_ Peer, f facts) bool {
			return f.any(func(a Attribute) bool { return partial(a) && a.Flags&transitive != transitive }, allTypes()...)
		},
		testPeer, message{"", "60 01 01 00 " + path + hop + pref, nlri}},
	{"list of no length", "RFC 7606 section 4: only AS_PATH and ATOMIC_AGGREGATE may be empty",
		"withdraw reset", "keep", func(_ Peer, f facts) bool {
			return f.any(empty, AttrCommunities, AttrClusterList, AttrExtendedCommunities, AttrIPv6ExtendedCommunities, AttrLargeCommunities)
		},
		testPeer, message{"", base + "c0 10 00", nlri}},
	{"family that was not negotiated", "RFC 4760 names no error, and RFC 7606 section 1 wants no reset without need: the routes are ignored",
		"keep withdraw", "reset", func(p Peer, f facts) bool {
			return f.any(func(a Attribute) bool { return notNegotiated(p, a) }, AttrMPReach, AttrMPUnreach)
		},
		testPeer, message{"", "80 0f 04 4004 47 00", ""}},
	{"unused flags", "RFC 4271 section 4.3: the lower four bits must be ignored",
		"keep withdraw", "withdraw reset", func(_ Peer, f facts) bool {
			return f.any(func(a Attribute) bool { return a.Flags&0x0f != 0 }, allTypes()...)
		},
		testPeer, message{"", "41 01 01 00 " + path + hop + pref, nlri}},
	{"malformed from an external peer", "RFC 7606 sections 7.5, 7.9, 7.10: discarded, whatever they are",
		"keep", "withdraw", func(p Peer, f facts) bool {
			return !p.Internal && f.any(nil, AttrLocalPref, AttrOriginatorID, AttrClusterList)
		},
		external, message{"", origin + path + hop + "40 05 00", nlri}},
	{"second occurrence is malformed", "RFC 7606 section 3 g: all but the first are discarded",
		"keep", "withdraw", func(_ Peer, f facts) bool { return f.twice() },
		testPeer, message{"", base + "40 01 02 0909", nlri}},
	{"stronger than a malformed NEXT_HOP", "RFC 7606 section 3 h: the strongest action counts",
		"reset", "withdraw", func(_ Peer, f facts) bool {
			return f.any(func(a Attribute) bool {
				return a.Flags&^FlagExtended != FlagTransitive || len(a.Value) != 4 && len(a.Value) != 16
			}, AttrNextHop)
		},
		testPeer, message{"", reach6 + origin + path + "40 03 01 00" + pref + reach6, nlri}},
	{"multiprotocol attribute exceeds the list", "RFC 7606 section 3 j: routes that cannot be told cannot be treated as withdrawn",
		"reset", "withdraw", func(_ Peer, f facts) bool {
			return len(f.left) > 1 && (f.left[1] == byte(AttrMPReach) || f.left[1] == byte(AttrMPUnreach))
		},
		testPeer, message{"", base + "80 0e 1a 0002 01 10 " + hop6 + " 00 20 2001", nlri}},
	{"AS4 attribute", "RFC 6793 section 4.1: from a peer with 4-octet numbers it is discarded, whatever it is; section 6: from others when it is malformed",
		"keep", "withdraw", func(_ Peer, f facts) bool { return f.any(nil, AttrAS4Path, AttrAS4Aggregator) },
		testPeer, message{"", base + "c0 11 01 00", nlri}},
	{"AS 0", "RFC 7607: AS_PATH with it is malformed",
		"withdraw reset", "keep", func(p Peer, f facts) bool {
			return f.any(func(a Attribute) bool { return hasZero(p, a.Value) }, AttrASPath)
		},
		testPeer, message{"", origin + "40 02 06 02 01 00000000" + hop + pref, nlri}},
	{"AGGREGATOR of AS 0", "RFC 7607 with RFC 7606 section 7.7: discarded",
		"keep", "keep", func(_ Peer, f facts) bool {
			return f.any(func(a Attribute) bool { return len(a.Value) == 8 && [4]byte(a.Value) == [4]byte{} }, AttrAggregator)
		},
		testPeer, message{"", base + "c0 07 08 00000000 c0000201", nlri}},
	{"attribute that this package does not know", "RFC 4271 section 5: an unrecognized optional attribute is not looked into",
		"keep reset", "withdraw", func(_ Peer, f facts) bool { return f.any(nil, 22, 23, 26, 29, 40) },
		testPeer, message{"", base + "c0 16 01 00", nlri}},
	{"second after a malformed first", "RFC 7606 section 3 g: all but the first are discarded",
		"keep", "keep", func(_ Peer, f facts) bool { return f.twice() },
		testPeer, message{"", base + "c0 07 01 00 c0 07 08 00010001 c0000201", nlri}},
	{"AGGREGATOR with a 2-octet AS", "RFC 7606 section 7.7: from a peer with 4-octet numbers its length is 8",
		"keep", "keep", func(p Peer, f facts) bool {
			return p.FourOctetAS && f.any(func(a Attribute) bool { return len(a.Value) == 6 }, AttrAggregator)
		},
		testPeer, message{"", base + "c0 07 06 0001 c0000201", nlri}},
	{"NEXT_HOP beside MP_REACH_NLRI alone", "RFC 4760 section 3: ignored",
		"keep", "withdraw", func(_ Peer, f facts) bool {
			return len(f.nlri) == 0 && f.any(nil, AttrMPReach) && f.any(nil, AttrNextHop)
		},
		testPeer, message{"", reach6 + origin + path + "40 03 01 00" + pref, ""}},
	{"NEXT_HOP of 16 octets", "RFC 7606 section 7.3: its length is 4",
		"withdraw reset", "keep", func(_ Peer, f facts) bool {
			return f.any(func(a Attribute) bool { return len(a.Value) == 16 }, AttrNextHop)
		},
		testPeer, message{"", origin + path + "40 03 10 " + hop6 + pref, nlri}},
	{"NLRI after attributes that exceed the list", "RFC 7606 section 3 h with 3 j: the strongest action counts",
		"reset", "withdraw", func(_ Peer, f facts) bool {
			return len(f.left) > 0 && (!validPrefixes(f.withdrawn, 32) || !validPrefixes(f.nlri, 32))
		},
		testPeer, message{"", base + "c0 08 05 00", "21 0000000000"}},
}

func hasZero(p Peer, v []byte) bool {
	if !p.FourOctetAS {
		v = widenPath(nil, v)
	}
	var info pathInfo
	return info.walk(v, p.LocalAS) == "" && info.zero
}

func notNegotiated(p Peer, a Attribute) bool {
	return len(a.Value) >= 3 && !p.Families.Has(Family{AFI(a.Value[0])<<8 | AFI(a.Value[1]), SAFI(a.Value[2])})
}

func allTypes() (all []AttrType) {
	for t := range 256 {
		all = append(all, AttrType(t))
	}
	return all
}
