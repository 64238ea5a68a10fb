package swarm

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/peerage/peerage/realserver/bgp"
)

func TestTableIsPatchedPerSession(t *testing.T) {
	var v4 []netip.Prefix
	for i := range 3000 {
		v4 = append(v4, netip.PrefixFrom(netip.AddrFrom4([4]byte{20, byte(i >> 8), byte(i), 0}), 24))
	}
	v6 := []netip.Prefix{netip.MustParsePrefix("2001:db8:1::/48"), netip.MustParsePrefix("2001:db8:2::/48")}
	table, err := NewTable([]RouteSet{{Prefixes: v4, Path: []uint32{64500, 4200000000}}, {Prefixes: v6, Communities: []uint32{1}}})
	if err != nil || table.Prefixes() != 3002 {
		t.Fatalf("%d prefixes, %v", table.Prefixes(), err)
	}
	source := netip.MustParseAddr("2001:db8::77")
	var got []netip.Prefix
	for i := range table.chunks {
		b := table.chunks[i].render(nil, 65077, source)
		for len(b) > 0 {
			m, n, err := bgp.Next(b, bgp.MaxMessage)
			if err != nil || n == 0 {
				t.Fatal(n, err)
			}
			got = append(got, checkPatched(t, m, 65077, source)...)
			b = b[n:]
		}
	}
	if !slices.Equal(got, append(slices.Clone(v4), v6...)) {
		t.Errorf("%d prefixes came out, not those that went in", len(got))
	}
}

func checkPatched(t *testing.T, m bgp.Message, as uint32, source netip.Addr) []netip.Prefix {
	t.Helper()
	u, err := bgp.DecodeUpdate(m.Body)
	if err != nil {
		t.Fatal(err)
	}
	for a := range bgp.Attributes(u.Attributes) {
		switch a.Type {
		case bgp.AttrASPath:
			if got := uint32(a.Value[2])<<24 | uint32(a.Value[3])<<16 | uint32(a.Value[4])<<8 | uint32(a.Value[5]); got != as {
				t.Errorf("first AS is %d", got)
			}
		case bgp.AttrNextHop:
			if hop := [4]byte(a.Value); hop != nextHop4(source) {
				t.Errorf("next hop is %v", hop)
			}
		}
	}
	afi, nlri := bgp.AFIIPv4, u.NLRI
	if u.Reach != nil {
		afi, nlri = bgp.AFIIPv6, u.Reach.NLRI
		if hop, _ := netip.AddrFromSlice(u.Reach.NextHop); hop != source {
			t.Errorf("next hop is %v", hop)
		}
	}
	var ps []netip.Prefix
	for p, err := range bgp.Prefixes(afi, nlri) {
		if err != nil {
			t.Fatal(err)
		}
		ps = append(ps, p)
	}
	return ps
}
