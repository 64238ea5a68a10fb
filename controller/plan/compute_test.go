package plan

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/peerage/peerage/api"
)

// A scenario is a site that lives through steps; each step is something that
// happens, and the plan that follows.
type step struct {
	name string
	do   func(s *site)
	want string
}

func TestCompute(t *testing.T) {
	nothing := func(*site) {}
	for _, sc := range []struct {
		name         string
		servers, lbs int
		steps        []step
	}{
		{"a depooled server keeps its place and its nominal weight", 3, 2, []step{
			{"first plan", nothing, `gen 1: rs-1=1/1 rs-2=1/1 rs-3=1/1`},
			{"nothing happens", func(s *site) { s.after(time.Hour) }, `gen 1: rs-1=1/1 rs-2=1/1 rs-3=1/1`},
			{"depool", func(s *site) { s.depool("rs-1") }, `gen 2: rs-1=0/1(depooled) rs-2=1/1 rs-3=1/1`},
			{"pool again", func(s *site) { s.undo("rs-1") }, `gen 3: rs-1=1/1 rs-2=1/1 rs-3=1/1`},
		}},
		{"newcomers are appended by name, whatever sorts before them", 2, 1, []step{
			{"first plan", nothing, `gen 1: rs-1=1/1 rs-2=1/1`},
			{"two join", func(s *site) { s.addServer("rs-12", 12); s.addServer("rs-11", 11) },
				`gen 2: rs-1=1/1 rs-2=1/1 rs-11=1/1 rs-12=1/1`},
			{"one more", func(s *site) { s.addServer("a-0", 20) },
				`gen 3: rs-1=1/1 rs-2=1/1 rs-11=1/1 rs-12=1/1 a-0=1/1`},
			{"one leaves", func(s *site) { s.pool().RealServers = []string{"a-0", "rs-11", "rs-12", "rs-2"} },
				`gen 4: rs-2=1/1 rs-11=1/1 rs-12=1/1 a-0=1/1`},
			{"and is a newcomer when it returns", func(s *site) { s.pool().RealServers = append(s.pool().RealServers, "rs-1") },
				`gen 5: rs-2=1/1 rs-11=1/1 rs-12=1/1 a-0=1/1 rs-1=1/1`},
		}},
		{"a newcomer waits until it is seen healthy, and counts in no guard", 2, 1, []step{
			{"first plan", nothing, `gen 1: rs-1=1/1 rs-2=1/1`},
			{"three join dead", func(s *site) {
				for i, name := range []string{"rs-3", "rs-4", "rs-5"} {
					s.addServer(name, 3+i)
					s.see(false, name)
				}
			}, `gen 2: rs-1=1/1 rs-2=1/1 rs-3=0/1(joining) rs-4=0/1(joining) rs-5=0/1(joining)`},
			{"an old one dies", func(s *site) { s.see(false, "rs-1") },
				`gen 3: rs-1=0/1(unhealthy) rs-2=1/1 rs-3=0/1(joining) rs-4=0/1(joining) rs-5=0/1(joining)`},
			{"one comes up", func(s *site) { s.see(true, "rs-4") },
				`gen 4: rs-1=0/1(unhealthy) rs-2=1/1 rs-3=0/1(joining) rs-4=1/1 rs-5=0/1(joining)`},
			{"those in waiting may all leave at once", func(s *site) { s.pool().RealServers = []string{"rs-1", "rs-2", "rs-4"} },
				`gen 5: rs-1=0/1(unhealthy) rs-2=1/1 rs-4=1/1`},
		}},
		{"the first plan does not wait for health", 2, 1, []step{
			{"nobody reports", func(s *site) { clear(s.Paths); clear(s.Servers) }, `gen 1: rs-1=1/1 rs-2=1/1`},
		}},
		{"a first plan knows the dead", 3, 1, []step{
			{"one is dead", func(s *site) { s.see(false, "rs-2") }, `gen 1: rs-1=1/1 rs-2=0/1(unhealthy) rs-3=1/1`},
		}},
		{"weights: configuration, intent, and the way back", 2, 1, []step{
			{"first plan", func(s *site) { s.RealServers["rs-1"].Spec.Weight = 4 }, `gen 1: rs-1=4/4 rs-2=1/1`},
			{"intent", func(s *site) {
				s.Intents["rs-1"] = &api.ServerIntent{Weight: &api.WeightIntent{Mark: api.Mark{Until: s.now.Add(time.Hour)}, Value: 2}}
			}, `gen 2: rs-1=2/2 rs-2=1/1`},
			{"depooled meanwhile", func(s *site) {
				s.Intents["rs-1"] = &api.ServerIntent{Weight: s.Intents["rs-1"].Weight, Depooled: &api.Mark{By: "bob"}}
			}, `gen 3: rs-1=0/2(depooled) rs-2=1/1`},
			{"the weight expires", func(s *site) { s.after(time.Hour) }, `gen 4: rs-1=0/4(depooled) rs-2=1/1`},
			{"a weight that mh cannot keep is bounded", func(s *site) { s.undo("rs-1"); s.RealServers["rs-1"].Spec.Weight = 100 },
				`gen 5: rs-1=8/8 rs-2=1/1`},
		}},
		{"one server dies and comes back", 4, 2, []step{
			{"first plan", nothing, `gen 1: rs-1=1/1 rs-2=1/1 rs-3=1/1 rs-4=1/1`},
			{"its own speaker says so", func(s *site) { s.speaker("rs-2", false) },
				`gen 2: rs-1=1/1 rs-2=0/1(unhealthy) rs-3=1/1 rs-4=1/1`},
			{"the paths follow", func(s *site) { s.see(false, "rs-2") },
				`gen 2: rs-1=1/1 rs-2=0/1(unhealthy) rs-3=1/1 rs-4=1/1`},
			{"it is back", func(s *site) { s.see(true, "rs-2") }, `gen 3: rs-1=1/1 rs-2=1/1 rs-3=1/1 rs-4=1/1`},
		}},
		{"two load balancers that disagree on one server: no new sessions for it", 4, 2, []step{
			{"first plan", nothing, `gen 1: rs-1=1/1 rs-2=1/1 rs-3=1/1 rs-4=1/1`},
			{"lb-1 cannot reach it", func(s *site) { s.path("lb-1", "rs-3", false) },
				`gen 2: rs-1=1/1 rs-2=1/1 rs-3=0/1(unhealthy) rs-4=1/1`},
			{"lb-1 restarts: its last report is of a former life", func(s *site) { s.LiveLBs["lb-1"] = &api.Live{StartedAt: s.now.Add(time.Second)} },
				`gen 3: rs-1=1/1 rs-2=1/1 rs-3=1/1 rs-4=1/1`},
		}},
		{"a dead node is judged by the load balancers", 4, 3, []step{
			{"first plan", nothing, `gen 1: rs-1=1/1 rs-2=1/1 rs-3=1/1 rs-4=1/1`},
			{"its lease is gone, its paths are good", func(s *site) { delete(s.LiveRealServers, "rs-2"); s.speaker("rs-2", false) },
				`gen 1: rs-1=1/1 rs-2=1/1 rs-3=1/1 rs-4=1/1`},
			{"one of three cannot reach it", func(s *site) { s.path("lb-1", "rs-2", false) },
				`gen 1: rs-1=1/1 rs-2=1/1 rs-3=1/1 rs-4=1/1`},
			{"two of three", func(s *site) { s.path("lb-2", "rs-2", false) },
				`gen 2: rs-1=1/1 rs-2=0/1(unhealthy) rs-3=1/1 rs-4=1/1`},
			{"it lives again, its last report is of a former life", func(s *site) {
				s.LiveRealServers["rs-2"] = &api.Live{StartedAt: s.now.Add(time.Minute)}
				s.path("lb-2", "rs-2", true)
			}, `gen 3: rs-1=1/1 rs-2=1/1 rs-3=1/1 rs-4=1/1`},
		}},
		{"nobody reports: everything stays as it was", 3, 2, []step{
			{"one is dead", func(s *site) { s.see(false, "rs-3") }, `gen 1: rs-1=1/1 rs-2=1/1 rs-3=0/1(unhealthy)`},
			{"all agents are gone", func(s *site) { clear(s.LiveLBs); s.see(true, "rs-3"); s.path("lb-1", "rs-1", false) },
				`gen 1: rs-1=1/1 rs-2=1/1 rs-3=0/1(unhealthy)`},
		}},
		{"everything dies at once: the last table stays", 4, 2, []step{
			{"first plan", nothing, `gen 1: rs-1=1/1 rs-2=1/1 rs-3=1/1 rs-4=1/1`},
			{"two reports arrive first", func(s *site) { s.see(false, "rs-1", "rs-2") },
				`gen 2: rs-1=0/1(unhealthy) rs-2=0/1(unhealthy) rs-3=1/1 rs-4=1/1`},
			{"then the others", func(s *site) { s.after(time.Second); s.see(false, "rs-3", "rs-4") }, `
gen 3: rs-1=1/1(suspect) rs-2=1/1(suspect) rs-3=1/1(suspect) rs-4=1/1(suspect)
held: over-max-shrink: 4 of 4 real servers are unhealthy at once, and maxShrink lets health take out 2 (50%); 4 stay in service as suspect`},
			{"an hour passes", func(s *site) { s.after(time.Hour) }, `
gen 3: rs-1=1/1(suspect) rs-2=1/1(suspect) rs-3=1/1(suspect) rs-4=1/1(suspect)
held: over-max-shrink: 4 of 4 real servers are unhealthy at once, and maxShrink lets health take out 2 (50%); 4 stay in service as suspect`},
			{"two are back", func(s *site) { s.see(true, "rs-1", "rs-3") },
				`gen 4: rs-1=1/1 rs-2=0/1(unhealthy) rs-3=1/1 rs-4=0/1(unhealthy)`},
		}},
		{"servers that died long ago are no part of the wave", 4, 2, []step{
			{"first plan", nothing, `gen 1: rs-1=1/1 rs-2=1/1 rs-3=1/1 rs-4=1/1`},
			{"two die", func(s *site) { s.see(false, "rs-1", "rs-2") },
				`gen 2: rs-1=0/1(unhealthy) rs-2=0/1(unhealthy) rs-3=1/1 rs-4=1/1`},
			{"much later a third", func(s *site) { s.after(time.Hour); s.see(false, "rs-3") }, `
gen 3: rs-1=0/1(unhealthy) rs-2=0/1(unhealthy) rs-3=1/1(suspect) rs-4=1/1
held: over-max-shrink: 3 of 4 real servers are unhealthy at once, and maxShrink lets health take out 2 (50%); 1 stay in service as suspect`},
			{"an operator knows better", func(s *site) { s.depool("rs-3") },
				`gen 4: rs-1=0/1(unhealthy) rs-2=0/1(unhealthy) rs-3=0/1(depooled) rs-4=1/1`},
		}},
		{"the last one that serves is never taken out by health", 3, 2, []step{
			{"two are depooled", func(s *site) { s.depool("rs-1"); s.depool("rs-2") },
				`gen 1: rs-1=0/1(depooled) rs-2=0/1(depooled) rs-3=1/1`},
			{"the third dies", func(s *site) { s.see(false, "rs-3") }, `
gen 2: rs-1=0/1(depooled) rs-2=0/1(depooled) rs-3=1/1(suspect)
held: empty-pool: no real server that may serve is healthy; 1 of 3 stay in service as suspect`},
			{"one is pooled", func(s *site) { s.undo("rs-1") },
				`gen 3: rs-1=1/1 rs-2=0/1(depooled) rs-3=0/1(unhealthy)`},
		}},
		{"a dead server is not put into service by pooling it", 3, 2, []step{
			{"depooled and dead", func(s *site) { s.depool("rs-1"); s.see(false, "rs-1") }, `gen 1: rs-1=0/1(depooled) rs-2=1/1 rs-3=1/1`},
			{"pooled", func(s *site) { s.undo("rs-1") }, `gen 2: rs-1=0/1(unhealthy) rs-2=1/1 rs-3=1/1`},
		}},
		{"depooling everything needs an accepted risk", 2, 1, []step{
			{"first plan", nothing, `gen 1: rs-1=1/1 rs-2=1/1`},
			{"below minHealthy is a matter of the verb", func(s *site) { s.depool("rs-1") }, `gen 2: rs-1=0/1(depooled) rs-2=1/1`},
			{"the last one is held", func(s *site) { s.depool("rs-2") }, `
gen 2: rs-1=0/1(depooled) rs-2=1/1
held: empty-pool: intents and health together leave none of 2 real servers in service; pool one of them, or depool with --accept-risk=empty-pool`},
			{"until the risk is accepted", func(s *site) { s.depool("rs-2", api.RiskEmptyPool) },
				`gen 3: rs-1=0/1(depooled) rs-2=0/1(depooled)`},
			{"the way back", func(s *site) { s.undo("rs-2") }, `gen 4: rs-1=0/1(depooled) rs-2=1/1`},
		}},
		{"an expired depool is none", 2, 1, []step{
			{"depooled for an hour", func(s *site) { s.depool("rs-1"); s.Intents["rs-1"].Depooled.Until = s.now.Add(time.Hour) },
				`gen 1: rs-1=0/1(depooled) rs-2=1/1`},
			{"later", func(s *site) { s.after(time.Hour) }, `gen 2: rs-1=1/1 rs-2=1/1`},
		}},
		{"a poisoned list of real servers is held, and maintenance goes on", 4, 2, []step{
			{"first plan", nothing, `gen 1: rs-1=1/1 rs-2=1/1 rs-3=1/1 rs-4=1/1`},
			{"emptied", func(s *site) { s.pool().RealServers = nil }, `
gen 1: rs-1=1/1 rs-2=1/1 rs-3=1/1 rs-4=1/1
held: empty-pool: the configuration removes all 4 real servers, which ends every session of the pool; the plan before stays; the configuration removes 4 of 4 real servers in one step (rs-1, rs-2, rs-3, rs-4), and maxShrink allows 2 (50%)`},
			{"depool", func(s *site) { s.depool("rs-2") }, `
gen 2: rs-1=1/1 rs-2=0/1(depooled) rs-3=1/1 rs-4=1/1
held: empty-pool: the configuration removes all 4 real servers, which ends every session of the pool; the plan before stays; the configuration removes 4 of 4 real servers in one step (rs-1, rs-2, rs-3, rs-4), and maxShrink allows 2 (50%)`},
			{"repaired", func(s *site) { s.pool().RealServers = []string{"rs-4", "rs-3", "rs-2", "rs-1"} },
				`gen 2: rs-1=1/1 rs-2=0/1(depooled) rs-3=1/1 rs-4=1/1`},
		}},
		{"too large a step is held until its risk is accepted", 4, 2, []step{
			{"first plan", nothing, `gen 1: rs-1=1/1 rs-2=1/1 rs-3=1/1 rs-4=1/1`},
			{"three leave", func(s *site) { s.pool().RealServers = []string{"rs-2"} }, `
gen 1: rs-1=1/1 rs-2=1/1 rs-3=1/1 rs-4=1/1
held: over-max-shrink: the configuration removes 3 of 4 real servers in one step (rs-1, rs-3, rs-4), and maxShrink allows 2 (50%)`},
			{"accepted", func(s *site) { s.Pools["edge"].AcceptedRisks = []api.Risk{api.RiskOverMaxShrink} }, `gen 2: rs-2=1/1`},
		}},
		{"replacing all servers at once is held even within maxShrink", 2, 1, []step{
			{"first plan", func(s *site) { s.pool().Guards.MaxShrink = api.Quota{N: 100, Percent: true} }, `gen 1: rs-1=1/1 rs-2=1/1`},
			{"all are new and unseen", func(s *site) {
				s.addServer("rs-3", 3)
				s.see(false, "rs-3")
				s.pool().RealServers = []string{"rs-3"}
			}, `
gen 1: rs-1=1/1 rs-2=1/1
held: empty-pool: of the 1 real servers that the configuration leaves, none is serving; add the new ones first, and remove the old ones when the new ones serve`},
			{"both at first", func(s *site) { s.pool().RealServers = []string{"rs-1", "rs-2", "rs-3"} }, `gen 2: rs-1=1/1 rs-2=1/1 rs-3=0/1(joining)`},
			{"it serves", func(s *site) { s.see(true, "rs-3") }, `gen 3: rs-1=1/1 rs-2=1/1 rs-3=1/1`},
			{"then the old ones go", func(s *site) { s.pool().RealServers = []string{"rs-3"} }, `gen 4: rs-3=1/1`},
		}},
		{"a replaced address makes a newcomer of a server, an added one does not", 3, 1, []step{
			{"first plan", func(s *site) { rs := s.RealServers["rs-2"]; rs.Spec.Addresses = rs.Spec.Addresses[:1] },
				`gen 1: rs-1=1/1 rs-2=1/1 rs-3=1/1`},
			{"IPv6 is added", func(s *site) { s.RealServers["rs-2"].Spec.Addresses = addresses(2, 2) },
				`gen 2: rs-1=1/1 rs-2=1/1 rs-3=1/1`},
			{"another address", func(s *site) { s.RealServers["rs-1"].Spec.Addresses = addresses(2, 77) },
				`gen 3: rs-2=1/1 rs-3=1/1 rs-1=1/1`},
		}},
		{"load balancers, VIPs and ports do not vanish by accident", 2, 2, []step{
			{"first plan", nothing, `gen 1: rs-1=1/1 rs-2=1/1`},
			{"all load balancers are gone", func(s *site) { clear(s.LoadBalancers) }, `
gen 1: rs-1=1/1 rs-2=1/1
held: empty-pool: the configuration leaves none of 2 load balancers, which ends every session of the pool; the plan before stays`},
			{"all VIPs are others", func(s *site) {
				s.addLB("lb-1", 1)
				s.addLB("lb-2", 2)
				s.pool().VIPs = []netip.Addr{netip.MustParseAddr("192.0.2.9")}
			}, `
gen 1: rs-1=1/1 rs-2=1/1
held: empty-pool: the configuration leaves none of 2 VIPs, which ends every session of the pool; the plan before stays`},
			{"a VIP more, and one less", func(s *site) {
				s.pool().VIPs = []netip.Addr{netip.MustParseAddr("192.0.2.9"), netip.MustParseAddr("192.0.2.1")}
			}, `gen 2: rs-1=1/1 rs-2=1/1`},
			{"another port", func(s *site) { s.pool().Port = 1179 }, `
gen 2: rs-1=1/1 rs-2=1/1
held: empty-pool: the configuration moves every VIP from port 179 to 1179, which ends every session of the pool; the plan before stays`},
		}},
		{"an object that is named and missing holds the configuration", 3, 1, []step{
			{"first plan", nothing, `gen 1: rs-1=1/1 rs-2=1/1 rs-3=1/1`},
			{"a real server's object is gone", func(s *site) { delete(s.RealServers, "rs-2") }, `
gen 1: rs-1=1/1 rs-2=1/1 rs-3=1/1
held: missing-object: the configuration names RealServer/rs-2, which is not there; apply it, or take the name out`},
		}},
		{"what validation should have refused is held", 2, 1, []step{
			{"first plan", nothing, `gen 1: rs-1=1/1 rs-2=1/1`},
			{"a VIP is a server's own address", func(s *site) { s.pool().VIPs = append(s.pool().VIPs, addresses(2, 2)[0]) }, `
gen 1: rs-1=1/1 rs-2=1/1
held: invalid-configuration: the configuration cannot run: RealServer/rs-2 has the address 10.2.0.2 of a VIP; correct it and apply it again`},
			{"two addresses of a family", func(s *site) {
				s.pool().VIPs = s.pool().VIPs[:2]
				s.RealServers["rs-1"].Spec.Addresses = append(addresses(2, 1)[:1], addresses(2, 9)[:1]...)
			}, `
gen 1: rs-1=1/1 rs-2=1/1
held: invalid-configuration: the configuration cannot run: RealServer/rs-1 has 2 addresses; one of a family, at least one in all, are needed; correct it and apply it again`},
			{"a tunnel", func(s *site) {
				s.RealServers["rs-1"].Spec.Addresses = addresses(2, 1)
				s.pool().Forwarding = api.ForwardingGUE
			}, `
gen 1: rs-1=1/1 rs-2=1/1
held: invalid-configuration: the configuration cannot run: forwarding "gue" is not supported; correct it and apply it again`},
			{"another pool's VIP", func(s *site) {
				s.pool().Forwarding = api.ForwardingDSR
				s.Plans["core"] = &api.Plan{Pool: "core", Port: 179, VIPs: []netip.Addr{netip.MustParseAddr("192.0.2.7")}}
				s.pool().VIPs = append(s.pool().VIPs, netip.MustParseAddr("192.0.2.7"))
			}, `
gen 1: rs-1=1/1 rs-2=1/1
held: invalid-configuration: the configuration cannot run: VIP 192.0.2.7 port 179 belongs to pool core; correct it and apply it again`},
			{"on a port of its own", func(s *site) { s.Plans["core"].Port = 1179 }, `gen 2: rs-1=1/1 rs-2=1/1`},
		}},
		{"a first plan that cannot run is none", 1, 1, []step{
			{"no port", func(s *site) { s.pool().Port = 0 }, `blocked: the configuration cannot run: the pool has no port; correct it and apply it again`},
			{"no real servers", func(s *site) { s.pool().Port = 179; s.pool().RealServers = nil },
				`blocked: the pool has no VIPs or no known real servers, and no plan to keep; configure both`},
			{"both", func(s *site) { s.pool().RealServers = []string{"rs-1"} }, `gen 1: rs-1=1/1`},
		}},
		{"a plan from a backup goes on after what load balancers have applied", 2, 2, []step{
			{"first plan", nothing, `gen 1: rs-1=1/1 rs-2=1/1`},
			{"restored and accepted", func(s *site) { s.Applied["edge"]["lb-2"].Generation = 41 }, `gen 42: rs-1=1/1 rs-2=1/1`},
			{"and that is all", func(s *site) { s.Applied["edge"]["lb-2"].Generation = 41 }, `gen 42: rs-1=1/1 rs-2=1/1`},
		}},
		{"an emptied plan is as good as none", 2, 1, []step{
			{"first plan", nothing, `gen 1: rs-1=1/1 rs-2=1/1`},
			{"somebody empties it, nobody reports", func(s *site) {
				s.Plans["edge"] = &api.Plan{Pool: "edge", Generation: 7, Port: 179, VIPs: s.pool().VIPs}
				clear(s.Paths)
			}, `gen 8: rs-1=1/1 rs-2=1/1`},
		}},
		{"nobody reports any more: suspects stay suspects, and the hold stays", 2, 1, []step{
			{"all dead", func(s *site) { s.see(false, "rs-1", "rs-2") }, `
gen 1: rs-1=1/1(suspect) rs-2=1/1(suspect)
held: over-max-shrink: 2 of 2 real servers are unhealthy at once, and maxShrink lets health take out 1 (50%); 2 stay in service as suspect`},
			{"silence", func(s *site) { clear(s.Paths); clear(s.Servers) }, `
gen 1: rs-1=1/1(suspect) rs-2=1/1(suspect)
held: over-max-shrink: 2 of 2 real servers are unhealthy at once, and maxShrink lets health take out 1 (50%); 2 stay in service as suspect`},
		}},
		{"an unreadable pool is not a removed one", 2, 1, []step{
			{"first plan", nothing, `gen 1: rs-1=1/1 rs-2=1/1`},
			{"unreadable, and never read before", func(s *site) {
				s.Pools["edge-2"] = s.Pools["edge"]
				delete(s.Pools, "edge")
				s.Bad["/peerage/v1/config/pools/edge"] = errors.New("truncated")
			}, `
blocked: the pool's configuration is unreadable (truncated); apply it again
gen 1: rs-1=1/1 rs-2=1/1`},
		}},
		{"an unreadable plan is left alone", 2, 1, []step{
			{"first plan", nothing, `gen 1: rs-1=1/1 rs-2=1/1`},
			{"of a schema to come", func(s *site) {
				s.Bad["/peerage/v1/plan/edge"] = errors.New("schema 9 is newer than 1")
				s.depool("rs-1")
			}, `
blocked: the plan in the store is unreadable (schema 9 is newer than 1); upgrade this controller, or delete the key if it is damaged
gen 1: rs-1=1/1 rs-2=1/1`},
		}},
		{"an unreadable intent is not the same as none", 2, 1, []step{
			{"depooled", func(s *site) { s.depool("rs-1") }, `gen 1: rs-1=0/1(depooled) rs-2=1/1`},
			{"unreadable", func(s *site) {
				s.undo("rs-1")
				s.Bad["/peerage/v1/intent/realservers/rs-1"] = errors.New("unexpected end")
			},
				`gen 2: rs-1=0/1(depooled) rs-2=1/1`},
		}},
		{"a pool that is deleted, a site that is wiped, a pool that returns", 2, 1, []step{
			{"first plan", func(s *site) { s.Plans["edge"] = nil; delete(s.Plans, "edge") }, `gen 1: rs-1=1/1 rs-2=1/1`},
			{"the store is wiped", func(s *site) { clear(s.Pools); clear(s.LoadBalancers); clear(s.RealServers) }, `
blocked: the store holds no configuration at all; apply the site's files, or delete the pools while its load balancers are still there
gen 1: rs-1=1/1 rs-2=1/1`},
			{"the pool alone is gone", func(s *site) { s.addLB("lb-1", 1) }, `delete`},
			{"it returns with a later generation", func(s *site) {
				fresh := newSite(2, 1)
				s.Pools, s.RealServers = fresh.Pools, fresh.RealServers
			}, `gen 2: rs-1=1/1 rs-2=1/1`},
		}},
	} {
		t.Run(sc.name, func(t *testing.T) {
			s := newSite(sc.servers, sc.lbs)
			for _, step := range sc.steps {
				step.do(s)
				t.Run(step.name, func(t *testing.T) { expect(t, s.run(t), step.want) })
			}
		})
	}
}

func TestFirstPlanInFull(t *testing.T) {
	s := newSite(1, 2)
	s.LoadBalancers["lb-2"].Spec.MED = new(uint32(200))
	delete(s.LiveLBs, "lb-2") // does not matter
	s.pool().Speaker.Neighbors = []api.Neighbor{
		{Name: "b", Prefix: netip.MustParsePrefix("10.2.0.0/16")}, {Name: "a", Prefix: netip.MustParsePrefix("10.1.0.0/16")},
	}
	v4, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	want := &api.Plan{
		Schema: api.Schema, Pool: "edge", Generation: 1,
		VIPs: []netip.Addr{v4, v6}, Port: 179, Scheduler: api.SchedulerMH, Forwarding: api.ForwardingDSR,
		Destinations: []api.Destination{{Server: "rs-1", Addresses: addresses(2, 1), Nominal: 1, Weight: 1, State: api.ServerServing, Since: noon}},
		Announcements: []api.Announcement{
			{LB: "lb-1", VIP: v4, Announce: true, MED: 100}, {LB: "lb-1", VIP: v6, Announce: true, MED: 100},
			{LB: "lb-2", VIP: v4, Announce: true, MED: 200}, {LB: "lb-2", VIP: v6, Announce: true, MED: 200},
		},
		HealthCheck: s.pool().HealthCheck,
		Speaker: api.Speaker{LocalAS: 64500, HoldTime: s.pool().Speaker.HoldTime, Neighbors: []api.Neighbor{
			{Name: "a", Prefix: netip.MustParsePrefix("10.1.0.0/16")}, {Name: "b", Prefix: netip.MustParsePrefix("10.2.0.0/16")},
		}},
		Probes: []netip.Addr{addresses(1, 1)[0], addresses(1, 2)[0], addresses(1, 1)[1], addresses(1, 2)[1]},
	}
	equateAddrs := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	equatePrefixes := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
	if diff := cmp.Diff(want, s.step(t).Plan, equateAddrs, equatePrefixes); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
}

func TestReasons(t *testing.T) {
	s := newSite(4, 3)
	s.run(t)
	s.depool("rs-1")
	s.speaker("rs-2", false)
	s.path("lb-1", "rs-3", false)
	s.path("lb-3", "rs-3", false)
	s.pool().Guards.MaxShrink = api.Quota{N: 3}
	p := s.step(t).Plan
	for i, want := range []string{
		"alice: disk", "it reports: bird is down",
		"2 of 3 load balancers cannot reach it: connection refused", "",
	} {
		if got := p.Destinations[i].Reason; got != want {
			t.Errorf("%s: reason %q, want %q", p.Destinations[i].Server, got, want)
		}
	}
	s.path("lb-2", "rs-3", false)
	if again := s.step(t); again.Write {
		t.Errorf("another count in a reason made generation %d: a state keeps the reason that it began with", again.Plan.Generation)
	}
}

func TestHeldKeepsItsDate(t *testing.T) {
	s := newSite(5, 1)
	s.run(t)
	s.after(time.Hour)
	s.pool().RealServers = []string{"rs-1", "rs-2"}
	first := s.step(t).Plan
	s.after(time.Hour)
	s.pool().RealServers = []string{"rs-1"}
	again := s.step(t)
	if !again.Write || again.Plan.Held.Reason == first.Held.Reason {
		t.Errorf("a hold for another number: written %v, %+v", again.Write, again.Plan.Held)
	}
	if since := again.Plan.Held.Since; !since.Equal(first.Held.Since) || !since.Equal(noon.Add(time.Hour)) {
		t.Errorf("held since %v, want the time at which the guard first held", since)
	}
	s.after(time.Hour)
	if s.step(t).Write {
		t.Error("a hold is written again though nothing changed")
	}
	s.pool().RealServers = nil
	if since := s.step(t).Plan.Held.Since; !since.Equal(s.now) {
		t.Errorf("held by another guard since %v, want now", since)
	}
}

func TestWake(t *testing.T) {
	s := newSite(3, 1)
	for i, until := range []time.Duration{time.Hour, -time.Hour, time.Minute} {
		name := []string{"rs-1", "rs-2", "rs-3"}[i]
		s.Intents[name] = &api.ServerIntent{Weight: &api.WeightIntent{Value: 2, Mark: api.Mark{Until: noon.Add(until)}}}
	}
	if got := Compute(Inputs{State: s.State, Now: noon}).Wake; !got.Equal(noon.Add(time.Minute)) {
		t.Errorf("wakes at %v, want the earliest end that is still to come", got)
	}
}
