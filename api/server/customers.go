package server

import (
	"time"

	"github.com/peerage/peerage/api"
)

// preview is what the planner says of the pools, and what becomes of the
// customers' sessions, which no plan knows of.
func (s *Server) preview(before, after *api.State, now time.Time) api.Preview {
	p := s.cfg.Planner.Preview(before, after, now)
	p.Customers = api.CustomerEffects(before, after)
	p.Refusals = append(p.Refusals, api.CustomerRefusals(before, after)...)
	return p
}

// orphans are the routes to customers that a change removes: they go with
// them, so that a later customer of the name does not inherit a blackhole.
func orphans(before, after *api.State) []string {
	var ids []string
	for _, id := range keys(before.Routes) {
		name := before.Routes[id].Target.Customer
		if name != "" && before.HasCustomer(name) && !after.HasCustomer(name) {
			ids = append(ids, id)
		}
	}
	return ids
}
