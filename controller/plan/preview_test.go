package plan

import (
	"strings"
	"testing"
	"time"

	"github.com/peerage/peerage/api"
)

func TestPreview(t *testing.T) {
	for _, sc := range []struct {
		name         string
		servers, lbs int
		before       func(s *site)
		change       func(s *site)
		want         string // refusals, one a line
	}{
		{"depool one of four", 4, 2, nil, func(s *site) { s.depool("rs-1") }, ``},
		{"depool the third of four", 4, 2, func(s *site) { s.depool("rs-1"); s.depool("rs-2") }, func(s *site) { s.depool("rs-3") }, `
below-min-healthy: pool edge: 1 of 4 real servers would stay healthy and in service, and minHealthy asks for 2 (50%)
over-max-depooled: pool edge: 3 of 4 real servers would be depooled, and maxDepooled allows 2 (50%)`},
		{"depool the last that serves", 2, 1, func(s *site) { s.depool("rs-1") }, func(s *site) { s.depool("rs-2") }, `
below-min-healthy: pool edge: 0 of 2 real servers would stay healthy and in service, and minHealthy asks for 1 (50%)
over-max-depooled: pool edge: 2 of 2 real servers would be depooled, and maxDepooled allows 1 (50%)
empty-pool: pool edge: no real server would be in service: new sessions of every customer would fail`},
		{"depool while others are dead", 4, 2, func(s *site) { s.see(false, "rs-1", "rs-2") }, func(s *site) { s.depool("rs-3") }, `
below-min-healthy: pool edge: 1 of 4 real servers would stay healthy and in service, and minHealthy asks for 2 (50%)`},
		{"depool a dead one: nobody loses", 4, 2, func(s *site) { s.see(false, "rs-1", "rs-2") }, func(s *site) { s.depool("rs-1") }, ``},
		{"the way back is open, however bad it is", 4, 2, func(s *site) {
			for _, name := range []string{"rs-1", "rs-2", "rs-3", "rs-4"} {
				s.depool(name, api.RiskEmptyPool)
			}
		}, func(s *site) { s.undo("rs-1") }, ``},
		{"depool while a load balancer has another table", 4, 2, func(s *site) { s.run(t); s.Applied["edge"]["lb-2"].Fingerprint = "another" },
			func(s *site) { s.depool("rs-1") }, `
lbs-disagree: pool edge: lb-2 does not run generation 1 as planned, 1 of 2 live load balancers do`},
		{"pool while a load balancer has another table", 4, 2, func(s *site) {
			s.depool("rs-1")
			s.run(t)
			s.Applied["edge"]["lb-2"].Error = "netlink: no such device"
		}, func(s *site) { s.undo("rs-1") }, ``},
		{"weight while a load balancer is behind", 4, 1, func(s *site) { s.run(t); s.Applied["edge"]["lb-1"].Generation = 0 },
			func(s *site) {
				s.Intents["rs-1"] = &api.ServerIntent{Weight: &api.WeightIntent{Value: 3}}
			}, `
lbs-disagree: pool edge: lb-1 does not run generation 1 as planned, 0 of 1 live load balancers do`},
		{"apply removes three of four", 4, 2, nil, func(s *site) { s.pool().RealServers = []string{"rs-4"} }, `
over-max-shrink: pool edge: the configuration removes 3 of 4 real servers in one step (rs-1, rs-2, rs-3), and maxShrink allows 2 (50%)`},
		{"apply empties the pool", 2, 1, nil, func(s *site) { s.pool().RealServers = nil }, `
empty-pool: pool edge: the configuration removes all 2 real servers, which ends every session of the pool; the plan before stays
over-max-shrink: pool edge: the configuration removes 2 of 2 real servers in one step (rs-1, rs-2), and maxShrink allows 1 (50%)`},
		{"apply replaces everything", 2, 1, func(s *site) { s.pool().Guards.MaxShrink = api.Quota{N: 2} }, func(s *site) {
			s.addServer("rs-3", 3)
			s.see(false, "rs-3")
			s.pool().RealServers = []string{"rs-3"}
		}, `
empty-pool: pool edge: no real server would be in service: new sessions of every customer would fail`},
		{"delete the pool", 2, 1, nil, func(s *site) { delete(s.Pools, "edge") }, `
empty-pool: pool edge: removing it withdraws its 2 VIPs and ends every session; depool its real servers first`},
		{"a new pool", 2, 1, func(s *site) { clear(s.Plans); delete(s.Pools, "edge") }, func(s *site) { s.Pools = newSite(2, 1).Pools }, ``},
		{"depool while a poisoned configuration is held", 4, 2, func(s *site) { s.pool().RealServers = nil }, func(s *site) { s.depool("rs-1") }, ``},
		{"an intent that no leader has acted on counts", 4, 2, func(s *site) { s.run(t); s.depool("rs-1"); s.depool("rs-2") },
			func(s *site) { s.depool("rs-3") }, `
below-min-healthy: pool edge: 1 of 4 real servers would stay healthy and in service, and minHealthy asks for 2 (50%)
over-max-depooled: pool edge: 3 of 4 real servers would be depooled, and maxDepooled allows 2 (50%)`},
		{"an absolute guard", 4, 2, func(s *site) { s.pool().Guards.MinHealthy = api.Quota{N: 4} }, func(s *site) { s.depool("rs-1") }, `
below-min-healthy: pool edge: 3 of 4 real servers would stay healthy and in service, and minHealthy asks for 4 (4)`},
	} {
		t.Run(sc.name, func(t *testing.T) {
			s := newSite(sc.servers, sc.lbs)
			s.run(t)
			if sc.before != nil {
				sc.before(s)
			}
			after := s.clone()
			sc.change(after)
			var b strings.Builder
			for _, r := range Preview(s.State, after.State, s.now).Refusals {
				b.WriteString(string(r.Risk) + ": " + r.Message + "\n")
			}
			expect(t, b.String(), sc.want)
		})
	}
}

func TestPreviewShowsWhatWouldRun(t *testing.T) {
	s := newSite(4, 2)
	s.run(t)
	after := s.clone()
	after.pool().RealServers = []string{"rs-2"}
	p := Preview(s.State, after.State, s.now)
	if len(p.Pools) != 1 {
		t.Fatalf("%d pools change, want 1", len(p.Pools))
	}
	expect(t, show(PoolResult{Plan: p.Pools[0].Before}), `gen 1: rs-1=1/1 rs-2=1/1 rs-3=1/1 rs-4=1/1`)
	expect(t, show(PoolResult{Plan: p.Pools[0].After}), `gen 2: rs-2=1/1`)

	if p := Preview(s.State, s.clone().State, s.now.Add(time.Hour)); len(p.Pools)+len(p.Refusals) != 0 {
		t.Errorf("no change previews as %+v", p)
	}
}

// What Preview lets through, the plan must do, and what it refuses, an
// accepted risk must make the plan do.
func TestPreviewAndPlanAgree(t *testing.T) {
	s := newSite(2, 1)
	s.run(t)
	after := s.clone()
	after.pool().RealServers = []string{"rs-2"}
	after.addServer("rs-9", 9)
	preview := Preview(s.State, after.State, s.now)
	after.Pools["edge"].AcceptedRisks = nil
	for _, r := range preview.Refusals {
		after.Pools["edge"].AcceptedRisks = append(after.Pools["edge"].AcceptedRisks, r.Risk)
	}
	expect(t, after.run(t), show(PoolResult{Plan: preview.Pools[0].After}))
}
