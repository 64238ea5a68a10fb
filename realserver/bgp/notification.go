package bgp

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Code is the error code of a NOTIFICATION.
type Code uint8

// The error codes of RFC 4271 section 4.5 and RFC 7313.
const (
	CodeHeader       Code = 1
	CodeOpen         Code = 2
	CodeUpdate       Code = 3
	CodeHoldTimer    Code = 4
	CodeFSM          Code = 5
	CodeCease        Code = 6
	CodeRouteRefresh Code = 7
)

// The subcodes, grouped by code.
const (
	SubConnectionNotSynchronized uint8 = 1
	SubBadMessageLength          uint8 = 2
	SubBadMessageType            uint8 = 3

	SubUnsupportedVersion    uint8 = 1
	SubBadPeerAS             uint8 = 2
	SubBadBGPIdentifier      uint8 = 3
	SubUnsupportedParameter  uint8 = 4
	SubUnacceptableHoldTime  uint8 = 6
	SubUnsupportedCapability uint8 = 7

	SubMalformedAttributeList uint8 = 1
	SubUnrecognizedWellKnown  uint8 = 2
	SubMissingWellKnown       uint8 = 3
	SubAttributeFlags         uint8 = 4
	SubAttributeLength        uint8 = 5
	SubInvalidOrigin          uint8 = 6
	SubInvalidNextHop         uint8 = 8
	SubOptionalAttribute      uint8 = 9
	SubInvalidNetworkField    uint8 = 10
	SubMalformedASPath        uint8 = 11

	SubMaxPrefixes            uint8 = 1
	SubAdministrativeShutdown uint8 = 2
	SubPeerDeconfigured       uint8 = 3
	SubAdministrativeReset    uint8 = 4
	SubConnectionRejected     uint8 = 5
	SubConfigurationChange    uint8 = 6
	SubConnectionCollision    uint8 = 7
	SubOutOfResources         uint8 = 8
	SubHardReset              uint8 = 9
	SubInvalidMessageLength   uint8 = 1
	maxShutdownCommunication        = 255
)

var codeNames = map[Code]string{
	CodeHeader: "message header error", CodeOpen: "OPEN message error", CodeUpdate: "UPDATE message error",
	CodeHoldTimer: "hold timer expired", CodeFSM: "finite state machine error", CodeCease: "cease",
	CodeRouteRefresh: "ROUTE-REFRESH message error",
}

var subNames = map[Code]map[uint8]string{
	CodeHeader: {1: "connection not synchronized", 2: "bad message length", 3: "bad message type"},
	CodeOpen: {1: "unsupported version number", 2: "bad peer AS", 3: "bad BGP identifier",
		4: "unsupported optional parameter", 6: "unacceptable hold time", 7: "unsupported capability"},
	CodeUpdate: {1: "malformed attribute list", 2: "unrecognized well-known attribute", 3: "missing well-known attribute",
		4: "attribute flags error", 5: "attribute length error", 6: "invalid ORIGIN attribute", 8: "invalid NEXT_HOP attribute",
		9: "optional attribute error", 10: "invalid network field", 11: "malformed AS_PATH"},
	CodeCease: {1: "maximum number of prefixes reached", 2: "administrative shutdown", 3: "peer de-configured",
		4: "administrative reset", 5: "connection rejected", 6: "other configuration change",
		7: "connection collision resolution", 8: "out of resources", 9: "hard reset"},
	CodeRouteRefresh: {1: "invalid message length"},
}

// Notification is a NOTIFICATION message: why a session ends.
type Notification struct {
	Code    Code
	Subcode uint8
	Data    []byte
}

// Shutdown is a Cease with a shutdown communication (RFC 9003); subcode is
// SubAdministrativeShutdown or SubAdministrativeReset. Text beyond 255 bytes
// is cut at a character.
func Shutdown(subcode uint8, text string) Notification {
	for len(text) > maxShutdownCommunication || !utf8.ValidString(text) {
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
	}
	return Notification{CodeCease, subcode, append([]byte{byte(len(text))}, text...)}
}

// Communication is the text of a shutdown communication, with control
// characters replaced, or "" when there is none or it is malformed.
func (n Notification) Communication() string {
	shutdown := n.Subcode == SubAdministrativeShutdown || n.Subcode == SubAdministrativeReset
	if n.Code != CodeCease || !shutdown || len(n.Data) == 0 {
		return ""
	}
	length := int(n.Data[0])
	if length > len(n.Data)-1 || !utf8.Valid(n.Data[1:1+length]) {
		return ""
	}
	// RFC 9003 section 6: the text is for a screen; it must not drive one.
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '.'
		}
		return r
	}, string(n.Data[1:1+length]))
}

// String names code and subcode, and quotes the communication if any.
func (n Notification) String() string {
	name, ok := codeNames[n.Code]
	if !ok {
		name = fmt.Sprintf("code %d", n.Code)
	}
	if sub := subNames[n.Code][n.Subcode]; sub != "" {
		name += ": " + sub
	} else if n.Subcode != 0 {
		name += fmt.Sprintf(": subcode %d", n.Subcode)
	}
	if text := n.Communication(); text != "" {
		name += fmt.Sprintf(" %q", text)
	}
	return name
}

// Append appends the message.
func (n Notification) Append(b []byte) []byte {
	start := len(b)
	b = append(appendHeader(b, TypeNotification), byte(n.Code), n.Subcode)
	data := n.Data[:min(len(n.Data), MaxMessage-HeaderLen-2)]
	return finish(append(b, data...), start)
}

// DecodeNotification reads the body of a NOTIFICATION.
func DecodeNotification(body []byte) (Notification, error) {
	if len(body) < 2 {
		return Notification{}, Errorf(CodeHeader, SubBadMessageLength, nil, "NOTIFICATION of %d bytes", len(body))
	}
	return Notification{Code(body[0]), body[1], body[2:]}, nil
}

// Error is a violation of the protocol. It carries the NOTIFICATION to send.
type Error struct {
	Notification Notification
	Reason       string
}

// Errorf makes an Error. The data are copied.
func Errorf(code Code, subcode uint8, data []byte, format string, args ...any) *Error {
	return &Error{Notification{code, subcode, append([]byte(nil), data...)}, fmt.Sprintf(format, args...)}
}

// Error implements error.
func (e *Error) Error() string { return e.Notification.String() + ": " + e.Reason }
