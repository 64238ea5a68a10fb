package speaker

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/peerage/peerage/realserver/bgp"
)

// subcodes of CodeFSM (RFC 6608 section 3).
const (
	unexpectedInOpenSent uint8 = 1 + iota
	unexpectedInOpenConfirm
	unexpectedInEstablished
)

// connected is what a passive side does in Active when a connection came (RFC
// 4271 section 8.2.2, event 17): send an OPEN and wait for theirs.
func (s *session) connected() state {
	n := s.n.Load()
	if n.ttlSecurity > 0 {
		if err := guard(s.raw, s.rec.key.peer.Is4(), n.ttlSecurity); err != nil {
			return s.end(err)
		}
	}
	s.ours = n.offer
	s.enter(openSent)
	s.startClock(s.sp.opts.OpenTimeout)
	s.send(bgp.TypeOpen, n.hello)
	return s.openSent
}

// offer is our OPEN.
func offer(n *neighbor) *bgp.Open {
	o := &bgp.Open{AS: n.localAS, HoldTime: n.holdTime, Identifier: n.routerID}
	for _, f := range n.families.List() {
		o.Capabilities = append(o.Capabilities, bgp.Multiprotocol(f))
	}
	o.Capabilities = append(o.Capabilities, bgp.Capability{Code: bgp.CapRouteRefresh}, bgp.Capability{Code: bgp.CapExtendedMessage},
		bgp.FourOctetAS(n.localAS), bgp.Capability{Code: bgp.CapEnhancedRefresh})
	return o
}

// openSent waits for their OPEN.
func (s *session) openSent() state {
	m, err := s.next()
	if err != nil {
		return s.end(err)
	}
	switch m.Type {
	case bgp.TypeOpen:
		return s.opened(m.Body)
	case bgp.TypeNotification:
		return s.notified(m.Body)
	}
	return s.unexpected(m.Type, unexpectedInOpenSent)
}

// opened handles their OPEN (RFC 4271 section 8.2.2, OpenSent, event 19).
func (s *session) opened(body []byte) state {
	theirs, err := bgp.DecodeOpen(body)
	if err != nil {
		return s.end(err)
	}
	a, err := negotiate(s.n.Load(), s.ours, theirs)
	if err != nil {
		return s.end(err)
	}
	a.theirs = bytes.Clone(body)
	if err := s.rec.collide(s, a); err != nil {
		return s.end(err)
	}
	s.in.limit = a.limit()
	s.keepalivesFrom(a.hold)
	s.send(bgp.TypeKeepalive, s.sp.keepalive)
	return s.openConfirm
}

// negotiate compares the OPENs (RFC 4271 section 6.2, RFC 5492 section 3).
func negotiate(n *neighbor, ours, theirs *bgp.Open) (*agreement, error) {
	switch {
	case !n.allows(theirs.AS):
		return nil, bgp.Errorf(bgp.CodeOpen, bgp.SubBadPeerAS, nil, "AS %d is not among those of the neighbor", theirs.AS)
	case n.internal(theirs.AS) && theirs.Identifier == ours.Identifier: // RFC 6286 section 2.2
		return nil, bgp.Errorf(bgp.CodeOpen, bgp.SubBadBGPIdentifier, nil, "identifier %s is our own", theirs.Identifier)
	case theirs.HoldTime < n.minHoldTime: // 0 is none at all
		return nil, bgp.Errorf(bgp.CodeOpen, bgp.SubUnacceptableHoldTime, nil, "hold time %v is less than %v", theirs.HoldTime, n.minHoldTime)
	}
	a := &agreement{under: n, as: theirs.AS, id: theirs.Identifier, hold: min(ours.HoldTime, theirs.HoldTime)}
	for _, f := range theirs.Families() {
		if n.families.Has(f) {
			a.families |= bgp.Families(f)
		}
	}
	if a.families == 0 {
		return nil, bgp.Errorf(bgp.CodeOpen, bgp.SubUnsupportedCapability, wanted(n), "the router has none of the families %s", n.families)
	}
	_, a.fourOctetAS = theirs.Capability(bgp.CapFourOctetAS)
	_, a.extended = theirs.Capability(bgp.CapExtendedMessage)
	_, a.refresh = theirs.Capability(bgp.CapRouteRefresh)
	_, a.enhanced = theirs.Capability(bgp.CapEnhancedRefresh)
	a.enhanced = a.enhanced && a.refresh
	return a, nil
}

// wanted are the capabilities that are missing, as RFC 5492 section 5 has them
// told.
func wanted(n *neighbor) []byte {
	var b []byte
	for _, f := range n.families.List() {
		c := bgp.Multiprotocol(f)
		b = append(append(b, byte(c.Code), byte(len(c.Value))), c.Value...)
	}
	return b
}

// openConfirm waits for a KEEPALIVE.
func (s *session) openConfirm() state {
	m, err := s.next()
	if err != nil {
		return s.end(err)
	}
	switch m.Type {
	case bgp.TypeKeepalive: // event 26
		return s.up()
	case bgp.TypeNotification:
		return s.notified(m.Body)
	}
	// A second OPEN (event 19) is of no use to a connection that has one.
	return s.unexpected(m.Type, unexpectedInOpenConfirm)
}

// up joins the exchange.
func (s *session) up() state {
	if err := s.join(); err != nil {
		return s.end(err)
	}
	return s.renew(s.established)
}

// established handles messages until the session ends.
func (s *session) established() state {
	for {
		m, err := s.next()
		if err == nil {
			err = s.handle(m)
		}
		if errors.Is(err, errRest) {
			return s.renew(s.established)
		}
		if err != nil {
			return s.end(err)
		}
	}
}

// handle is one message in Established (events 26 and 27, RFC 2918, RFC 7313).
func (s *session) handle(m bgp.Message) error {
	switch m.Type {
	case bgp.TypeKeepalive:
		return nil
	case bgp.TypeUpdate:
		s.grew = true
		return s.update(m.Body)
	case bgp.TypeRouteRefresh:
		s.grew = true
		return s.refresh(m.Body)
	case bgp.TypeNotification:
		n, err := bgp.DecodeNotification(m.Body)
		if err != nil {
			return &closedError{err} // RFC 4271 section 6.4: never answered
		}
		n.Data = slices.Clone(n.Data)
		return &remoteError{n}
	case bgp.TypeOpen:
	}
	return bgp.Errorf(bgp.CodeFSM, unexpectedInEstablished, []byte{byte(m.Type)}, "%s in state established", m.Type)
}

// refresh handles a ROUTE-REFRESH. One for a family that was not negotiated is
// ignored (RFC 2918 section 4), and so is an unknown subtype (RFC 7313 section
// 5).
func (s *session) refresh(body []byte) error {
	a, p := s.agreed.Load(), s.exchange.Load()
	r, err := bgp.DecodeRouteRefresh(body)
	if err != nil {
		return err
	}
	if !a.enhanced {
		r.Subtype = bgp.RefreshRequest // RFC 2918 section 3: reserved, ignored
	}
	if !a.families.Has(r.Family) || !a.refresh {
		return nil
	}
	if a.enhanced && len(body) != 4 { // RFC 7313 section 5
		return bgp.Errorf(bgp.CodeRouteRefresh, bgp.SubInvalidMessageLength, nil, "ROUTE-REFRESH of %d bytes", bgp.HeaderLen+len(body))
	}
	switch r.Subtype {
	case bgp.RefreshRequest:
		p.Refresh(r.Family)
	case bgp.RefreshBegin:
		return p.RefreshBegin(s.sp.work, r.Family)
	case bgp.RefreshEnd:
		return p.RefreshEnd(s.sp.work, r.Family)
	}
	return nil
}

// notified ends a session that got a NOTIFICATION before it was up.
func (s *session) notified(body []byte) state {
	return s.end(s.handle(bgp.Message{Type: bgp.TypeNotification, Body: body}))
}

func (s *session) unexpected(t bgp.Type, sub uint8) state {
	return s.end(bgp.Errorf(bgp.CodeFSM, sub, nil, "%s in state %s", t, s.now()))
}

// end is the way into Idle: the routes go, the router hears why, the
// connection is closed.
func (s *session) end(why error) state {
	if stopped := s.stopped(); stopped != nil && !errors.As(why, new(*remoteError)) {
		why = stopped // whatever broke because of it
	}
	var final []byte
	if e, ok := errors.AsType[*bgp.Error](why); ok {
		final = e.Notification.Append(nil)
	}
	before := s.now()
	s.stop(why) // nobody else needs to
	s.enter(idle)
	s.sp.wheel.stop(&s.timer)
	s.release()
	s.finish(final)
	s.leave()
	s.sp.ended(s, before, why)
	s.dismiss()
	linger(s.conn, final != nil)
	s.sp.closed(s)
	return nil
}

const (
	// lingerTime and lingerBytes bound what is read of a router that goes on
	// sending: closing with unread bytes would send a RST, which may overtake
	// the NOTIFICATION.
	lingerTime  = time.Second
	lingerBytes = 1 << 20
)

// linger closes a connection so that its last message arrives.
func linger(conn interface {
	io.ReadCloser
	CloseWrite() error
	SetReadDeadline(time.Time) error
}, last bool) {
	defer conn.Close()
	if !last || conn.CloseWrite() != nil || conn.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	var sink [512]byte
	for total := 0; total < lingerBytes; {
		n, err := conn.Read(sink[:])
		if err != nil {
			return
		}
		total += n
	}
}
