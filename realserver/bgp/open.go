package bgp

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// ASTrans stands in the 2-octet AS field for an AS that needs 4 (RFC 6793).
const ASTrans = 23456

// optional parameter types (RFC 5492, RFC 9072).
const (
	paramCapabilities = 2
	paramExtended     = 255
)

// Open is an OPEN message (RFC 4271 section 4.2).
type Open struct {
	// AS is the sender's; the 4-octet capability counts when there is one.
	AS uint32
	// HoldTime is 0 or at least 3 s, in whole seconds.
	HoldTime time.Duration
	// Identifier is the sender's BGP identifier (RFC 6286: any but 0).
	Identifier netip.Addr
	// Capabilities in the order of the message. Encoding adds the 4-octet AS
	// capability when it is not among them.
	Capabilities []Capability
}

// DecodeOpen reads the body of an OPEN and checks what can be checked without
// knowing the peer (RFC 4271 section 6.2).
func DecodeOpen(body []byte) (*Open, error) {
	if len(body) < 10 {
		return nil, Errorf(CodeHeader, SubBadMessageLength, nil, "OPEN of %d bytes", len(body))
	}
	if body[0] != 4 {
		return nil, Errorf(CodeOpen, SubUnsupportedVersion, []byte{0, 4}, "version %d", body[0])
	}
	hold := binary.BigEndian.Uint16(body[3:])
	if hold == 1 || hold == 2 {
		return nil, Errorf(CodeOpen, SubUnacceptableHoldTime, nil, "hold time of %d s", hold)
	}
	o := &Open{
		AS:         uint32(binary.BigEndian.Uint16(body[1:])),
		HoldTime:   time.Duration(hold) * time.Second,
		Identifier: netip.AddrFrom4([4]byte(body[5:9])),
	}
	if o.Identifier.IsUnspecified() {
		return nil, Errorf(CodeOpen, SubBadBGPIdentifier, nil, "identifier is 0.0.0.0")
	}
	if err := o.decodeParameters(body[9:]); err != nil {
		return nil, err
	}
	if c, ok := o.Capability(CapFourOctetAS); ok {
		o.AS = binary.BigEndian.Uint32(c.Value)
	}
	if o.AS == 0 { // RFC 7607
		return nil, Errorf(CodeOpen, SubBadPeerAS, nil, "AS 0")
	}
	return o, nil
}

// decodeParameters reads the optional parameters from their length octet on.
func (o *Open) decodeParameters(b []byte) error {
	malformed := func(why string) error { return Errorf(CodeOpen, 0, nil, "optional parameters: %s", why) }
	length, lengthSize := int(b[0]), 1
	b = b[1:]
	// RFC 9072 section 2: type 255 in the first parameter marks 2-octet lengths.
	if length != 0 && len(b) >= 3 && b[0] == paramExtended {
		length, lengthSize = int(binary.BigEndian.Uint16(b[1:])), 2
		b = b[3:]
	}
	if length != len(b) {
		return malformed("length does not fit the message")
	}
	for len(b) > 0 {
		if len(b) < 1+lengthSize {
			return malformed("cut short")
		}
		kind, n := b[0], int(b[1])
		if lengthSize == 2 {
			n = int(binary.BigEndian.Uint16(b[1:]))
		}
		b = b[1+lengthSize:]
		if n > len(b) {
			return malformed("a parameter is longer than the message")
		}
		if kind != paramCapabilities {
			return Errorf(CodeOpen, SubUnsupportedParameter, nil, "optional parameter %d", kind)
		}
		var err error
		if o.Capabilities, err = appendCapabilities(o.Capabilities, b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// Capability finds the first capability of a code.
func (o *Open) Capability(code CapabilityCode) (Capability, bool) {
	for _, c := range o.Capabilities {
		if c.Code == code {
			return c, true
		}
	}
	return Capability{}, false
}

// Append appends the message. All capabilities go into one parameter, which
// is of the extended form (RFC 9072) only when it must be.
func (o *Open) Append(b []byte) []byte {
	start := len(b)
	as := uint16(ASTrans)
	if o.AS <= 0xffff {
		as = uint16(o.AS)
	}
	b = append(appendHeader(b, TypeOpen), 4)
	b = binary.BigEndian.AppendUint16(b, as)
	b = binary.BigEndian.AppendUint16(b, uint16(o.HoldTime/time.Second))
	id := o.Identifier.As4()
	b = append(b, id[:]...)

	var caps []byte
	if _, ok := o.Capability(CapFourOctetAS); !ok {
		caps = FourOctetAS(o.AS).append(caps)
	}
	for _, c := range o.Capabilities {
		caps = c.append(caps)
	}
	if len(caps)+2 <= 255-1 {
		b = append(b, byte(len(caps)+2), paramCapabilities, byte(len(caps)))
	} else {
		b = append(b, 255, paramExtended)
		b = binary.BigEndian.AppendUint16(b, uint16(len(caps)+3))
		b = append(b, paramCapabilities)
		b = binary.BigEndian.AppendUint16(b, uint16(len(caps)))
	}
	return finish(append(b, caps...), start)
}
