package bgp

import (
	"encoding/binary"
)

// Decoder validates UPDATEs as RFC 7606 demands, and brings their attributes
// into the canonical form. It keeps nothing from one message to the next but
// memory, so that one Decoder may serve many sessions in turn: set Peer.
type Decoder struct {
	Peer

	set      []byte      // the canonical form
	list     []Attribute // of the set, to sort it
	spare    []byte
	path     []byte // AS_PATH in 4 octets
	merged   []byte
	stripped []byte
	large    [][12]byte
	largeSet []byte

	state
}

// state is what one message tells.
type state struct {
	seen           [4]uint64 // attribute types
	reach, unreach []byte    // values; nil when absent
	hop            []byte    // NEXT_HOP
	as4Path        []byte    // nil when absent
	as4Aggregator  []byte
	loop           string
	info           pathInfo
	rank           *Rank
	as4Len         uint32
	aggregator     [8]byte
	others         bool // attributes other than MP_UNREACH_NLRI
	hasPath        bool
	hasAggregator  bool
	hasLocalPref   bool
	rebuild        bool // the set is not canonical yet
	worst          *offence
}

// offence is the worst error of a message.
type offence struct {
	action  Action
	subcode uint8 // if it comes to a NOTIFICATION
	why     string
	culprit Attribute
}

func (s *state) saw(t AttrType) bool { return s.seen[t>>6]&(1<<(t&63)) != 0 }

// Decode validates the body of an UPDATE and fills r. The error is an *Error
// that resets the session.
func (d *Decoder) Decode(body []byte, r *Routes) error {
	r.reset()
	d.state = state{}
	d.rank = &r.Rank
	d.rank.LocalPref = DefaultLocalPref
	withdrawn, attributes, err := frame(body)
	if err != nil {
		return err
	}
	u := Update{Withdrawn: body[2:withdrawn], Attributes: body[withdrawn+2 : attributes], NLRI: body[attributes:]}
	if err := d.scan(u.Attributes); err != nil {
		return err
	}
	if !d.FourOctetAS {
		d.merge()
	}
	d.nextHop(&u)
	if err := d.split(&u, r); err != nil {
		return err
	}
	if err := d.settle(&u, r); err != nil {
		return err
	}
	if !r.announces() {
		r.Rank = Rank{}
		return nil
	}
	d.finish(r)
	return nil
}

// frame finds where the withdrawn routes end and where the attributes do (RFC
// 7606 section 3 b).
func frame(body []byte) (withdrawn, attributes int, err error) {
	if len(body) < 4 {
		return 0, 0, Errorf(CodeUpdate, SubMalformedAttributeList, nil, "UPDATE of %d bytes", len(body))
	}
	withdrawn = 2 + int(binary.BigEndian.Uint16(body))
	if withdrawn > len(body)-2 {
		return 0, 0, Errorf(CodeUpdate, SubMalformedAttributeList, nil, "withdrawn routes length %d exceeds the message", withdrawn-2)
	}
	attributes = withdrawn + 2 + int(binary.BigEndian.Uint16(body[withdrawn:]))
	if attributes > len(body) {
		return 0, 0, Errorf(CodeUpdate, SubMalformedAttributeList, nil, "total path attribute length %d exceeds the message", attributes-withdrawn-2)
	}
	return withdrawn, attributes, nil
}

// scan checks the attributes one by one and puts those that stay into the set.
// Most stay as they are: they are copied in runs.
func (d *Decoder) scan(b []byte) error {
	d.set = d.set[:0]
	run, last, sorted := 0, AttrType(0), true
	for at := 0; at < len(b); {
		a, n, ok := cutAttribute(b[at:])
		if !ok {
			d.set = append(d.set, b[run:at]...)
			return d.cutShort(b[at:])
		}
		flags, keep := a.Flags, a.Type != AttrNextHop
		if !d.plain(a.Flags, a.Type, a.Value) {
			var err error
			if flags, keep, err = d.attribute(a); err != nil {
				return err
			}
		}
		if keep {
			sorted = sorted && a.Type > last
			last = a.Type
		}
		if !keep || flags != a.Flags || len(a.Value) > 255 != (flags&FlagExtended != 0) {
			d.set = append(d.set, b[run:at]...)
			if keep {
				d.set = AppendAttribute(d.set, flags, a.Type, a.Value)
			}
			run = at + n
		}
		at += n
	}
	d.set = append(d.set, b[run:]...)
	d.rebuild = d.rebuild || !sorted
	return nil
}

// plain is the way of nearly all attributes: it takes those that nothing is
// wrong with and that stay as they are, and NEXT_HOP, which does not. What it
// does not take is for attribute to judge, which comes to the same result at
// twice the time.
func (d *Decoder) plain(flags byte, t AttrType, v []byte) bool {
	seen := d.seen[0] | 1<<(t&63)
	if seen == d.seen[0] {
		return false // or of a higher type, which are not here
	}
	switch uint(flags)<<8 | uint(t) {
	case wellKnown<<8 | uint(AttrOrigin):
		if len(v) != 1 || v[0] > 2 {
			return false
		}
		d.rank.Origin = v[0]
	case wellKnown<<8 | uint(AttrASPath):
		if !d.FourOctetAS || !d.plainPath(v) {
			return false
		}
	case wellKnown<<8 | uint(AttrNextHop):
		d.hop = v
	case nonTransitive<<8 | uint(AttrMED):
		if len(v) != 4 {
			return false
		}
		d.rank.MED, d.rank.HasMED = binary.BigEndian.Uint32(v), true
	case wellKnown<<8 | uint(AttrLocalPref):
		if len(v) != 4 || !d.Internal {
			return false
		}
		d.rank.LocalPref, d.hasLocalPref = binary.BigEndian.Uint32(v), true
	case transitive<<8 | uint(AttrCommunities):
		if len(v) == 0 || len(v)%4 != 0 {
			return false
		}
	default:
		return false
	}
	d.others, d.seen[0] = true, seen
	return true
}

// plainPath takes a path of one sequence, which nearly all are.
func (d *Decoder) plainPath(v []byte) bool {
	if len(v) < 6 || v[0] != segmentSequence || len(v) != 2+4*int(v[1]) {
		return false
	}
	own := d.LocalAS
	for i := 2; i <= len(v)-4; i += 4 {
		if as := binary.BigEndian.Uint32(v[i:]); as == 0 || as == own {
			return false
		}
	}
	d.info.length, d.info.first = uint32(v[1]), binary.BigEndian.Uint32(v[2:])
	d.hasPath = true
	return true
}

// cutShort handles a list that ends within an attribute (RFC 7606 section 4).
func (d *Decoder) cutShort(b []byte) error {
	a := Attribute{}
	if len(b) >= 2 {
		a.Type = AttrType(b[1])
	}
	// Section 3 j: whose routes cannot be told cannot be treated as withdrawn.
	if a.Type == AttrMPReach || a.Type == AttrMPUnreach {
		return Errorf(CodeUpdate, SubMalformedAttributeList, nil, "%s exceeds the list of attributes (RFC 7606 section 3 j)", a.Type)
	}
	d.others = true
	d.withdraw(a.Type, nil, SubMalformedAttributeList, "exceeds the list of attributes (RFC 7606 section 4)")
	return nil
}

// attribute tells whether an attribute stays, with what flags.
func (d *Decoder) attribute(a Attribute) (flags byte, keep bool, err error) {
	word, bit := a.Type>>6, uint64(1)<<(a.Type&63)
	if d.seen[word]&bit != 0 {
		return 0, false, d.duplicate(a)
	}
	d.seen[word] |= bit
	if !a.Type.recognized() {
		return d.unrecognized(a)
	}
	spec := &attributes[a.Type]
	if spec.check == nil {
		return 0, false, d.multiprotocol(a)
	}
	d.others = true
	if a.Flags&transitive != spec.flags {
		// For AGGREGATOR and the like too: section 3 f has only those cases
		// discarded that RFC 4271 has as a session reset, and 3 c replaces this one.
		d.withdraw(a.Type, a.Value, SubAttributeFlags, "flags conflict with the type (RFC 7606 section 3 c)")
		d.blame(a)
		return 0, false, nil
	}
	if !spec.check(d, a.Value) {
		d.blame(a)
		return 0, false, nil
	}
	return minimal(a.Flags), spec.stays, nil
}

// minimal clears flags that have no meaning: Partial has one for optional
// transitive attributes alone.
func minimal(flags byte) byte {
	if flags&transitive == transitive {
		return flags & (transitive | FlagPartial | FlagExtended)
	}
	return flags & (transitive | FlagExtended)
}

// duplicate handles RFC 7606 section 3 g.
func (d *Decoder) duplicate(a Attribute) error {
	if a.Type == AttrMPReach || a.Type == AttrMPUnreach {
		return Errorf(CodeUpdate, SubMalformedAttributeList, nil, "%s appears twice (RFC 7606 section 3 g)", a.Type)
	}
	d.discard(a.Type, a.Value, "appears twice (RFC 7606 section 3 g)")
	return nil
}

func (d *Decoder) unrecognized(a Attribute) (flags byte, keep bool, err error) {
	d.others = true
	if a.Flags&FlagOptional == 0 {
		// RFC 4271 section 6.3, which RFC 7606 leaves as it is.
		return 0, false, Errorf(CodeUpdate, SubUnrecognizedWellKnown, a.data(SubUnrecognizedWellKnown), "%s is well-known and not recognized", a.Type)
	}
	// RFC 4271 section 5: passed on with Partial set.
	return minimal(a.Flags | FlagPartial), a.Flags&FlagTransitive != 0, nil
}

func (d *Decoder) multiprotocol(a Attribute) error {
	least := 5
	if a.Type == AttrMPUnreach {
		least = 3
	}
	if a.Flags&transitive != nonTransitive || len(a.Value) < least {
		return Errorf(CodeUpdate, SubOptionalAttribute, a.data(SubOptionalAttribute), "%s: flags or length (RFC 7606 section 5.3)", a.Type)
	}
	if a.Type == AttrMPUnreach {
		d.unreach = a.Value
		return nil
	}
	d.others, d.reach = true, a.Value
	return nil
}

// data is what a NOTIFICATION shows of the attribute (RFC 4271 section 6.3).
func (a Attribute) data(subcode uint8) []byte {
	switch subcode {
	case SubMalformedAttributeList, SubMalformedASPath:
		return nil
	}
	return AppendAttribute(nil, a.Flags, a.Type, a.Value)
}

// validPrefixes tells whether prefixes fill b exactly (RFC 7606 section 5.3).
func validPrefixes(b []byte, most int) bool {
	i := 0
	for i < len(b) {
		bits := int(b[i])
		if bits > most {
			return false
		}
		i += 1 + (bits+7)>>3
	}
	return i == len(b)
}

// cutAttribute cuts the first attribute off b.
func cutAttribute(b []byte) (a Attribute, n int, ok bool) {
	if len(b) < 3 {
		return a, 0, false
	}
	head, length := 3, int(b[2])
	if b[0]&FlagExtended != 0 {
		if len(b) < 4 {
			return a, 0, false
		}
		head, length = 4, int(binary.BigEndian.Uint16(b[2:]))
	}
	if length > len(b)-head {
		return a, 0, false
	}
	return Attribute{b[0], AttrType(b[1]), b[head : head+length]}, head + length, true
}
