package bgp

import (
	"encoding/binary"
	"errors"
	"slices"
)

// ErrTooLong tells that attributes leave no room for a route in a message.
// RFC 8654 section 4 then has the route withdrawn from that peer.
var ErrTooLong = errors.New("bgp: path attributes are too long for a message of the session; the route cannot be sent to it")

// Packer appends UPDATEs that share everything but the routes, each filled up
// to the limit. IPv4 unicast with a 4-byte next hop goes into the classic
// fields, all else into MP_REACH_NLRI and MP_UNREACH_NLRI, which come first
// (RFC 7606 section 5.1).
type Packer struct {
	buf   []byte
	limit int
	tail  []byte // what comes after the routes
	// What comes before the routes is the same in all messages but for the
	// lengths: buf[first:first+head].
	first, head int
	start, end  int // of the message in work, and how far its routes may go
	multi       bool
	withdraw    bool
}

// maxPrefixLen is the longest encoded prefix of any known family.
const maxPrefixLen = 17

// NewPacker packs announcements of a family with canonical attributes and an
// encoded next hop of 4, 16 or 32 bytes, into messages of up to limit bytes,
// appended to buf.
func NewPacker(buf []byte, f Family, attributes, nextHop []byte, limit int) (Packer, error) {
	p := Packer{buf: buf, limit: limit, first: len(buf), start: len(buf)}
	if HeaderLen+4+8+5+len(nextHop)+len(attributes)+maxPrefixLen > limit {
		return Packer{}, ErrTooLong
	}
	p.buf = append(appendHeader(p.buf, TypeUpdate), 0, 0)
	if f == IPv4Unicast && len(nextHop) == 4 {
		p.buf = appendClassic(p.buf, attributes, nextHop)
	} else {
		p.multi, p.tail = true, attributes
		p.buf = append(p.buf, 0, 0, FlagOptional|FlagExtended, byte(AttrMPReach), 0, 0)
		p.buf = append(p.buf, byte(f.AFI>>8), byte(f.AFI), byte(f.SAFI), byte(len(nextHop)))
		p.buf = append(append(p.buf, nextHop...), 0)
	}
	p.head = len(p.buf) - p.first
	p.begin()
	return p, nil
}

// appendClassic appends the field of attributes; NEXT_HOP is where it belongs
// in the order of types.
func appendClassic(b, attributes, nextHop []byte) []byte {
	at := 0
	for at < len(attributes) {
		a, n, ok := cutAttribute(attributes[at:])
		if !ok || a.Type > AttrNextHop {
			break
		}
		at += n
	}
	length := len(attributes) + 3 + len(nextHop)
	b = append(b, byte(length>>8), byte(length))
	b = append(b, attributes[:at]...)
	b = append(append(b, FlagTransitive, byte(AttrNextHop), byte(len(nextHop))), nextHop...)
	return append(b, attributes[at:]...)
}

// zeroLength is the field of attributes when there are none.
const zeroLength = "\x00\x00"

// NewWithdrawer packs withdrawals of a family.
func NewWithdrawer(buf []byte, f Family, limit int) Packer {
	p := Packer{buf: buf, limit: limit, first: len(buf), start: len(buf), withdraw: true}
	p.buf = append(appendHeader(p.buf, TypeUpdate), 0, 0)
	if f != IPv4Unicast {
		p.multi = true
		p.buf = append(p.buf, 0, 0, FlagOptional|FlagExtended, byte(AttrMPUnreach), 0, 0)
		p.buf = append(p.buf, byte(f.AFI>>8), byte(f.AFI), byte(f.SAFI))
	}
	p.head = len(p.buf) - p.first
	p.begin()
	return p
}

// begin sets how far routes may go in the message in work.
func (p *Packer) begin() {
	p.end = p.start + p.limit - len(p.tail) - len(zeroLength)
}

// room makes room for n bytes of a route.
func (p *Packer) room(n int) {
	if len(p.buf)+n > p.end {
		p.close()
		p.start = len(p.buf)
		p.buf = append(p.buf, p.buf[p.first:p.first+p.head]...)
		p.begin()
	}
}

// Add adds one encoded prefix.
func (p *Packer) Add(nlri []byte) {
	p.room(len(nlri))
	p.buf = append(p.buf, nlri...)
}

// Add4 adds an IPv4 prefix; bits beyond its length must be 0.
func (p *Packer) Add4(addr uint32, bits uint8) {
	p.room(5)
	n := len(p.buf)
	p.buf = slices.Grow(p.buf, 5)
	b := p.buf[n : n+5]
	b[0] = bits
	binary.BigEndian.PutUint32(b[1:], addr)
	p.buf = p.buf[:n+1+(int(bits)+7)>>3]
}

// Add6 adds an IPv6 prefix; bits beyond its length must be 0.
func (p *Packer) Add6(hi, lo uint64, bits uint8) {
	p.room(17)
	n := len(p.buf)
	p.buf = slices.Grow(p.buf, 17)
	b := p.buf[n : n+17]
	b[0] = bits
	binary.BigEndian.PutUint64(b[1:], hi)
	binary.BigEndian.PutUint64(b[9:], lo)
	p.buf = p.buf[:n+1+(int(bits)+7)>>3]
}

// close writes the lengths of the message in work.
func (p *Packer) close() {
	size := len(p.buf) - p.start - p.head // of the routes
	p.buf = append(p.buf, p.tail...)
	m := p.buf[p.start:]
	switch {
	case p.multi:
		binary.BigEndian.PutUint16(m[HeaderLen+2:], uint16(len(m)-HeaderLen-4))
		at := HeaderLen + 6 // of the attribute's length
		binary.BigEndian.PutUint16(m[at:], uint16(p.head-at-2+size))
	case p.withdraw:
		binary.BigEndian.PutUint16(m[HeaderLen:], uint16(size))
		p.buf = append(p.buf, zeroLength...)
	}
	finish(p.buf, p.start)
}

// Finish returns the buffer with the messages, all whole.
func (p *Packer) Finish() []byte {
	if len(p.buf)-p.start == p.head && p.start == p.first {
		return p.buf[:p.first] // no route was added
	}
	p.close()
	return p.buf
}
