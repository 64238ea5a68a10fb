package speaker

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/node/birdc/birdtest"
	"github.com/peerage/peerage/realserver/speaker/control"
)

// birdConfig is a customer's BIRD with two routers' sessions, the first one
// signed.
func birdConfig(port uint16, as uint32) string {
	const session = `
protocol bgp %[1]s {
  local %[2]s as %[4]d;
  neighbor %[5]s port %[3]d as %[6]d;
  strict bind yes; multihop; connect delay time 1; startup hold time 10;
  enable extended messages yes;
  %[7]s
  ipv4 { import all; export filter { if source = RTS_STATIC then accept; reject; }; next hop self; };
  ipv6 { import all; export filter { if source = RTS_STATIC then accept; reject; }; next hop self; };
}
`
	return `router id 10.9.9.1;
protocol device { }
protocol static s4 { ipv4; route 10.1.0.0/16 blackhole { bgp_community.add((65001,7)); bgp_large_community.add((65001,1,2)); bgp_med = 5; }; route 10.2.0.0/16 blackhole; }
protocol static s6 { ipv6; route 2001:db8:1::/48 blackhole; }
` + fmt.Sprintf(session, "one", "127.0.1.5", port, as, vipA, localAS, `password "sesame";`) +
		fmt.Sprintf(session, "two", "127.0.3.5", port, as, vipA, localAS, "")
}

// A real customer's router: capabilities, a key, both families, route refresh
// both ways, the text of a shutdown both ways.
func TestBird(t *testing.T) {
	t.Parallel()
	b := newBench(t, signed(acme("acme", "127.0.1.0/24"), "a"), acme("other", "127.0.3.0/24"))
	b.secret("a", "sesame")
	b.put(true)
	bird := birdtest.Start(t, birdConfig(b.port, 65001))
	b.established(2)
	s := b.session("127.0.1.5")
	if d := cmp.Diff([]string{"multiprotocol(ipv4-unicast)", "multiprotocol(ipv6-unicast)", "route-refresh", "enhanced-refresh", "extended-message", "four-octet-as"}, s.Capabilities); d != "" {
		t.Error(d)
	}
	routes := func(s control.Session) bool { return s.Routes["ipv4-unicast"] == 2 && s.Routes["ipv6-unicast"] == 1 }
	b.eventually("routes", func() bool { return routes(b.session("127.0.1.5")) && routes(b.session("127.0.3.5")) })
	b.eventually("lookup", func() bool { return len(lookup(t, b, "10.1.2.3")) == 2 })
	got := lookup(t, b, "10.1.2.3")[0]
	med := uint32(5)
	if d := cmp.Diff(control.Route{
		Session: s.ID, Customer: "acme", Pool: pool, Prefix: got.Prefix, NextHop: got.NextHop, Origin: "igp", ASPath: "65001", MED: &med,
		Communities: []string{"65001:7"}, LargeCommunities: []string{"65001:1:2"},
	}, got, comparable...); d != "" {
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

// BIRD as two clients of a reflector, and a route of the operators' own.
func TestBirdReflects(t *testing.T) {
	t.Parallel()
	c := acme("acme", "127.0.1.0/24", "127.0.3.0/24")
	c.Mode = api.CustomerReflect
	b := newBench(t, c)
	b.put(true)
	_ = birdtest.Start(t, strings.ReplaceAll(birdConfig(b.port, localAS), `password "sesame";`, ""))
	b.established(2)
}
