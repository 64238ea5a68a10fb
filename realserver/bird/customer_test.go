package bird

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/peerage/peerage/api"
)

func customer(name string, change func(*api.CustomerSpec), prefixes ...string) *api.Customer {
	c := &api.Customer{Meta: api.Meta{Name: name}, Spec: api.CustomerSpec{Pools: []string{"bulk"}}}
	for _, p := range prefixes {
		c.Spec.Neighbors = append(c.Spec.Neighbors, api.CustomerNeighbor{Prefix: netip.MustParsePrefix(p), AS: []uint32{64511}})
	}
	c.Default()
	if change != nil {
		change(&c.Spec)
	}
	return c
}

// A customer is what its neighbours in the pool would be.
func TestCustomersAreNeighbors(t *testing.T) {
	cfg := config(pool("bulk", 179, 64500, addrs("198.51.100.1")))
	cfg.Customers = []*api.Customer{customer("acme", nil, "203.0.113.0/24", "203.0.113.7/32")}
	got, err := render(cfg, "", keys, 0)
	if err != nil || len(got.skipped) > 0 {
		t.Fatal(err, got.problems())
	}
	want, err := render(config(pool("bulk", 179, 64500, addrs("198.51.100.1"),
		neighbor("acme.1", "203.0.113.0/24", 64511, ""), neighbor("acme.2", "203.0.113.7/32", 64511, ""))), "", keys, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got.revision != want.revision {
		t.Errorf("the configurations differ:\n%s\n%s", want.text, got.text)
	}
}

// What BIRD is not configured for is refused by name, and ends no session: the
// group is there, as one that could not be configured.
func TestUnsupportedCustomers(t *testing.T) {
	tests := map[string]struct {
		change func(*api.CustomerSpec)
		want   string
	}{
		"reflect":    {func(s *api.CustomerSpec) { s.Mode = api.CustomerReflect }, "mode reflect"},
		"security":   {func(s *api.CustomerSpec) { s.TTLSecurity = 2 }, "ttlSecurity"},
		"prefixes":   {func(s *api.CustomerSpec) { s.MaxPrefixes = &api.MaxPrefixes{Limit: 1} }, "maxPrefixes"},
		"limits":     {func(s *api.CustomerSpec) { s.Limits.MemoryMiB = 1 }, "limits"},
		"many ASes":  {func(s *api.CustomerSpec) { s.Neighbors[0].AS = []uint32{1, 2} }, "set of AS numbers"},
		"one family": {func(s *api.CustomerSpec) { s.Families = s.Families[:1] }, "choice of families"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := config(pool("bulk", 179, 64500, addrs("198.51.100.1")))
			cfg.Customers = []*api.Customer{customer("acme", tt.change, "203.0.113.0/24", "203.0.113.7/32")}
			r, err := render(cfg, "", keys, 0)
			if err != nil {
				t.Fatal(err)
			}
			if len(r.skipped) != 2 {
				t.Errorf("%d groups are refused, not 2", len(r.skipped))
			}
			problem := r.problems()
			if problem == nil || strings.Count(problem.Error(), "customer acme") != 1 ||
				!strings.Contains(problem.Error(), tt.want) || !strings.Contains(problem.Error(), "--speaker=native") {
				t.Errorf("problems: %v", problem)
			}
		})
	}
}

// Routes cannot be originated, which is said and ends nothing.
func TestRoutesAreNotSent(t *testing.T) {
	cfg := config(pool("bulk", 179, 64500, addrs("198.51.100.1")))
	cfg.Routes = []api.RouteIntent{{Target: api.RouteTarget{All: true}}}
	r, err := render(cfg, "", keys, 0)
	if err != nil || r.problems() == nil || !strings.Contains(r.problems().Error(), "1 announced routes are not sent") {
		t.Error(err, r.problems())
	}
}
