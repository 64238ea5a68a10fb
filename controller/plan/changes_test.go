package plan

import (
	"fmt"
	"strings"
	"testing"

	"github.com/peerage/peerage/api"
)

func TestChanges(t *testing.T) {
	s := newSite(4, 2)
	told := func(do func()) string {
		do()
		r := s.step(t)
		s.apply()
		var b strings.Builder
		if r.Write {
			for _, c := range Changes(r.Before, r.Plan) {
				fmt.Fprintf(&b, "%s %s: %s [%s]\n", c.Verb, c.Object, c.Message, c.Reason)
			}
		}
		return b.String()
	}
	expect(t, told(func() {}), `plan Pool/edge: generation 1: the first plan, 4 real servers, 2 VIPs []`)
	expect(t, told(func() { s.depool("rs-1"); s.see(false, "rs-2"); s.RealServers["rs-3"].Spec.Weight = 4 }), `
plan Pool/edge: generation 2 follows 1 []
depool RealServer/rs-1: pool edge: depooled, was serving; weight 0, was 1 [alice: disk]
health RealServer/rs-2: pool edge: unhealthy, was serving; weight 0, was 1 [it reports: bird is down]
weight RealServer/rs-3: pool edge: nominal weight 4, was 1 []`)
	expect(t, told(func() {
		s.undo("rs-1")
		s.addServer("rs-5", 5)
		s.pool().RealServers = []string{"rs-1", "rs-3", "rs-4", "rs-5"}
	}), `
plan Pool/edge: generation 3 follows 2 []
pool RealServer/rs-1: pool edge: serving, was depooled; weight 1, was 0 []
plan RealServer/rs-5: pool edge: added as serving at weight 1 []
plan RealServer/rs-2: pool edge: removed, was unhealthy []`)
	expect(t, told(func() {
		for _, m := range s.pool().RealServers {
			s.path("lb-2", m, false)
		}
	}), `
plan Pool/edge: generation 4 follows 3 []
withdraw LoadBalancer/lb-2: pool edge: withdraws its VIPs [it reports 4 of 4 real servers dead that other load balancers reach]`)
	expect(t, told(func() {
		for _, m := range s.pool().RealServers {
			s.path("lb-2", m, true)
		}
		s.pool().RealServers = nil
	}), `
plan Pool/edge: generation 5 follows 4 []
announce LoadBalancer/lb-2: pool edge: announces its VIPs again [it is well again, or nobody else announces]
hold Pool/edge: held back by empty-pool [the configuration removes all 4 real servers, which ends every session of the pool; the plan before stays; the configuration removes 4 of 4 real servers in one step (rs-1, rs-3, rs-4, rs-5), and maxShrink allows 2 (50%)]`)
	expect(t, told(func() { s.pool().RealServers = []string{"rs-1", "rs-3", "rs-4", "rs-5"} }), `
release Pool/edge: nothing is held back any more, was: empty-pool`+" []")
}

func BenchmarkCompute(b *testing.B) {
	for _, servers := range []int{16, 256} {
		for _, lbs := range []int{4, 64} {
			b.Run(fmt.Sprintf("servers=%d/lbs=%d", servers, lbs), func(b *testing.B) {
				s := newSite(0, lbs)
				for i := range servers {
					name := fmt.Sprintf("rs-%d", i)
					s.addServer(name, i+1)
				}
				for i := range 4000 {
					s.pool().Speaker.Neighbors = append(s.pool().Speaker.Neighbors, api.Neighbor{Name: fmt.Sprintf("c-%04d", i)})
				}
				s.step(b)
				for b.Loop() {
					if r := Compute(Inputs{State: s.State, Now: s.now}); r.Pools[0].Write {
						b.Fatal("nothing happened, and the plan changed")
					}
				}
			})
		}
	}
}
