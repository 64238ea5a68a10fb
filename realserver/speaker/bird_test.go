package speaker

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/node/birdc/birdtest"
	"github.com/peerage/peerage/api/node/nodetest"
	"github.com/peerage/peerage/realserver/speaker/control"
)

// birdConfig is a customer's BIRD with two routers' sessions, the first one
// signed. It listens on a port of its own: port 179 of an address is one test's
// at a time.
func birdConfig(port, own uint16, as uint32) string {
	const session = `
protocol bgp %[1]s {
  local %[2]s port %[8]d as %[4]d;
  neighbor %[5]s port %[3]d as %[6]d;
  strict bind yes; multihop; connect delay time 1; startup hold time 10;
  enable extended messages yes;
  %[7]s
  ipv4 { import all; export filter { if source = RTS_STATIC then accept; reject; }; next hop self; };
  ipv6 { import all; export filter { if source = RTS_STATIC then accept; reject; }; next hop address 2001:db8::5; };
}
`
	return `router id 10.9.9.1;
protocol device { }
protocol static s4 { ipv4; route 10.1.0.0/16 blackhole { bgp_community.add((65001,7)); bgp_large_community.add((65001,1,2)); }; route 10.2.0.0/16 blackhole; }
protocol static s6 { ipv6; route 2001:db8:1::/48 blackhole; }
` + fmt.Sprintf(session, "one", "127.0.1.5", port, as, vipA, localAS, `password "sesame";`, own) +
		fmt.Sprintf(session, "two", "127.0.3.5", port, as, vipB, localAS, "", own)
}

// A real customer's router: capabilities, a key, both families, route refresh
// both ways, the text of a shutdown both ways.
func TestBird(t *testing.T) {
	t.Parallel()
	b := newBench(t, signed(acme("acme", "127.0.1.0/24"), "a"), acme("other", "127.0.3.0/24"))
	b.secret("a", "sesame")
	b.put(true)
	bird := birdtest.Start(t, birdConfig(b.port, nodetest.FreePort(t), 65001))
	b.established(2)
	s := b.session("127.0.1.5")
	if d := cmp.Diff([]string{"multiprotocol(ipv4-unicast)", "multiprotocol(ipv6-unicast)", "route-refresh", "enhanced-refresh", "extended-message", "four-octet-as"}, s.Capabilities); d != "" {
		t.Error(d)
	}
	routes := func(s control.Session) bool { return s.Routes["ipv4-unicast"] == 2 && s.Routes["ipv6-unicast"] == 1 }
	b.eventually("routes", func() bool { return routes(b.session("127.0.1.5")) && routes(b.session("127.0.3.5")) })
	b.eventually("lookup", func() bool { return len(lookup(t, b, "10.1.2.3")) == 2 })
	got := lookup(t, b, "10.1.2.3")[0]
	if d := cmp.Diff(control.Route{
		Session: s.ID, Customer: "acme", Pool: pool, Prefix: got.Prefix, NextHop: got.NextHop, Origin: "igp", ASPath: "65001",
		Communities: []string{"65001:7"}, LargeCommunities: []string{"65001:1:2"},
	}, got, addresses); d != "" {
		t.Error(d)
	}

	refreshes := func() int64 { return b.session("127.0.1.5").Received.Refreshes }
	if _, err := bird.Do(t.Context(), "reload in one"); err != nil {
		t.Fatal(err)
	}
	b.eventually("route refresh", func() bool { return refreshes() > 0 && routes(b.session("127.0.1.5")) })

	if err := b.Reset(s.ID, "see you at noon"); err != nil {
		t.Fatal(err)
	}
	birdtest.Await(t, func(context.Context) bool { return strings.Contains(bird.Log.String(), `see you at noon`) })
	b.established(2)
	if _, err := bird.Do(t.Context(), `disable two "moved to Ulm"`); err != nil {
		t.Fatal(err)
	}
	b.established(1)
	b.eventually("the reason", func() bool { return strings.Contains(b.session("127.0.3.5").LastError, `"moved to Ulm"`) })
}

func lookup(t *testing.T, b *bench, addr string) []control.Route {
	t.Helper()
	routes, err := b.Lookup(t.Context(), addrs(addr)[0], control.LookupFilter{})
	if err != nil {
		t.Fatal(err)
	}
	return routes
}

// Two customers' BIRDs as clients of a reflector, and a route of the
// operators' own, which comes before End-of-RIB and goes when its time is over.
func TestBirdReflects(t *testing.T) {
	t.Parallel()
	c := acme("acme", "127.0.1.0/24", "127.0.3.0/24")
	c.Mode = api.CustomerReflect
	b := newBench(t, c)
	b.cfg.Routes = []api.RouteIntent{{
		Mark: api.Mark{Until: time.Now().Add(time.Hour)}, Target: api.RouteTarget{Customer: "acme"},
		Prefix: netip.MustParsePrefix("203.0.113.7/32"), NextHop: netip.MustParseAddr("192.0.2.66"), Communities: []string{"65535:666"},
	}}
	b.put(true)
	const config = `router id %s;
protocol device { }
protocol static s4 { ipv4; route %s blackhole { bgp_community.add((65001,7)); }; }
protocol bgp hub {
  local %s port %[7]d as %[4]d; neighbor %[5]s port %[6]d as %[4]d; strict bind yes; multihop; connect delay time 1;
  ipv4 { import all; export all; next hop self; import keep filtered; };
  ipv6 { import all; export all; };
}
`
	one := birdtest.Start(t, fmt.Sprintf(config, "10.9.9.1", "10.1.0.0/16", "127.0.1.5", localAS, vipA, b.port, nodetest.FreePort(t)))
	two := birdtest.Start(t, fmt.Sprintf(config, "10.9.9.2", "10.2.0.0/16", "127.0.3.5", localAS, vipB, b.port, nodetest.FreePort(t)))
	b.established(2)
	has := func(bird *birdtest.Bird, prefix, want string) {
		t.Helper()
		birdtest.Await(t, func(ctx context.Context) bool {
			lines, err := bird.Do(ctx, "show route all "+prefix+" protocol hub")
			return strings.Contains(fmt.Sprint(lines), want) == (want != "" && err == nil)
		})
	}
	has(two, "10.1.0.0/16", "BGP.originator_id: 10.9.9.1")
	has(two, "10.1.0.0/16", "BGP.cluster_list: 10.1.1.1")
	has(two, "10.1.0.0/16", "BGP.community: (65001,7)")
	has(one, "10.2.0.0/16", "BGP.originator_id: 10.9.9.2")
	has(one, "203.0.113.7/32", "(65535,666)")
	has(two, "203.0.113.7/32", "192.0.2.66")

	b.cfg.Routes[0].Until = time.Now().Add(-time.Second)
	b.put(true)
	gone := func(bird *birdtest.Bird, prefix string) {
		t.Helper()
		birdtest.Await(t, func(ctx context.Context) bool {
			lines, err := bird.Do(ctx, "show route "+prefix+" protocol hub")
			return err == nil && !strings.Contains(fmt.Sprint(lines), "via") && !strings.Contains(fmt.Sprint(lines), "192.0.2.66") || err != nil && strings.Contains(err.Error(), "not found")
		})
	}
	gone(one, "203.0.113.7/32")
	if err := one.Disable(t.Context(), "hub"); err != nil {
		t.Fatal(err)
	}
	b.established(1)
	gone(two, "10.1.0.0/16")
}
