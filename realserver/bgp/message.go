package bgp

import (
	"encoding/binary"
	"fmt"
)

// Sizes of RFC 4271 section 4.1 and RFC 8654 section 3.
const (
	HeaderLen          = 19
	MaxMessage         = 4096
	MaxExtendedMessage = 65535
)

// Type is a message type.
type Type uint8

// The message types of RFC 4271 section 4.1 and RFC 2918.
const (
	TypeOpen         Type = 1
	TypeUpdate       Type = 2
	TypeNotification Type = 3
	TypeKeepalive    Type = 4
	TypeRouteRefresh Type = 5
)

// String names the type as the RFCs do.
func (t Type) String() string {
	switch t {
	case TypeOpen:
		return "OPEN"
	case TypeUpdate:
		return "UPDATE"
	case TypeNotification:
		return "NOTIFICATION"
	case TypeKeepalive:
		return "KEEPALIVE"
	case TypeRouteRefresh:
		return "ROUTE-REFRESH"
	}
	return fmt.Sprintf("type %d", uint8(t))
}

// minLength is the shortest message of each type, header included.
func (t Type) minLength() int {
	switch t {
	case TypeOpen:
		return HeaderLen + 10
	case TypeUpdate:
		return HeaderLen + 4
	case TypeNotification:
		return HeaderLen + 2
	case TypeRouteRefresh:
		return HeaderLen + 4
	}
	return HeaderLen
}

// Message is one message as framed: its type and what follows the header.
type Message struct {
	Type Type
	Body []byte
}

// Next splits the first message off buf. It returns the number of bytes that
// the message takes; 0 means that buf does not hold a whole message yet.
// limit is MaxMessage, or MaxExtendedMessage once RFC 8654 was negotiated.
//
// The errors are those of RFC 4271 section 6.1; after one of them the stream
// cannot be followed any further.
func Next(buf []byte, limit int) (m Message, n int, err error) {
	if len(buf) < HeaderLen {
		return Message{}, 0, nil
	}
	for _, b := range buf[:16] {
		if b != 0xff {
			return Message{}, 0, Errorf(CodeHeader, SubConnectionNotSynchronized, nil, "marker is not all ones")
		}
	}
	length := int(binary.BigEndian.Uint16(buf[16:]))
	t := Type(buf[18])
	if t < TypeOpen || t > TypeRouteRefresh {
		return Message{}, 0, Errorf(CodeHeader, SubBadMessageType, buf[18:19], "message %s is not known", t)
	}
	// RFC 8654 section 4: OPEN and KEEPALIVE keep the classic limit.
	if t == TypeOpen || t == TypeKeepalive {
		limit = MaxMessage
	}
	if length < t.minLength() || length > limit || t == TypeKeepalive && length != HeaderLen {
		return Message{}, 0, Errorf(CodeHeader, SubBadMessageLength, buf[16:18], "%s of %d bytes", t, length)
	}
	if len(buf) < length {
		return Message{}, 0, nil
	}
	return Message{t, buf[HeaderLen:length]}, length, nil
}

// appendHeader starts a message; finish writes its length.
func appendHeader(b []byte, t Type) []byte {
	b = append(b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
	return append(b, 0, 0, byte(t))
}

// finish writes the length of the message that starts at start.
func finish(b []byte, start int) []byte {
	binary.BigEndian.PutUint16(b[start+16:], uint16(len(b)-start))
	return b
}

// AppendKeepalive appends a KEEPALIVE.
func AppendKeepalive(b []byte) []byte {
	start := len(b)
	return finish(appendHeader(b, TypeKeepalive), start)
}

// RouteRefresh asks for the routes of a family again (RFC 2918), or marks the
// beginning or the end of such an answer (RFC 7313).
type RouteRefresh struct {
	Family  Family
	Subtype uint8
}

// The subtypes of RFC 7313 section 3.2.
const (
	RefreshRequest uint8 = 0
	RefreshBegin   uint8 = 1
	RefreshEnd     uint8 = 2
)

// Append appends the message.
func (r RouteRefresh) Append(b []byte) []byte {
	start := len(b)
	b = appendHeader(b, TypeRouteRefresh)
	b = binary.BigEndian.AppendUint16(b, uint16(r.Family.AFI))
	b = append(b, r.Subtype, byte(r.Family.SAFI))
	return finish(b, start)
}

// DecodeRouteRefresh reads the body of a ROUTE-REFRESH. Bytes after the fixed
// part (RFC 5291) are ignored.
func DecodeRouteRefresh(body []byte) (RouteRefresh, error) {
	if len(body) < 4 {
		return RouteRefresh{}, Errorf(CodeRouteRefresh, SubInvalidMessageLength, nil, "ROUTE-REFRESH of %d bytes", len(body))
	}
	return RouteRefresh{
		Family:  Family{AFI(binary.BigEndian.Uint16(body)), SAFI(body[3])},
		Subtype: body[2],
	}, nil
}
