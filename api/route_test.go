package api_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/peerage/peerage/api"
)

func TestParseCommunity(t *testing.T) {
	for text, want := range map[string]string{
		"65535:666": "65535:666 blackhole", "blackhole": "65535:666 blackhole", "no-export": "65535:65281 no-export",
		"no-advertise": "65535:65282 no-advertise", "no-peer": "65535:65284 no-peer", "0:0": "0:0 0:0", "64500:17": "64500:17 64500:17",
		"65536:1": "", "1:65536": "", "1": "", "1:2:3": "", "01:2": "", "+1:2": "", " 1:2": "", "1:": "", "": "", "-1:2": "", "Blackhole": "",
	} {
		c, err := api.ParseCommunity(text)
		got := ""
		if err == nil {
			got = c.String() + " " + c.Name()
		}
		if got != want {
			t.Errorf("%q: %q, not %q", text, got, want)
		}
		if want == "" && (err == nil || !strings.Contains(err.Error(), "write AS:VALUE")) {
			t.Errorf("%q: %v", text, err)
		}
	}
	for text, good := range map[string]bool{
		"4294967295:0:1": true, "64500:1:2": true, "4294967296:0:1": false, "1:2": false, "1:2:3:4": false, "1:2:03": false, "": false,
	} {
		c, err := api.ParseLargeCommunity(text)
		if (err == nil) != good || good && c.String() != text {
			t.Errorf("%q: %v, %v", text, c, err)
		}
	}
}

func route(change func(r *api.RouteIntent)) *api.RouteIntent {
	r := &api.RouteIntent{Target: api.RouteTarget{Customer: "acme"}, Prefix: netip.MustParsePrefix("192.0.2.1/32"), NextHop: netip.MustParseAddr("198.51.100.1")}
	change(r)
	return r
}

func TestRouteCheck(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(r *api.RouteIntent)
		want   string // empty: none
	}{
		"a customer":       {func(*api.RouteIntent) {}, ""},
		"a pool's":         {func(r *api.RouteIntent) { r.Target.Customer = "edge.acme" }, ""},
		"a default route":  {func(r *api.RouteIntent) { r.Prefix = netip.MustParsePrefix("0.0.0.0/0") }, ""},
		"every community":  {func(r *api.RouteIntent) { r.Communities = api.CommunityNames() }, ""},
		"no target":        {func(r *api.RouteIntent) { r.Target = api.RouteTarget{} }, "target: 0 of all, customer and session are given; give one of them"},
		"two targets":      {func(r *api.RouteIntent) { r.Target.All = true }, "target: 2 of all"},
		"a bad customer":   {func(r *api.RouteIntent) { r.Target.Customer = "a.b.c" }, `target.customer: "b.c" has the character '.'`},
		"a zoned session":  {func(r *api.RouteIntent) { r.Target = api.RouteTarget{Session: netip.MustParseAddr("fe80::1%eth0")} }, "target.session: fe80::1%eth0 is a link-local address"},
		"no prefix":        {func(r *api.RouteIntent) { r.Prefix = netip.Prefix{} }, "prefix: the prefix is missing"},
		"bits beyond":      {func(r *api.RouteIntent) { r.Prefix = netip.MustParsePrefix("192.0.2.1/24") }, "write 192.0.2.0/24, or 192.0.2.1/32 for the single address"},
		"multicast":        {func(r *api.RouteIntent) { r.Prefix = netip.MustParsePrefix("224.0.0.0/4") }, "224.0.0.0/4 is not unicast"},
		"mapped":           {func(r *api.RouteIntent) { r.Prefix = netip.MustParsePrefix("::ffff:192.0.2.0/120") }, "written as IPv6"},
		"no next hop":      {func(r *api.RouteIntent) { r.NextHop = netip.Addr{} }, "nextHop: the address is missing"},
		"the other family": {func(r *api.RouteIntent) { r.NextHop = netip.MustParseAddr("2001:db8::1") }, "nextHop: 2001:db8::1 is not of the family of 192.0.2.1/32; write an IPv4 address"},
		"a bad community":  {func(r *api.RouteIntent) { r.Communities = []string{"1:2", "x"} }, `communities[1]: "x" is not a community; write AS:VALUE`},
		"a bad large one":  {func(r *api.RouteIntent) { r.LargeCommunities = []string{"1:2"} }, `largeCommunities[0]: "1:2" is not a large community`},
		"too many":         {func(r *api.RouteIntent) { r.Communities = make([]string, 256) }, "communities: the list has 256 items"},
	} {
		err := route(tc.change).Check()
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: %v, not %q", name, err, tc.want)
		}
	}
}

// Communities are a set with one text each: what is the same is written the
// same.
func TestRouteCanonical(t *testing.T) {
	a := route(func(r *api.RouteIntent) {
		r.Communities = []string{"blackhole", "64500:7", "65535:666"}
		r.LargeCommunities = []string{"2:0:0", "1:0:0"}
		r.MED = new(uint32(0))
	})
	b := route(func(r *api.RouteIntent) {
		r.Communities, r.LargeCommunities, r.MED = []string{"64500:7", "blackhole"}, []string{"1:0:0", "2:0:0"}, new(uint32(0))
	})
	a.Canonical()
	b.Canonical()
	if diff := cmp.Diff([]string{"64500:7", "65535:666"}, a.Communities); diff != "" || !a.Same(b) {
		t.Errorf("%v\n%v\n%s", a, b, diff)
	}
	b.MED = nil
	if a.Same(b) {
		t.Error("no MED is not MED 0")
	}
}

// Of two routes with one ID the second replaces the first, so that no two
// targets or prefixes may share one.
func TestRouteIDs(t *testing.T) {
	gen := func(t *rapid.T, label string) *api.RouteIntent {
		r := &api.RouteIntent{}
		switch rapid.IntRange(0, 2).Draw(t, label+" target") {
		case 0:
			r.Target.All = true
		case 1:
			r.Target.Customer = rapid.StringMatching(`[a-z]([a-z0-9-]{0,4}[a-z0-9])?(\.[a-z])?`).Draw(t, label+" customer")
		case 2:
			r.Target.Session = netip.AddrFrom4([4]byte{10, 0, rapid.Byte().Draw(t, label+" a"), rapid.Byte().Draw(t, label+" b")})
		}
		a := genAddr(t, label)
		p, err := a.Prefix(rapid.IntRange(0, a.BitLen()).Draw(t, label+" bits"))
		if err != nil {
			t.Fatal(err)
		}
		r.Prefix = p
		return r
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := gen(t, "a"), gen(t, "b")
		if same := a.Target == b.Target && a.Prefix == b.Prefix; same != (a.ID() == b.ID()) {
			t.Fatalf("%v and %v: %s, %s", a, b, a.ID(), b.ID())
		}
		if strings.Contains(a.ID(), "/") {
			t.Fatal(a.ID())
		}
	})
}

func TestActiveRoutes(t *testing.T) {
	now := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	st := &api.State{Routes: map[string]*api.RouteIntent{}}
	for customer, until := range map[string]time.Time{"ever": {}, "later": now.Add(1), "now": now, "past": now.Add(-1)} {
		r := route(func(r *api.RouteIntent) { r.Target.Customer, r.Until = customer, until })
		st.Routes[r.ID()] = r
	}
	var got []string
	for _, r := range st.ActiveRoutes(now) {
		got = append(got, r.Target.Customer)
	}
	if diff := cmp.Diff([]string{"ever", "later"}, got); diff != "" {
		t.Error(diff)
	}
}
