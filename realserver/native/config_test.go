package native

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/realserver"
	"github.com/peerage/peerage/realserver/speaker/control"
)

var (
	addr     = netip.MustParseAddr
	prefix   = netip.MustParsePrefix
	compared = cmp.Options{cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })}
)

// Whatever stands in a pool or in a Customer reaches the speaker, sorted.
func TestConfig(t *testing.T) {
	acme := &api.Customer{Meta: api.Meta{Name: "acme"}, Spec: api.CustomerSpec{
		Pools: []string{"edge"}, Mode: api.CustomerReflect, Group: "core",
		Neighbors: []api.CustomerNeighbor{{Prefix: prefix("198.51.100.7/32"), NonClient: true}},
	}}
	acme.Default()
	route := api.RouteIntent{Schema: api.Schema, Target: api.RouteTarget{All: true}, Prefix: prefix("192.0.2.1/32"), NextHop: addr("192.0.2.254")}
	got := Config(realserver.SpeakerConfig{
		RouterID: addr("10.0.0.1"), Own: []netip.Addr{addr("10.0.0.1")}, Probes: []netip.Addr{addr("10.0.0.11")},
		Services: []realserver.Service{{Pool: "edge", VIPs: []netip.Addr{addr("203.0.113.1")}, Port: 179, Speaker: api.Speaker{
			LocalAS: 64500, HoldTime: api.Duration(90 * time.Second), Neighbors: []api.Neighbor{
				{Name: "signed", Prefix: prefix("10.64.0.0/16"), AS: 64501, MD5Secret: "key"},
				{Name: "any", Prefix: prefix("10.65.0.0/16")},
			},
		}}},
		Customers: []*api.Customer{acme}, Routes: []api.RouteIntent{route}, Additive: true,
	})
	collect := func(n api.CustomerNeighbor) api.CustomerSpec {
		c := &api.Customer{Spec: api.CustomerSpec{Pools: []string{"edge"}, Mode: api.CustomerCollect, Neighbors: []api.CustomerNeighbor{n}}}
		c.Default()
		return c.Spec
	}
	want := control.Config{
		Schema: control.Schema, RouterID: addr("10.0.0.1"), Own: []netip.Addr{addr("10.0.0.1")}, Probes: []netip.Addr{addr("10.0.0.11")},
		Services: []control.Service{{Pool: "edge", VIPs: []netip.Addr{addr("203.0.113.1")}, Port: 179, LocalAS: 64500, HoldTime: api.Duration(90 * time.Second)}},
		Customers: []control.Customer{
			{Name: "acme", CustomerSpec: acme.Spec},
			{Name: "edge.any", CustomerSpec: collect(api.CustomerNeighbor{Prefix: prefix("10.65.0.0/16")})},
			{Name: "edge.signed", CustomerSpec: collect(api.CustomerNeighbor{Prefix: prefix("10.64.0.0/16"), AS: []uint32{64501}, MD5Secret: "key"})},
		},
		Routes: []api.RouteIntent{route}, Additive: true,
	}
	if diff := cmp.Diff(want, got, compared); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
