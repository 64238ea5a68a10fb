package swarm

import (
	"errors"
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
	for _, c := range append(slices.Clone(table.v4.chunks), table.v6.chunks...) {
		b := c.render(nil, &Record{AS: 65077, Source: source})
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

func TestOwnPrefixesDoNotOverlap(t *testing.T) {
	const sessions, each = 3, 450
	table := NewOwnTable(each)
	seen := map[netip.Prefix]bool{}
	for index := range sessions {
		for _, f := range []*tableFamily{&table.v4, &table.v6} {
			for _, c := range f.chunks {
				b := c.render(nil, &Record{Index: index, AS: 65001, Source: netip.MustParseAddr("2001:db8::1")})
				for len(b) > 0 {
					m, n, err := bgp.Next(b, bgp.MaxMessage)
					if err != nil || n == 0 {
						t.Fatal(n, err)
					}
					for _, p := range checkPatched(t, m, 65001, netip.MustParseAddr("2001:db8::1")) {
						if seen[p] {
							t.Fatalf("%s announced twice", p)
						}
						seen[p] = true
					}
					b = b[n:]
				}
			}
		}
	}
	if len(seen) != 2*sessions*each {
		t.Errorf("%d prefixes", len(seen))
	}
	if table.fits(1_000_000) {
		t.Error("a million sessions fit")
	}
}

// TestChurnTakesBackWhatWasAnnounced compares the withdrawal of each step with
// its announcement.
func TestChurnTakesBackWhatWasAnnounced(t *testing.T) {
	synthetic, err := NewSyntheticTable(3000, 1, bgp.IPv4Unicast, bgp.IPv6Unicast)
	if err != nil {
		t.Fatal(err)
	}
	r := &Record{Index: 2, AS: 65001, Source: netip.MustParseAddr("192.0.2.9")}
	for name, table := range map[string]*Table{"own": NewOwnTable(500), "synthetic": synthetic, "default": NewDefaultTable()} {
		for _, f := range []*tableFamily{&table.v4, &table.v6} {
			for i, s := range f.steps {
				announced, withdrawn := routesOf(t, s.announce.render(nil, r)), routesOf(t, s.withdraw.render(nil, r))
				if !slices.Equal(announced.nlri, withdrawn.nlri) || announced.count != s.prefixes {
					t.Fatalf("%s, step %d: announces %d routes and takes back others", name, i, announced.count)
				}
			}
			if len(f.steps) == 0 {
				t.Errorf("%s: no steps", name)
			}
		}
	}
}

// routesOf gives the prefixes of one UPDATE, whether announced or withdrawn.
func routesOf(t *testing.T, b []byte) routes {
	t.Helper()
	m, n, err := bgp.Next(b, bgp.MaxMessage)
	if err != nil || n != len(b) {
		t.Fatal(n, err)
	}
	u, err := bgp.DecodeUpdate(m.Body)
	if err != nil {
		t.Fatal(err)
	}
	a, w, err := u.Count()
	if err != nil {
		t.Fatal(err)
	}
	r := routes{count: a + w, nlri: append(slices.Clone(u.NLRI), u.Withdrawn...)}
	if u.Reach != nil {
		r.nlri = append(r.nlri, u.Reach.NLRI...)
	}
	if u.Unreach != nil {
		r.nlri = append(r.nlri, u.Unreach.NLRI...)
	}
	return r
}

func TestSetWithoutRoomIsRefused(t *testing.T) {
	set := RouteSet{Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Communities: make([]uint32, 1100)}
	if _, err := NewTable([]RouteSet{set}); !errors.Is(err, errSetTooLarge) {
		t.Errorf("error is %v", err)
	}
}
