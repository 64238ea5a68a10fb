package agent

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/peerage/peerage/api"
)

// inputs are what a round depends on of a state. Most changes of the store are
// measurements of others: they are passed over.
type inputs struct {
	plans    map[string]*api.Plan
	pools    map[string]*api.Pool
	lbs      map[string]*api.LoadBalancer
	settings api.SettingsSpec
	accepted *api.StoreIntent
	bad      map[string]error
	believed bool
	// others are the VIPs that other LBs announce.
	others map[netip.Addr]bool
}

func inputsOf(s *api.State, self string) inputs {
	in := inputs{
		plans: s.Plans, pools: s.Pools, lbs: s.LoadBalancers, accepted: s.StoreIntent, bad: s.Bad,
		believed: believe(s) == nil, others: map[netip.Addr]bool{},
	}
	if s.Settings != nil {
		in.settings = s.Settings.Spec
	}
	for _, p := range s.Plans {
		for _, vip := range p.VIPs {
			if othersAnnounce(s, self, vip) {
				in.others[vip] = true
			}
		}
	}
	return in
}

// equal compares by identity: what a state holds is never changed.
func (in inputs) equal(o inputs) bool {
	return maps.Equal(in.plans, o.plans) && maps.Equal(in.pools, o.pools) && maps.Equal(in.lbs, o.lbs) &&
		in.settings == o.settings && in.accepted == o.accepted && in.believed == o.believed &&
		slices.Equal(slices.Sorted(maps.Keys(in.bad)), slices.Sorted(maps.Keys(o.bad))) && maps.Equal(in.others, o.others)
}

// facts are what follows from a plan; they are computed once for each.
type facts struct {
	plan        *api.Plan
	tables      []api.Table
	fingerprint string
	serving     map[netip.Addr]int
}

// facts returns what follows from a plan in force.
func (a *Agent) facts(p *api.Plan) *facts {
	if f := a.known[p.Pool]; f != nil && f.plan == p {
		return f
	}
	f := &facts{plan: p, tables: p.Tables(), serving: map[netip.Addr]int{}}
	f.fingerprint = api.Fingerprint(f.tables)
	for _, t := range f.tables {
		for _, d := range t.Destinations {
			if d.Weight > 0 {
				f.serving[t.VIP]++
			}
		}
	}
	a.known[p.Pool] = f
	return f
}

// setTables takes a new dump.
func (a *Agent) setTables(tables []api.Table) {
	a.tables, a.tablesKnown = tables, true
	clear(a.found)
}

// fingerprint is of the kernel's tables of a plan.
func (a *Agent) fingerprint(p *api.Plan) string {
	f := a.facts(p)
	got, ok := a.found[f]
	if !ok {
		got = api.Fingerprint(ofPool(p, a.tables))
		a.found[f] = got
	}
	return got
}

func (a *Agent) equal(p *api.Plan) bool {
	return a.tablesKnown && a.fingerprint(p) == a.facts(p).fingerprint
}
