package bgp

import (
	"encoding/binary"
	"net/netip"
)

// Decoder validates UPDATEs as RFC 7606 demands, and brings their attributes
// into the canonical form. It keeps nothing from one message to the next but
// memory, so that one Decoder may serve many sessions in turn: set Peer.
type Decoder struct {
	Peer

	list     []Attribute // sorted by type
	set      []byte      // the canonical form
	path     []byte      // AS_PATH in 4 octets
	merged   []byte
	stripped []byte
	large    [][12]byte
	largeSet []byte

	state
}

// state is what one message tells.
type state struct {
	seen           [4]uint64 // attribute types
	reach, unreach []byte    // values
	hop            []byte    // NEXT_HOP
	as4Path        []byte
	as4Len         uint32
	aggregator     [8]byte
	as4Aggregator  []byte
	hasLocalPref   bool
	info           pathInfo
	rank           Rank
	loop           string
	worst          fault
	worstType      AttrType
	others         bool // attributes other than MP_UNREACH_NLRI
	hasReach       bool
	hasUnreach     bool
}

func (s *state) saw(t AttrType) bool { return s.seen[t>>6]&(1<<(t&63)) != 0 }

// Decode validates the body of an UPDATE and fills r. The error is an *Error
// that resets the session.
func (d *Decoder) Decode(body []byte, r *Routes) error {
	r.reset()
	d.state = state{rank: Rank{LocalPref: DefaultLocalPref}}
	u, err := frame(body)
	if err != nil {
		return err
	}
	if err := d.scan(u.Attributes); err != nil {
		return err
	}
	d.merge()
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

// scan checks the attributes one by one and lists those that stay.
func (d *Decoder) scan(b []byte) error {
	d.list = d.list[:0]
	for len(b) > 0 {
		a, n, ok := cutAttribute(b)
		if !ok {
			return d.cutShort(b)
		}
		b = b[n:]
		word, bit := a.Type>>6, uint64(1)<<(a.Type&63)
		if d.seen[word]&bit != 0 {
			if a.Type == AttrMPReach || a.Type == AttrMPUnreach {
				return Errorf(CodeUpdate, SubMalformedAttributeList, nil, "%s appears twice (RFC 7606 section 3 g)", a.Type)
			}
			d.fail(&a, discard("appears twice (RFC 7606 section 3 g)"))
			continue
		}
		d.seen[word] |= bit
		if err := d.attribute(&a); err != nil {
			return err
		}
	}
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
	d.fail(&a, withdraw(SubMalformedAttributeList, "exceeds the list of attributes (RFC 7606 section 4)"))
	return nil
}

func (d *Decoder) attribute(a *Attribute) error {
	if !a.Type.recognized() {
		return d.unrecognized(a)
	}
	if a.Type == AttrMPReach || a.Type == AttrMPUnreach {
		return d.multiprotocol(a)
	}
	d.others = true
	spec := &attributes[a.Type]
	if a.Flags&transitive != spec.flags {
		d.fail(a, withdraw(SubAttributeFlags, "flags conflict with the type (RFC 7606 section 3 c)"))
		return nil
	}
	if f := spec.check(d, a.Value); f.action != None {
		d.fail(a, f)
		return nil
	}
	d.keep(*a)
	return nil
}

func (d *Decoder) unrecognized(a *Attribute) error {
	d.others = true
	switch {
	case a.Flags&FlagOptional == 0:
		// RFC 4271 section 6.3, which RFC 7606 leaves as it is.
		return Errorf(CodeUpdate, SubUnrecognizedWellKnown, AppendAttribute(nil, a.Flags, a.Type, a.Value), "%s is well-known and not recognized", a.Type)
	case a.Flags&FlagTransitive != 0:
		a.Flags |= FlagPartial // RFC 4271 section 5
		d.keep(*a)
	}
	return nil
}

func (d *Decoder) multiprotocol(a *Attribute) error {
	least := 5
	if a.Type == AttrMPUnreach {
		least = 3
	}
	if a.Flags&transitive != nonTransitive || len(a.Value) < least {
		return Errorf(CodeUpdate, SubOptionalAttribute, AppendAttribute(nil, a.Flags, a.Type, a.Value), "%s: flags or length (RFC 7606 section 5.3)", a.Type)
	}
	if a.Type == AttrMPUnreach {
		d.unreach, d.hasUnreach = a.Value, true
		return nil
	}
	d.others, d.reach, d.hasReach = true, a.Value, true
	return nil
}

// keep inserts an attribute into the list.
func (d *Decoder) keep(a Attribute) {
	d.list = append(d.list, a)
	for i := len(d.list) - 1; i > 0 && d.list[i-1].Type > a.Type; i-- {
		d.list[i], d.list[i-1] = d.list[i-1], a
	}
}

// fail notes an error; the strongest action counts (RFC 7606 section 3 h).
func (d *Decoder) fail(a *Attribute, f fault) {
	if f.action > d.worst.action {
		d.worst, d.worstType = f, a.Type
	}
}

// split finds the routes.
func (d *Decoder) split(u *Update, r *Routes) error {
	if !validPrefixes(u.Withdrawn, 32) || !validPrefixes(u.NLRI, 32) {
		return Errorf(CodeUpdate, SubInvalidNetworkField, nil, "prefixes cannot be told apart (RFC 7606 section 5.3)")
	}
	if len(d.list) == 0 && !d.others && len(u.Withdrawn)+len(u.NLRI) == 0 {
		d.endOfRIB(r)
	}
	if d.hasUnreach {
		f := Family{AFI(binary.BigEndian.Uint16(d.unreach)), SAFI(d.unreach[2])}
		if err := d.part(r, AttrMPUnreach, f, Part{Withdrawn: d.unreach[3:]}); err != nil {
			return err
		}
	}
	if len(u.Withdrawn)+len(u.NLRI) > 0 {
		p := Part{Family: IPv4Unicast, Withdrawn: u.Withdrawn, Announced: u.NLRI}
		p.NextHop, p.LinkLocal = NextHops(d.hop)
		if len(u.NLRI) > 0 && d.hop != nil {
			d.checkHop(p.NextHop)
		}
		if d.Families.Has(IPv4Unicast) {
			r.Parts = append(r.Parts, p)
		} else {
			r.Ignored = true
		}
	}
	if !d.hasReach {
		return nil
	}
	n := int(d.reach[3])
	if n > len(d.reach)-5 {
		return Errorf(CodeUpdate, SubOptionalAttribute, nil, "MP_REACH_NLRI: next hop of %d bytes exceeds it", n)
	}
	f := Family{AFI(binary.BigEndian.Uint16(d.reach)), SAFI(d.reach[2])}
	p := Part{Announced: d.reach[5+n:]}
	p.NextHop, p.LinkLocal = NextHops(d.reach[4 : 4+n])
	return d.part(r, AttrMPReach, f, p)
}

func (d *Decoder) endOfRIB(r *Routes) {
	switch {
	case !d.hasUnreach:
		r.end, r.endOfIt = IPv4Unicast, true
	case len(d.unreach) == 3:
		r.end = Family{AFI(binary.BigEndian.Uint16(d.unreach)), SAFI(d.unreach[2])}
		r.endOfIt = true
	}
}

// part adds the routes of a multiprotocol attribute.
func (d *Decoder) part(r *Routes, t AttrType, f Family, p Part) error {
	i := f.index()
	if i < 0 || d.Families&(1<<i) == 0 {
		r.Ignored = r.Ignored || len(p.Withdrawn)+len(p.Announced) > 0
		return nil
	}
	p.Family = f
	if t == AttrMPReach && !d.hopLength(i) {
		// RFC 7606 section 7.11 leaves the choice between this and disabling
		// the family: a reset is what every peer understands, and it tells.
		return Errorf(CodeUpdate, SubOptionalAttribute, nil, "MP_REACH_NLRI: next hop of %d bytes for %s (RFC 7606 section 7.11)", d.reach[3], f)
	}
	if !validPrefixes(p.Withdrawn, families[i].bits) || !validPrefixes(p.Announced, families[i].bits) {
		return Errorf(CodeUpdate, SubOptionalAttribute, nil, "%s: prefixes cannot be told apart (RFC 7606 section 5.3)", t)
	}
	if len(p.Withdrawn)+len(p.Announced) == 0 {
		return nil
	}
	if len(p.Announced) > 0 {
		d.checkHop(p.NextHop)
	}
	r.Parts = append(r.Parts, p)
	return nil
}

func (d *Decoder) hopLength(family int) bool {
	for _, n := range families[family].hops {
		if n == int(d.reach[3]) {
			return true
		}
	}
	return false
}

// checkHop refuses what is no address of a host (RFC 4271 section 6.3).
func (d *Decoder) checkHop(hop netip.Addr) {
	switch {
	case hop.IsUnspecified() || hop.IsMulticast() || hop.Is4() && hop.As4()[0] >= 240:
		t := AttrNextHop
		if hop.Is6() {
			t = AttrMPReach
		}
		d.fail(&Attribute{Type: t}, withdraw(SubInvalidNextHop, "next hop is not a host"))
	case hop == d.LocalAddr:
		d.loop = "next hop is the own address"
	}
}

// settle decides what becomes of the routes.
func (d *Decoder) settle(u *Update, r *Routes) error {
	reachable := len(u.NLRI) > 0 || d.hasReach && len(d.reach) > 5+int(d.reach[3])
	if reachable {
		d.mandatory(u)
	}
	if d.worst.action == None && d.loop == "" && !d.info.own {
		return nil
	}
	return d.treat(r, reachable)
}

// mandatory misses attributes (RFC 7606 section 3 d).
func (d *Decoder) mandatory(u *Update) {
	for _, t := range [...]AttrType{AttrOrigin, AttrASPath} {
		if !d.saw(t) {
			d.fail(&Attribute{Type: t}, withdraw(SubMissingWellKnown, "is missing (RFC 7606 section 3 d)"))
		}
	}
	if d.EnforceFirstAS && !d.Internal && d.saw(AttrASPath) && d.info.first != d.AS {
		d.fail(&Attribute{Type: AttrASPath}, withdraw(SubMalformedASPath, "does not begin with the peer's AS (RFC 7606 section 7.2)"))
	}
	if len(u.NLRI) > 0 && !d.saw(AttrNextHop) {
		d.fail(&Attribute{Type: AttrNextHop}, withdraw(SubMissingWellKnown, "is missing (RFC 7606 section 3 d)"))
	}
}

func (d *Decoder) treat(r *Routes, reachable bool) error {
	r.Action = d.worst.action
	if r.Action != None {
		r.Reason = d.worstType.String() + ": " + d.worst.why
	}
	if r.Action == TreatAsWithdraw && !reachable {
		return Errorf(CodeUpdate, d.worst.subcode, nil, "%s, in an UPDATE without routes (RFC 7606 section 5.2)", r.Reason)
	}
	if d.info.own && d.loop == "" {
		d.loop = "own AS in AS_PATH"
	}
	if d.loop != "" && r.Action != TreatAsWithdraw {
		r.Loop, r.Reason = true, d.loop
	}
	if r.Loop || r.Action == TreatAsWithdraw {
		r.withdrawAll()
	}
	return nil
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
