package servertest

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/peerage/peerage/api"
)

// Planner is a planner of a few lines: it knows intents and maxDepooled. It
// stands for the controller's, which the API must not depend on.
type Planner struct{}

// Preview implements server.Planner.
func (Planner) Preview(before, after *api.State, now time.Time) api.Preview {
	out := api.Preview{Pools: []api.PoolPreview{}}
	for _, name := range poolNames(before, after) {
		was, is := Compute(before, name, now), Compute(after, name, now)
		if was != nil && is != nil {
			is = next(was, is)
		}
		if reflect.DeepEqual(was, is) {
			continue
		}
		out.Pools = append(out.Pools, api.PoolPreview{Pool: name, Before: was, After: is})
		if r := refuse(name, was, is, after); r != nil {
			out.Refusals = append(out.Refusals, *r)
		}
	}
	return out
}

func poolNames(states ...*api.State) []string {
	var all []string
	for _, s := range states {
		for n := range s.Pools {
			all = append(all, n)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func refuse(pool string, was, is *api.Plan, after *api.State) *api.Refusal {
	switch {
	case was == nil:
		return nil
	case is == nil:
		return &api.Refusal{Pool: pool, Risk: api.RiskEmptyPool, Message: fmt.Sprintf("pool %s: removing it ends every session", pool)}
	}
	out, before := depooled(is), depooled(was)
	if most := after.Pools[pool].Spec.Guards.MaxDepooled.Floor(len(is.Destinations)); out > most && out > before {
		return &api.Refusal{Pool: pool, Risk: api.RiskOverMaxDepooled, Message: fmt.Sprintf(
			"pool %s: %d of %d real servers would be depooled, and maxDepooled allows %d", pool, out, len(is.Destinations), most)}
	}
	return nil
}

func depooled(p *api.Plan) (n int) {
	for _, d := range p.Destinations {
		if d.State == api.ServerDepooled {
			n++
		}
	}
	return n
}

// next gives a plan the generation after another, if they differ.
func next(was, is *api.Plan) *api.Plan {
	is.Generation = was.Generation
	if !reflect.DeepEqual(was, is) {
		is.Generation++
	}
	return is
}

// Compute is the plan of one pool; nil without the pool.
func Compute(s *api.State, name string, now time.Time) *api.Plan {
	p := s.Pools[name]
	if p == nil {
		return nil
	}
	plan := &api.Plan{Schema: api.Schema, Pool: name, Generation: 1, VIPs: p.Spec.VIPs, Port: p.Spec.Port, Scheduler: p.Spec.Scheduler,
		Forwarding: p.Spec.Forwarding, HealthCheck: p.Spec.HealthCheck, Speaker: p.Spec.Speaker}
	for _, n := range slices.Sorted(slices.Values(p.Spec.RealServers)) {
		plan.Destinations = append(plan.Destinations, destination(s, n, now))
	}
	for _, lb := range slices.Sorted(keys(s.LoadBalancers)) {
		for _, vip := range p.Spec.VIPs {
			plan.Announcements = append(plan.Announcements, api.Announcement{LB: lb, VIP: vip, Announce: true, MED: *s.LoadBalancers[lb].Spec.MED})
		}
	}
	if old := s.Plans[name]; old != nil {
		return next(old, plan)
	}
	return plan
}

func destination(s *api.State, name string, now time.Time) api.Destination {
	rs := s.RealServers[name]
	d := api.Destination{Server: name, Addresses: rs.Spec.Addresses, Nominal: rs.Spec.Weight, State: api.ServerServing}
	if i := s.Intents[name]; i != nil {
		if i.Weight != nil && i.Weight.Active(now) {
			d.Nominal = i.Weight.Value
		}
		if i.Depooled.Active(now) {
			d.State, d.Since, d.Reason = api.ServerDepooled, i.Depooled.At, "depooled by "+i.Depooled.By+": "+i.Depooled.Reason
		}
	}
	if d.State == api.ServerServing {
		d.Weight = d.Nominal
	}
	return d
}
