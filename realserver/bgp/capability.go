package bgp

import (
	"encoding/binary"
	"fmt"
)

// CapabilityCode is a code of the IANA registry of BGP capabilities.
type CapabilityCode uint8

// The capabilities that this package knows the inside of, and those that are
// kept for whoever does.
const (
	CapMultiprotocol   CapabilityCode = 1  // RFC 4760
	CapRouteRefresh    CapabilityCode = 2  // RFC 2918
	CapExtendedNextHop CapabilityCode = 5  // RFC 8950
	CapExtendedMessage CapabilityCode = 6  // RFC 8654
	CapRole            CapabilityCode = 9  // RFC 9234
	CapGracefulRestart CapabilityCode = 64 // RFC 4724
	CapFourOctetAS     CapabilityCode = 65 // RFC 6793
	CapAddPath         CapabilityCode = 69 // RFC 7911
	CapEnhancedRefresh CapabilityCode = 70 // RFC 7313
	CapLongLivedGR     CapabilityCode = 71 // RFC 9494
	CapFQDN            CapabilityCode = 73
	CapSoftwareVersion CapabilityCode = 75
	CapCiscoRefresh    CapabilityCode = 128 // before RFC 2918
)

// anyLength: the value is not looked into here.
const anyLength = -1

// capabilities is the table of known capabilities; one line adds one. A known
// capability whose value has another length is malformed.
var capabilities = map[CapabilityCode]struct {
	name   string
	length int // of the value
}{
	CapMultiprotocol:   {"multiprotocol", 4},
	CapRouteRefresh:    {"route-refresh", 0},
	CapExtendedNextHop: {"extended-next-hop", anyLength},
	CapExtendedMessage: {"extended-message", 0},
	CapRole:            {"role", anyLength},
	CapGracefulRestart: {"graceful-restart", anyLength},
	CapFourOctetAS:     {"four-octet-as", 4},
	CapAddPath:         {"add-path", anyLength},
	CapEnhancedRefresh: {"enhanced-refresh", 0},
	CapLongLivedGR:     {"long-lived-graceful-restart", anyLength},
	CapFQDN:            {"fqdn", anyLength},
	CapSoftwareVersion: {"software-version", anyLength},
	CapCiscoRefresh:    {"cisco-route-refresh", anyLength},
}

// Capability is one capability of an OPEN (RFC 5492).
type Capability struct {
	Code  CapabilityCode
	Value []byte
}

// String names the capability with its value.
func (c Capability) String() string {
	known, ok := capabilities[c.Code]
	switch {
	case !ok:
		return fmt.Sprintf("capability-%d(%x)", uint8(c.Code), c.Value)
	case c.Code == CapMultiprotocol && len(c.Value) == 4:
		return known.name + "(" + c.family().String() + ")"
	case known.length == anyLength && len(c.Value) > 0:
		return fmt.Sprintf("%s(%x)", known.name, c.Value)
	}
	return known.name
}

func (c Capability) family() Family {
	return Family{AFI(binary.BigEndian.Uint16(c.Value)), SAFI(c.Value[3])}
}

// Multiprotocol is the capability to exchange routes of a family.
func Multiprotocol(f Family) Capability {
	v := binary.BigEndian.AppendUint16(nil, uint16(f.AFI))
	return Capability{CapMultiprotocol, append(v, 0, byte(f.SAFI))}
}

// FourOctetAS is the capability that carries the sender's AS.
func FourOctetAS(as uint32) Capability {
	return Capability{CapFourOctetAS, binary.BigEndian.AppendUint32(nil, as)}
}

// Families lists the families of the multiprotocol capabilities. An OPEN
// without any offers IPv4 unicast alone (RFC 4760 section 8).
func (o *Open) Families() []Family {
	var fs []Family
	for _, c := range o.Capabilities {
		if c.Code == CapMultiprotocol {
			fs = append(fs, c.family())
		}
	}
	if fs == nil {
		return []Family{IPv4Unicast}
	}
	return fs
}

func (c Capability) append(b []byte) []byte {
	return append(append(b, byte(c.Code), byte(len(c.Value))), c.Value...)
}

// appendCapabilities reads the capabilities of one optional parameter.
func appendCapabilities(caps []Capability, b []byte) ([]Capability, error) {
	for len(b) > 0 {
		if len(b) < 2 || int(b[1]) > len(b)-2 {
			return nil, Errorf(CodeOpen, 0, nil, "capabilities: cut short")
		}
		c := Capability{CapabilityCode(b[0]), b[2 : 2+int(b[1])]}
		if known, ok := capabilities[c.Code]; ok && known.length != anyLength && len(c.Value) != known.length {
			return nil, Errorf(CodeOpen, 0, nil, "capability %s of %d bytes, not %d", known.name, len(c.Value), known.length)
		}
		caps = append(caps, c)
		b = b[2+len(c.Value):]
	}
	return caps, nil
}
