package bgp

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// split finds the routes.
func (d *Decoder) split(u *Update, r *Routes) error {
	if !validPrefixes(u.Withdrawn, 32) || !validPrefixes(u.NLRI, 32) {
		return Errorf(CodeUpdate, SubInvalidNetworkField, nil, "prefixes cannot be told apart (RFC 7606 section 5.3)")
	}
	if !d.others && len(u.Withdrawn)+len(u.NLRI) == 0 {
		d.endOfRIB(r)
	}
	if d.unreach != nil {
		f := Family{AFI(binary.BigEndian.Uint16(d.unreach)), SAFI(d.unreach[2])}
		if err := d.part(r, AttrMPUnreach, f, Part{Withdrawn: d.unreach[3:]}); err != nil {
			return err
		}
	}
	if len(u.Withdrawn)+len(u.NLRI) > 0 {
		d.classic(u, r)
	}
	if d.reach == nil {
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

// classic adds the routes of the fields that RFC 4271 has for IPv4.
func (d *Decoder) classic(u *Update, r *Routes) {
	if !d.Families.Has(IPv4Unicast) {
		r.Ignored = true
		return
	}
	p := r.part()
	p.Family, p.Withdrawn, p.Announced = IPv4Unicast, u.Withdrawn, u.NLRI
	if len(d.hop) == 4 && len(u.NLRI) > 0 {
		p.NextHop = netip.AddrFrom4([4]byte(d.hop))
	}
}

func (d *Decoder) endOfRIB(r *Routes) {
	switch {
	case d.unreach == nil:
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
	if t == AttrMPReach && !slices.Contains(families[i].hops, int(d.reach[3])) {
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
		d.checkHop(AttrMPReach, p.NextHop)
	}
	r.Parts = append(r.Parts, p)
	return nil
}

// nextHop checks NEXT_HOP, unless the routes are in MP_REACH_NLRI alone: RFC
// 4760 section 3 has it ignored then.
func (d *Decoder) nextHop(u *Update) {
	if d.hop == nil || d.reach != nil && len(u.NLRI) == 0 {
		return
	}
	switch {
	case len(d.hop) != 4:
		d.withdraw(AttrNextHop, d.hop, SubAttributeLength, "length is not 4 (RFC 7606 section 7.3)")
	case d.hop[0] == 0 || d.hop[0] >= 224 || d.LocalAddr.Is4(): // in doubt
		d.checkHop(AttrNextHop, netip.AddrFrom4([4]byte(d.hop)))
	default:
		return
	}
	d.blame(Attribute{FlagTransitive, AttrNextHop, d.hop})
}

// checkHop refuses what is no address of a host (RFC 4271 section 6.3).
func (d *Decoder) checkHop(t AttrType, hop netip.Addr) {
	switch {
	case hop.IsUnspecified() || hop.IsMulticast() || hop.Is4() && (hop.As4()[0] == 0 || hop.As4()[0] >= 240):
		d.withdraw(t, d.hop, SubInvalidNextHop, "next hop is not a host (RFC 4271 section 6.3)")
	case hop == d.LocalAddr:
		d.loop = "next hop is the own address (RFC 4271 section 6.3)"
	}
}
