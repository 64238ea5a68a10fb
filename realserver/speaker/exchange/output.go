package exchange

import (
	"encoding/binary"
	"net/netip"

	"github.com/peerage/peerage/realserver/bgp"
)

// output is what a peer has to be sent. There are four sources, in this order:
// the group's segments, up to the last if the peer follows the group; prefixes
// that are originated; a pass over all prefixes, for who has joined or asked
// for a refresh; and marks, for who lags behind.
type output struct {
	group *group
	// at is the last segment taken; a peer that lags behind takes those up to
	// until and no more. sent is at in bytes.
	at, until *segment
	sent      int64

	keys   map[netip.Prefix]struct{} // whose originated route has changed
	passes []pass
	lag    *lag // nil: the peer follows its group

	pieces  [][]byte // yet to be returned
	bufs    [][]byte // returned last
	lent    [][]byte // buffers under pieces and bufs
	under   int      // so many of lent are not under pieces
	waiting bool     // Wake is due when there is something
	closed  bool
}

// pass is sending all routes of a family.
type pass struct {
	family bgp.Family
	kind   passKind
	begun  bool
}

type passKind uint8

const (
	passInitial passKind = iota // ends with End-of-RIB
	passRefresh                 // is between Begin-of-RR and End-of-RR, if negotiated
)

// Next returns whole messages of up to most bytes together, or one message if that
// alone is longer. They are shared and must not be changed; they are valid
// until the next call. more tells that there is more at once: call again.
// Otherwise Wake will tell.
func (p *Peer) Next(most int) (messages [][]byte, more bool) {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	o := &p.out
	o.waiting = false
	clear(o.bufs)
	o.bufs = o.bufs[:0]
	if len(o.pieces) == 0 {
		o.under = len(o.lent)
	}
	p.x.takeBack(o)
	for room := most; room > 0 && !o.closed; {
		if len(o.pieces) == 0 && !p.refill() {
			break
		}
		room = o.take(room)
	}
	if o.closed {
		return nil, false
	}
	more = p.pending()
	o.waiting = !more
	return o.bufs, more
}

// take moves whole messages from pieces to bufs and returns the room left.
func (o *output) take(room int) int {
	for i, piece := range o.pieces {
		if len(piece) <= room {
			o.bufs = append(o.bufs, piece)
			room -= len(piece)
			continue
		}
		n := 0
		for n < len(piece) {
			size := int(binary.BigEndian.Uint16(piece[n+16:]))
			if n+size > room && (n > 0 || len(o.bufs) > 0) {
				break
			}
			n += size
		}
		if n > 0 {
			o.bufs = append(o.bufs, piece[:n])
		}
		o.pieces[i] = piece[n:]
		if n == len(piece) { // one message alone
			i++
		}
		o.pieces = o.pieces[i:]
		return 0
	}
	o.pieces = o.pieces[:0]
	return room
}

// pending tells whether there is something to send.
func (p *Peer) pending() bool {
	o := &p.out
	return !o.closed && (len(o.pieces) > 0 || len(o.keys) > 0 || len(o.passes) > 0 || o.lag != nil || o.at != nil && o.at.next != nil)
}

// refill fills pieces; it fails when there is nothing to send. The caller
// holds d.mu, which is given up meanwhile.
func (p *Peer) refill() bool {
	o := &p.out
	o.pieces, o.under = o.pieces[:0], len(o.lent)
	for !o.closed {
		switch {
		case o.at != nil && o.at.next != nil && (o.lag == nil || o.at != o.until):
			p.follow()
		case len(o.keys) > 0:
			p.sendOriginated()
		case len(o.passes) > 0 && !o.passes[0].begun:
			p.beginPass()
		case len(o.passes) > 0 && (o.lag == nil || !o.lag.passing(index(o.passes[0].family))):
			p.endPass()
		case o.lag != nil && o.lag.marked():
			p.drain()
		case o.lag != nil && len(o.passes) == 0:
			p.catchUp()
		default:
			return false
		}
		if len(o.pieces) > 0 {
			return true
		}
	}
	return false
}

// follow takes the next segment.
func (p *Peer) follow() {
	o := &p.out
	o.at = o.at.next
	o.sent += int64(len(o.at.data))
	var n int64
	o.pieces, n = o.at.pieces(o.pieces, p.id)
	p.advertised.Add(n)
	if !p.d.stalled.IsZero() && o.group.total-o.sent < p.x.limits.low {
		p.d.kick()
	}
}

// Refresh sends the routes of a family again (RFC 2918), between
// Begin-of-RR and End-of-RR when that was negotiated (RFC 7313).
func (p *Peer) Refresh(f bgp.Family) {
	if !p.config.Families.Has(f) {
		return
	}
	p.d.mu.Lock()
	again := false
	for _, q := range p.out.passes {
		again = again || q.family == f && !q.begun
	}
	if !again && !p.out.closed {
		p.startPass(f, passRefresh)
	}
	wake := p.toWake()
	p.d.mu.Unlock()
	if wake {
		p.config.Wake()
	}
}

// toWake tells whether to call Wake, once d.mu is given up.
func (p *Peer) toWake() bool {
	if p.out.waiting && p.pending() {
		p.out.waiting = false
		return true
	}
	return false
}

// startPass queues a pass. The caller holds d.mu.
func (p *Peer) startPass(f bgp.Family, kind passKind) {
	p.out.passes = append(p.out.passes, pass{family: f, kind: kind})
	if p.d.number == 0 {
		return
	}
	if p.out.lag == nil {
		p.out.until = p.out.group.tail
		if kind == passInitial {
			p.lagBehind()
		} else {
			p.fallBehind(p.bounds())
		}
	}
}

// beginPass marks everything that the pass has to send.
func (p *Peer) beginPass() {
	q := &p.out.passes[0]
	q.begun = true
	if q.kind == passRefresh && p.config.EnhancedRefresh {
		p.message(bgp.RouteRefresh{Family: q.family, Subtype: bgp.RefreshBegin}.Append(nil))
	}
	p.keysOf(q.family)
	if p.out.lag != nil {
		p.out.lag.begin(index(q.family), p.bounds())
	}
}

// endPass tells the peer that it has everything.
func (p *Peer) endPass() {
	q := p.out.passes[0]
	p.out.passes = p.out.passes[1:]
	if len(p.out.passes) == 0 {
		p.out.passes = nil
	}
	switch {
	case q.kind == passInitial:
		p.message(p.x.ends[index(q.family)])
	case p.config.EnhancedRefresh:
		p.message(bgp.RouteRefresh{Family: q.family, Subtype: bgp.RefreshEnd}.Append(nil))
	}
}

func (p *Peer) message(b []byte) { p.out.pieces = append(p.out.pieces, b) }

func index(f bgp.Family) int {
	if f == bgp.IPv6Unicast {
		return v6
	}
	return v4
}

// bounds are the slots in use now. The caller holds d.mu.
func (p *Peer) bounds() [families][]uint32 {
	var b [families][]uint32
	for _, s := range p.x.shards {
		s.rib.RLock()
		b[v4] = append(b[v4], s.rib.Slots4(p.d.number))
		b[v6] = append(b[v6], s.rib.Slots6(p.d.number))
		s.rib.RUnlock()
	}
	return b
}

// lend takes a buffer that goes back when what is in it was sent.
func (p *Peer) lend(b []byte) {
	if len(b) > 0 {
		p.out.pieces = append(p.out.pieces, b)
	}
	p.out.lent = append(p.out.lent, b)
}

// takeBack gives the buffers back that only messages are in that were sent.
// Some of the last ones may be under pieces, and most of the time they are: to
// wait for the end of the pieces would be to keep all of them.
func (x *Exchange) takeBack(o *output) {
	for _, b := range o.lent[:o.under] {
		if cap(b) <= 4*segmentSize {
			x.buffers.Put(&buffer{b[:0]})
		}
	}
	n := copy(o.lent, o.lent[o.under:])
	clear(o.lent[n:])
	o.lent, o.under = o.lent[:n], 0
}

type buffer struct{ b []byte }

func (x *Exchange) buffer() []byte {
	if b, ok := x.buffers.Get().(*buffer); ok {
		return b.b
	}
	return make([]byte, 0, segmentSize)
}
