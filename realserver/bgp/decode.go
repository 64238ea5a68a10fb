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
	rank           Rank
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
	d.rank.LocalPref = DefaultLocalPref
	u, err := frame(body)
	if err != nil {
		return err
	}
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
	if r.announces() {
		d.finish(r)
	}
	return nil
}

// frame finds the three fields (RFC 7606 section 3 b).
func frame(body []byte) (u Update, err error) {
	if len(body) < 4 {
		return u, Errorf(CodeUpdate, SubMalformedAttributeList, nil, "UPDATE of %d bytes", len(body))
	}
	withdrawn := int(binary.BigEndian.Uint16(body))
	if withdrawn > len(body)-4 {
		return u, Errorf(CodeUpdate, SubMalformedAttributeList, nil, "withdrawn routes length %d exceeds the message", withdrawn)
	}
	u.Withdrawn = body[2 : 2+withdrawn]
	rest := body[2+withdrawn:]
	attributes := int(binary.BigEndian.Uint16(rest))
	if attributes > len(rest)-2 {
		return u, Errorf(CodeUpdate, SubMalformedAttributeList, nil, "total path attribute length %d exceeds the message", attributes)
	}
	u.Attributes, u.NLRI = rest[2:2+attributes], rest[2+attributes:]
	return u, nil
}

// scan checks the attributes one by one and puts those that stay into the set.
// Most stay as they are: they are copied in runs.
func (d *Decoder) scan(b []byte) error {
	d.set = d.set[:0]
	run, last := 0, AttrType(0)
	for at := 0; at < len(b); {
		a, n, ok := cutAttribute(b[at:])
		if !ok {
			d.set = append(d.set, b[run:at]...)
			return d.cutShort(b[at:])
		}
		keep, err := d.attribute(&a)
		if err != nil {
			return err
		}
		if keep {
			d.rebuild = d.rebuild || a.Type < last
			last = a.Type
		}
		if !keep || a.Flags != b[at] || len(a.Value) > 255 != (a.Flags&FlagExtended != 0) {
			d.set = append(d.set, b[run:at]...)
			if keep {
				d.set = AppendAttribute(d.set, a.Flags, a.Type, a.Value)
			}
			run = at + n
		}
		at += n
	}
	d.set = append(d.set, b[run:]...)
	return nil
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

// attribute tells whether an attribute stays, and reduces its flags to those
// that have a meaning.
func (d *Decoder) attribute(a *Attribute) (keep bool, err error) {
	word, bit := a.Type>>6, uint64(1)<<(a.Type&63)
	if d.seen[word]&bit != 0 {
		return false, d.duplicate(a)
	}
	d.seen[word] |= bit
	if !a.Type.recognized() {
		return d.unrecognized(a)
	}
	spec := &attributes[a.Type]
	if spec.check == nil {
		return false, d.multiprotocol(a)
	}
	d.others = true
	if a.Flags&transitive != spec.flags {
		d.withdraw(a.Type, a.Value, SubAttributeFlags, "flags conflict with the type (RFC 7606 section 3 c)")
		d.blame(a)
		return false, nil
	}
	if !spec.check(d, a.Value) {
		d.blame(a)
		return false, nil
	}
	a.minimize()
	return spec.stays, nil
}

// minimize clears flags that have no meaning: Partial has one for optional
// transitive attributes alone.
func (a *Attribute) minimize() {
	if a.Flags&transitive == transitive {
		a.Flags &= transitive | FlagPartial | FlagExtended
	} else {
		a.Flags &= transitive | FlagExtended
	}
}

// duplicate handles RFC 7606 section 3 g.
func (d *Decoder) duplicate(a *Attribute) error {
	if a.Type == AttrMPReach || a.Type == AttrMPUnreach {
		return Errorf(CodeUpdate, SubMalformedAttributeList, nil, "%s appears twice (RFC 7606 section 3 g)", a.Type)
	}
	d.discard(a.Type, a.Value, "appears twice (RFC 7606 section 3 g)")
	return nil
}

func (d *Decoder) unrecognized(a *Attribute) (keep bool, err error) {
	d.others = true
	if a.Flags&FlagOptional == 0 {
		// RFC 4271 section 6.3, which RFC 7606 leaves as it is.
		return false, Errorf(CodeUpdate, SubUnrecognizedWellKnown, a.data(SubUnrecognizedWellKnown), "%s is well-known and not recognized", a.Type)
	}
	a.Flags |= FlagPartial // RFC 4271 section 5
	a.minimize()
	return a.Flags&FlagTransitive != 0, nil
}

func (d *Decoder) multiprotocol(a *Attribute) error {
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
func (a *Attribute) data(subcode uint8) []byte {
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
