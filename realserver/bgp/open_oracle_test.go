package bgp

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"
	"time"

	gobgp "github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

// GoBGP's codec reads in an OPEN what was written into it, and what GoBGP
// writes is read. It does not know extended parameters (RFC 9072): OPENs that
// need them are left to TestOpenRoundTrip.
func TestOpenOracle(t *testing.T) {
	many := []Capability{Multiprotocol(IPv4Unicast), Multiprotocol(IPv6Unicast), {CapRouteRefresh, nil}, {CapExtendedMessage, nil}, {CapEnhancedRefresh, nil}}
	long := slices.Clone(many)
	for i := range 10 {
		long = append(long, Capability{CapabilityCode(200 + i), bytes.Repeat([]byte{byte(i)}, 18)})
	}
	tests := map[string]*Open{
		"plain":              {AS: 65001, HoldTime: 90 * time.Second, Identifier: netip.MustParseAddr("192.0.2.1")},
		"4-octet AS":         {AS: 4200000001, HoldTime: 0, Identifier: netip.MustParseAddr("0.0.0.1"), Capabilities: many},
		"as long as it gets": {AS: 4200000001, HoldTime: 240 * time.Second, Identifier: netip.MustParseAddr("192.0.2.1"), Capabilities: long},
	}
	for name, o := range tests {
		t.Run(name, func(t *testing.T) {
			m, err := gobgp.ParseBGPMessage(o.Append(nil))
			if err != nil {
				t.Fatal(err)
			}
			their := m.Body.(*gobgp.BGPOpen)
			if their.ID != o.Identifier || time.Duration(their.HoldTime)*time.Second != o.HoldTime {
				t.Errorf("GoBGP reads %v, hold time %d", their.ID, their.HoldTime)
			}
			codes := theirCapabilities(their)
			for _, c := range append(slices.Clone(o.Capabilities), FourOctetAS(o.AS)) {
				if !slices.Contains(codes, c.Code) {
					t.Errorf("GoBGP does not read %s", c)
				}
			}
			back, err := m.Serialize()
			if err != nil {
				t.Fatal(err)
			}
			again, err := DecodeOpen(one(t, back, TypeOpen))
			if err != nil || again.AS != o.AS || again.HoldTime != o.HoldTime || again.Identifier != o.Identifier {
				t.Errorf("back from GoBGP: %+v, %v", again, err)
			}
		})
	}
}

func theirCapabilities(o *gobgp.BGPOpen) (codes []CapabilityCode) {
	for _, p := range o.OptParams {
		if list, ok := p.(*gobgp.OptionParameterCapability); ok {
			for _, c := range list.Capability {
				codes = append(codes, CapabilityCode(c.Code()))
			}
		}
	}
	return codes
}
