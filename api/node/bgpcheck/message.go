package bgpcheck

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
)

// RFC 4271 section 4.1: a message has a marker of 16 bytes of ones, a length
// of 19..4096 and a type. RFC 8654 raises the length of others than OPEN only.
const (
	markerLen  = 16
	headerLen  = 19
	maxMessage = 4096
	minOpen    = 29

	typeOpen         = 1
	typeUpdate       = 2
	typeNotification = 3
	typeKeepalive    = 4
	typeRefresh      = 5
)

// asTrans stands for an AS number of four octets in a field of two (RFC 6793).
const asTrans = 23456

// checkMarker tells whether the bytes so far can begin a message, so that
// what is no BGP is known from its first byte.
func checkMarker(b []byte) error {
	for _, c := range b[:min(len(b), markerLen)] {
		if c != 0xff {
			return fail(KindGarbage, "what answers is not BGP: it began with %s", printable(b))
		}
	}
	return nil
}

// header is the fixed part of a message.
type header struct {
	length int
	kind   byte
}

// parseHeader reads 19 bytes (RFC 4271 section 6.1).
func parseHeader(b []byte) (header, error) {
	if err := checkMarker(b); err != nil {
		return header{}, err
	}
	h := header{int(binary.BigEndian.Uint16(b[markerLen:])), b[headerLen-1]}
	least, known := 0, true
	switch h.kind {
	case typeOpen:
		least = minOpen
	case typeNotification:
		least = headerLen + 2
	case typeUpdate, typeKeepalive, typeRefresh:
		return h, fail(KindOpen, "the speaker sent %s before its OPEN", typeName(h.kind))
	default:
		known = false
	}
	switch {
	case !known:
		return h, fail(KindOpen, "the speaker sent a message of the unknown type %d", h.kind)
	case h.length < least || h.length > maxMessage:
		return h, fail(KindOpen, "the speaker's %s has the impossible length %d", typeName(h.kind), h.length)
	}
	return h, nil
}

func typeName(t byte) string {
	switch t {
	case typeOpen:
		return "OPEN"
	case typeUpdate:
		return "an UPDATE"
	case typeNotification:
		return "NOTIFICATION"
	case typeKeepalive:
		return "a KEEPALIVE"
	}
	return "a ROUTE-REFRESH"
}

// open is what an OPEN says.
type open struct {
	as       uint32
	holdTime uint16
	id       netip.Addr
}

// parseOpen reads the body of an OPEN (RFC 4271 sections 4.2 and 6.2).
func parseOpen(b []byte) (open, error) {
	if len(b) < minOpen-headerLen {
		return open{}, fail(KindOpen, "the OPEN is cut short")
	}
	o := open{
		as:       uint32(binary.BigEndian.Uint16(b[1:])),
		holdTime: binary.BigEndian.Uint16(b[3:]),
		id:       netip.AddrFrom4([4]byte(b[5:9])),
	}
	if b[0] != 4 {
		return o, fail(KindOpen, "the OPEN is of BGP version %d, not 4", b[0])
	}
	params, err := optional(b[9:])
	if err != nil {
		return o, err
	}
	if params.as4 != nil {
		o.as = *params.as4
	}
	switch {
	case o.as == 0: // RFC 7607
		return o, fail(KindOpen, "the OPEN has the AS number 0")
	case o.as == asTrans && params.as4 == nil:
		return o, fail(KindOpen, "the OPEN has the AS number %d without the number that it stands for", asTrans)
	case o.holdTime == 1 || o.holdTime == 2:
		return o, fail(KindOpen, "the OPEN has the hold time %d s; RFC 4271 allows 0, or 3 and more", o.holdTime)
	case o.id.IsUnspecified(): // RFC 6286
		return o, fail(KindOpen, "the OPEN has the identifier 0.0.0.0")
	}
	return o, nil
}

// parameters is what the check wants of the optional parameters.
type parameters struct{ as4 *uint32 }

const (
	paramCapabilities = 2
	paramExtended     = 255 // RFC 9072
	capabilityAS4     = 65
)

// optional walks the optional parameters, with lengths of one octet or, by
// RFC 9072 section 2, of two. Unknown parameters are passed over: the check
// does not negotiate.
func optional(b []byte) (parameters, error) {
	var p parameters
	length, rest := int(b[0]), b[1:]
	wide := length != 0 && len(rest) > 0 && rest[0] == paramExtended
	if wide {
		if len(rest) < 3 {
			return p, fail(KindOpen, "the OPEN's extended parameters are cut short")
		}
		length, rest = int(binary.BigEndian.Uint16(rest[1:])), rest[3:]
	}
	if length != len(rest) {
		return p, fail(KindOpen, "the OPEN has %d bytes of optional parameters and says %d", len(rest), length)
	}
	for len(rest) > 0 {
		kind, value, after, ok := cut(rest, wide)
		if !ok {
			return p, fail(KindOpen, "an optional parameter of the OPEN is longer than what is left")
		}
		if kind == paramCapabilities {
			if err := p.capabilities(value); err != nil {
				return p, err
			}
		}
		rest = after
	}
	return p, nil
}

// capabilities walks the capabilities of one parameter (RFC 5492).
func (p *parameters) capabilities(b []byte) error {
	for len(b) > 0 {
		code, value, after, ok := cut(b, false)
		if !ok {
			return fail(KindOpen, "a capability of the OPEN is longer than what is left")
		}
		if code == capabilityAS4 {
			if len(value) != 4 {
				return fail(KindOpen, "the OPEN's capability of four-octet AS numbers has %d bytes", len(value))
			}
			p.as4 = new(binary.BigEndian.Uint32(value))
		}
		b = after
	}
	return nil
}

// cut takes one type, length, value off b.
func cut(b []byte, wide bool) (kind byte, value, after []byte, ok bool) {
	head := 2
	if wide {
		head = 3
	}
	if len(b) < head {
		return 0, nil, nil, false
	}
	length := int(b[1])
	if wide {
		length = int(binary.BigEndian.Uint16(b[1:]))
	}
	if len(b)-head < length {
		return 0, nil, nil, false
	}
	return b[0], b[head : head+length], b[head+length:], true
}

// notification reads the body of a NOTIFICATION (RFC 4271 section 4.5) into
// the error that it is.
func notification(b []byte) error {
	code, sub, data := b[0], b[1], b[2:]
	text := fmt.Sprintf("the speaker refused with %s", codeName(code, sub))
	// RFC 9003: a message for people.
	if code == codeCease && (sub == ceaseShutdown || sub == ceaseReset) && len(data) > 1 && int(data[0]) == len(data)-1 {
		text += ": " + oneLine(string(data[1:]))
	}
	return &Error{Kind: KindNotification, Text: text}
}

const (
	codeCease     = 6
	ceaseShutdown = 2
	ceaseReset    = 4
)

func codeName(code, sub byte) string {
	names := map[byte]string{1: "Message Header Error", 2: "OPEN Message Error", 3: "UPDATE Message Error",
		4: "Hold Timer Expired", 5: "Finite State Machine Error", codeCease: "Cease"}
	cease := map[byte]string{1: "Maximum Number of Prefixes Reached", ceaseShutdown: "Administrative Shutdown",
		3: "Peer De-configured", ceaseReset: "Administrative Reset", 5: "Connection Rejected",
		6: "Other Configuration Change", 7: "Connection Collision Resolution", 8: "Out of Resources", 9: "Hard Reset", 10: "BFD Down"}
	name := names[code]
	if name == "" {
		name = "an unknown code"
	}
	if code == codeCease && cease[sub] != "" {
		return fmt.Sprintf("%s, %s (%d/%d)", name, cease[sub], code, sub)
	}
	return fmt.Sprintf("%s (%d/%d)", name, code, sub)
}

// farewell is the NOTIFICATION that ends a check: Cease, Administrative
// Shutdown, with a text that explains the speaker's log (RFC 9003).
func farewell() []byte {
	const text = "health check"
	body := append([]byte{codeCease, ceaseShutdown, byte(len(text))}, text...)
	m := bytes.Repeat([]byte{0xff}, markerLen)
	m = binary.BigEndian.AppendUint16(m, uint16(headerLen+len(body)))
	m = append(m, typeNotification)
	return append(m, body...)
}
