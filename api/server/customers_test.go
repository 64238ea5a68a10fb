package server_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/server"
	"github.com/peerage/peerage/api/server/servertest"
	"github.com/peerage/peerage/api/store"
)

// A site of thousands of customers is one change, and cannot be emptied by one.
func TestManyCustomers(t *testing.T) {
	s := servertest.New(t, func(cfg *server.Config) { cfg.MaxBody = 4 << 20 })
	c := newCaller(t, s)
	do[api.ApplyResult](c, "POST", "/v1/apply", site)
	const many = 2500
	list := make([]string, many)
	for i := range many {
		list[i] = fmt.Sprintf(`{"apiVersion":"peerage/v1","kind":"Customer","metadata":{"name":"c-%d"},"spec":{"pools":["edge"],"neighbors":[{"prefix":"10.%d.%d.0/24","as":[%d]}]}}`, i, i>>8, i&255, 65000+i%500)
	}
	body := "[" + strings.Join(list, ",") + "]"
	if out := do[api.ApplyResult](c, "POST", "/v1/apply", body); len(out.Objects) != many || !out.Changed {
		t.Errorf("%d of %d, changed %v", len(out.Objects), many, out.Changed)
	}
	if out := do[api.ApplyResult](c, "POST", "/v1/apply?prune=Customer", body); out.Changed {
		t.Error("the same again is a change")
	}
	half := "[" + strings.Join(list[:many/3], ",") + "]"
	c.refused("POST", "/v1/apply?prune=Customer", half, 422, api.ErrorRefused, "many-customers", "pool edge: 1667 of 2501 customers would go")
	c.refused("DELETE", "/v1/pools/edge", "", 409, api.ErrorInUse, "in 2500 places")
	c.refused("POST", "/v1/apply?prune=customers", half, 400, api.ErrorInvalid, "write one of")
	if n := len(s.Mirror.State().Customers); n != many {
		t.Errorf("%d customers are left", n)
	}
	out := do[api.ApplyResult](c, "POST", "/v1/apply?prune=Customer&acceptRisk=many-customers", half)
	if got := s.Mirror.State().Customers; len(got) != many/3 || len(out.Before) != many-many/3 {
		t.Errorf("%d customers are left, %d before", len(got), len(out.Before))
	}
	// What was overridden is on nobody: the planner has no say in it.
	if p := s.Mirror.State().Pools["edge"]; len(p.AcceptedRisks) != 0 {
		t.Errorf("the pool accepts %v", p.AcceptedRisks)
	}
}

// Announced routes are bounded, of a target and in all; replacing one is not
// one more.
func TestRoutesAreBounded(t *testing.T) {
	s := servertest.New(t)
	c := newCaller(t, s)
	do[api.ApplyResult](c, "POST", "/v1/apply", site+"---"+tenants)
	announce := func(customer string, n int) string {
		return fmt.Sprintf(`{"target":{"customer":%q},"prefix":"100.%d.%d.0/24","nextHop":"198.51.100.1","reason":"attack"}`, customer, n>>8, n&255)
	}
	_, err := s.Store.Update(t.Context(), func(tx *store.Tx) error {
		for n := range api.MaxTargetRoutes {
			tx.PutRoute(&api.RouteIntent{Target: api.RouteTarget{Customer: "acme"}, NextHop: netip.MustParseAddr("198.51.100.9"),
				Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{100, byte(n >> 8), byte(n), 0}), 24)})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	c.refused("POST", "/v1/routes/announce", announce("acme", api.MaxTargetRoutes), 413, api.ErrorTooLarge, "1000 routes are sent to customer acme already", "withdraw some")
	do[api.RouteResult](c, "POST", "/v1/routes/announce", announce("acme", 0))
	do[api.RouteResult](c, "POST", "/v1/routes/announce", announce("bolt", api.MaxTargetRoutes))
	if out := do[api.List[api.RouteIntent]](c, "GET", "/v1/routes", ""); len(out.Items) != api.MaxTargetRoutes+1 {
		t.Errorf("%d routes", len(out.Items))
	}
	c.refused("POST", "/v1/routes/withdraw", announce("acme", 0), 400, api.ErrorInvalid, "target and prefix")
	// They go with their customer, however many.
	do[api.ApplyResult](c, "DELETE", "/v1/customers/acme", "")
	if left := s.Mirror.State().Routes; len(left) != 1 {
		t.Errorf("%d routes are left", len(left))
	}
}
