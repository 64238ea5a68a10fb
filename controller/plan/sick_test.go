package plan

import (
	"testing"
	"time"

	"github.com/peerage/peerage/api"
)

func TestSickLoadBalancer(t *testing.T) {
	blind := func(s *site, lb string, ok bool, servers ...string) {
		for _, name := range servers {
			s.path(lb, name, ok)
		}
	}
	recent := func(s *site, lb string, servers ...string) {
		for _, name := range servers {
			s.Paths[lb].Paths["edge"][name] = api.Path{Since: s.now, Reason: "connection refused"}
		}
		s.Paths[lb].At = s.now
	}
	all := []string{"rs-1", "rs-2", "rs-3", "rs-4"}
	const good = `rs-1=1/1 rs-2=1/1 rs-3=1/1 rs-4=1/1`
	for _, sc := range []struct {
		name  string
		lbs   int
		steps []step
	}{
		{"one of three sees everything die", 3, []step{
			{"first plan", func(*site) {}, `gen 1: ` + good},
			{"it is withdrawn, the pool stays", func(s *site) { blind(s, "lb-1", false, all...) }, `
gen 2: ` + good + `
withdrawn: lb-1 192.0.2.1
withdrawn: lb-1 2001:db8::1`},
			{"nothing else happens", func(s *site) { s.after(time.Minute) }, `
gen 2: ` + good + `
withdrawn: lb-1 192.0.2.1
withdrawn: lb-1 2001:db8::1`},
			{"it recovers in part", func(s *site) { blind(s, "lb-1", true, "rs-1", "rs-2") }, `
gen 2: ` + good + `
withdrawn: lb-1 192.0.2.1
withdrawn: lb-1 2001:db8::1`},
			{"it recovers", func(s *site) { blind(s, "lb-1", true, "rs-3") }, `gen 3: ` + good},
		}},
		{"one of two: the servers say who is right", 2, []step{
			{"first plan", func(*site) {}, `gen 1: ` + good},
			{"lb-1 sees everything dead", func(s *site) { blind(s, "lb-1", false, all...) }, `
gen 2: ` + good + `
withdrawn: lb-1 192.0.2.1
withdrawn: lb-1 2001:db8::1`},
			{"it restarts and has not reported", func(s *site) { s.LiveLBs["lb-1"] = &api.Live{StartedAt: s.now.Add(time.Hour)} }, `
gen 2: ` + good + `
withdrawn: lb-1 192.0.2.1
withdrawn: lb-1 2001:db8::1`},
			{"the other one restarts, too", func(s *site) {
				s.LiveLBs["lb-1"] = &api.Live{StartedAt: noon}
				s.LiveLBs["lb-2"] = &api.Live{StartedAt: s.now.Add(time.Hour)}
			}, `
gen 2: ` + good + `
withdrawn: lb-1 192.0.2.1
withdrawn: lb-1 2001:db8::1`},
			{"the other one is gone: a sick one is better than none", func(s *site) { delete(s.LiveLBs, "lb-2") },
				`gen 3: ` + good},
		}},
		{"who is the first to tell of a failure is not sick", 2, []step{
			{"first plan", func(*site) {}, `gen 1: ` + good},
			{"lb-1 sees three die", func(s *site) {
				s.after(time.Second)
				recent(s, "lb-1", all[:3]...)
			}, `gen 1: ` + good},
			{"lb-2 sees them, too", func(s *site) {
				s.after(time.Second)
				recent(s, "lb-2", all[:3]...)
			}, `
gen 2: rs-1=1/1(suspect) rs-2=1/1(suspect) rs-3=1/1(suspect) rs-4=1/1
held: over-max-shrink: 3 of 4 real servers are unhealthy at once, and maxShrink lets health take out 2 (50%); 3 stay in service as suspect`},
		}},
		{"one that is alone with its view for long is sick", 2, []step{
			{"first plan", func(*site) {}, `gen 1: ` + good},
			{"lb-1 sees three die", func(s *site) {
				s.after(time.Second)
				recent(s, "lb-1", all[:3]...)
			}, `gen 1: ` + good},
			{"still", func(s *site) {
				s.after(6 * time.Second)
				s.Paths["lb-1"].At = s.now
			}, `
gen 2: ` + good + `
withdrawn: lb-1 192.0.2.1
withdrawn: lb-1 2001:db8::1`},
		}},
		{"the only load balancer is never withdrawn", 1, []step{
			{"first plan", func(*site) {}, `gen 1: ` + good},
			{"it sees everything dead", func(s *site) { blind(s, "lb-1", false, all...) }, `
gen 2: rs-1=1/1(suspect) rs-2=1/1(suspect) rs-3=1/1(suspect) rs-4=1/1(suspect)
held: over-max-shrink: 4 of 4 real servers are unhealthy at once, and maxShrink lets health take out 2 (50%); 4 stay in service as suspect`},
		}},
		{"who covers must run the newest plan and announce", 2, []step{
			{"first plan", func(*site) {}, `gen 1: ` + good},
			{"lb-2 is behind", func(s *site) {
				s.Applied["edge"]["lb-2"].Generation = 0
				blind(s, "lb-1", false, all...)
			}, `gen 1: ` + good},
			{"lb-2 does not announce", func(s *site) { s.Applied["edge"]["lb-2"].VIPs = map[string]api.Announced{} },
				`gen 1: ` + good},
			{"it does", func(*site) {}, `
gen 2: ` + good + `
withdrawn: lb-1 192.0.2.1
withdrawn: lb-1 2001:db8::1`},
		}},
		{"two that see different things dead: nobody is believed", 2, []step{
			{"first plan", func(*site) {}, `gen 1: ` + good},
			{"halves", func(s *site) { blind(s, "lb-1", false, "rs-1", "rs-2"); blind(s, "lb-2", false, "rs-3", "rs-4") },
				`gen 1: ` + good},
		}},
		{"all see everything die", 3, []step{
			{"first plan", func(*site) {}, `gen 1: ` + good},
			{"dead", func(s *site) { s.see(false, all...) }, `
gen 2: rs-1=1/1(suspect) rs-2=1/1(suspect) rs-3=1/1(suspect) rs-4=1/1(suspect)
held: over-max-shrink: 4 of 4 real servers are unhealthy at once, and maxShrink lets health take out 2 (50%); 4 stay in service as suspect`},
		}},
		{"one bad path makes nobody sick", 3, []step{
			{"first plan", func(*site) {}, `gen 1: ` + good},
			{"one path", func(s *site) { blind(s, "lb-2", false, "rs-3") }, `gen 1: ` + good},
			{"two of four", func(s *site) { blind(s, "lb-2", false, "rs-4") }, `gen 1: ` + good},
		}},
	} {
		t.Run(sc.name, func(t *testing.T) {
			s := newSite(4, sc.lbs)
			for _, step := range sc.steps {
				step.do(s)
				t.Run(step.name, func(t *testing.T) { expect(t, s.run(t), step.want) })
			}
		})
	}
}

func TestAgreement(t *testing.T) {
	s := newSite(2, 3)
	s.run(t)
	s.Applied["edge"]["lb-2"].Fingerprint = "another"
	delete(s.LiveLBs, "lb-3")
	agree, differ := Agreement(s.State, s.Plans["edge"])
	if len(agree) != 1 || agree[0] != "lb-1" || len(differ) != 1 || differ[0] != "lb-2" {
		t.Errorf("agree %v, differ %v", agree, differ)
	}
}
