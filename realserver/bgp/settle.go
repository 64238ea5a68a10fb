package bgp

// withdraw notes an error that has the routes treated as withdrawn. It returns
// false, as a check does.
func (d *Decoder) withdraw(t AttrType, v []byte, subcode uint8, why string) bool {
	return d.fail(offence{TreatAsWithdraw, subcode, why, Attribute{0, t, v}})
}

// discard notes an error that has the attribute discarded.
func (d *Decoder) discard(t AttrType, v []byte, why string) bool {
	return d.fail(offence{AttributeDiscard, SubOptionalAttribute, why, Attribute{0, t, v}})
}

// fail keeps the strongest action (RFC 7606 section 3 h).
func (d *Decoder) fail(o offence) bool {
	if d.worst == nil || o.action > d.worst.action {
		d.worst = &o
	}
	return false
}

// blame completes the worst offence if it is of this attribute.
func (d *Decoder) blame(a Attribute) {
	if d.worst != nil && d.worst.culprit.Type == a.Type {
		d.worst.culprit.Flags = a.Flags
	}
}

// settle decides what becomes of the routes.
func (d *Decoder) settle(u *Update, r *Routes) error {
	reachable := len(u.NLRI) > 0 || d.reach != nil && len(d.reach) > 5+int(d.reach[3])
	if reachable {
		d.mandatory(u)
	}
	if d.worst != nil {
		if err := d.treat(r, reachable); err != nil {
			return err
		}
	}
	if d.info.own && d.loop == "" {
		d.loop = "own AS in AS_PATH (RFC 4271 section 9.1.2)"
	}
	if d.loop != "" && reachable && r.Action != TreatAsWithdraw {
		r.Loop, r.Reason = true, d.loop
	}
	if r.Loop || r.Action == TreatAsWithdraw {
		r.withdrawAll()
	}
	return nil
}

// mandatory misses attributes (RFC 7606 section 3 d).
func (d *Decoder) mandatory(u *Update) {
	const both = 1<<AttrOrigin | 1<<AttrASPath
	if d.seen[0]&both == both && (len(u.NLRI) == 0 || d.hop != nil) && !d.EnforceFirstAS {
		return
	}
	for _, t := range [...]AttrType{AttrOrigin, AttrASPath} {
		if !d.saw(t) {
			d.withdraw(t, nil, SubMissingWellKnown, "is missing (RFC 7606 section 3 d)")
		}
	}
	if d.EnforceFirstAS && !d.Internal && d.saw(AttrASPath) && d.info.first != d.AS {
		d.withdraw(AttrASPath, nil, SubMalformedASPath, "does not begin with the peer's AS (RFC 7606 section 7.2)")
	}
	if len(u.NLRI) > 0 && !d.saw(AttrNextHop) {
		d.withdraw(AttrNextHop, nil, SubMissingWellKnown, "is missing (RFC 7606 section 3 d)")
	}
}

func (d *Decoder) treat(r *Routes, reachable bool) error {
	r.Action = d.worst.action
	r.Reason = d.worst.culprit.Type.String() + ": " + d.worst.why
	if r.Action == TreatAsWithdraw && !reachable {
		return Errorf(CodeUpdate, d.worst.subcode, d.worst.culprit.data(d.worst.subcode), "%s, in an UPDATE that announces nothing (RFC 7606 section 5.2)", r.Reason)
	}
	return nil
}
