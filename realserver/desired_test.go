package realserver

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/peerage/peerage/api"
)

// A server gets the customers of its own pools, and what is announced now.
func TestDesiredCustomersAndRoutes(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	st := site(1, "rs-1", "rs-2")
	st.Customers = map[string]*api.Customer{}
	for name, pool := range map[string]string{"zeta": "edge", "acme": "edge", "elsewhere": "core"} {
		st.Customers[name] = &api.Customer{Meta: api.Meta{Name: name}, Spec: api.CustomerSpec{Pools: []string{pool}}}
	}
	route := func(until time.Time, prefix string) *api.RouteIntent {
		return &api.RouteIntent{Mark: api.Mark{Until: until}, Prefix: netip.MustParsePrefix(prefix)}
	}
	st.Routes = map[string]*api.RouteIntent{
		"c": route(time.Time{}, "192.0.2.3/32"),
		"b": route(now.Add(-time.Second), "192.0.2.2/32"),
		"a": route(now.Add(time.Second), "192.0.2.1/32"),
	}
	tests := map[string]struct {
		server            string
		customers, routes []string
	}{
		"a member":  {"rs-1", []string{"acme", "zeta"}, []string{"192.0.2.1/32", "192.0.2.3/32"}},
		"no member": {"rs-3", nil, []string{"192.0.2.1/32", "192.0.2.3/32"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d, err := desire(tt.server, st, now)
			if err != nil {
				t.Fatal(err)
			}
			var customers, routes []string
			for _, c := range d.speaker.Customers {
				customers = append(customers, c.Name)
			}
			for _, r := range d.speaker.Routes {
				routes = append(routes, r.Prefix.String())
			}
			if diff := cmp.Diff(tt.customers, customers); diff != "" {
				t.Errorf("customers (-want +got)\n%s", diff)
			}
			if diff := cmp.Diff(tt.routes, routes); diff != "" {
				t.Errorf("routes (-want +got)\n%s", diff)
			}
		})
	}
}
