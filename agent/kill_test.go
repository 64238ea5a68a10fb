package agent

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/peerage/peerage/api"
)

// TestKilledAnywhere kills the agent before every single change on the way from
// one plan to another. Whatever was done and not done: the next start reaches
// the same host, and on the way nothing is taken down that is announced and
// nothing is announced that has no base (the machine checks that).
func TestKilledAnywhere(t *testing.T) {
	const examples = 8
	for i := range examples {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			before, after := planGenerator(1).Example(i), planGenerator(2).Example(1000+i)
			removed, lost := i%4 == 3, i%2 == 1
			want := journey(t, before, after, removed, false, 0)
			n := 1
			for ; ; n++ {
				got := journey(t, before, after, removed, lost, n)
				if got == "" {
					break // fewer than n changes
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("killed before change %d (-want +got):\n%s", n, diff)
				}
			}
			if n < 3 {
				t.Errorf("only %d changes: the example is no good", n)
			}
		})
	}
}

// journey goes from nothing to before, and then to after, or to the pool's
// removal, dying before the nth change of that; 0: not at all. It returns the
// host at the end, or nothing when there was no nth change.
func journey(t *testing.T, before, after *api.Plan, removed, lost bool, n int) string {
	s := newScenario(t, nil, t.TempDir())
	s.change(func(st *api.State) {
		for _, name := range []string{self, "lb-2"} {
			lb := &api.LoadBalancer{Meta: api.Meta{Name: name}, Spec: api.LoadBalancerSpec{Interface: "eth0"}}
			lb.Default()
			st.LoadBalancers[name] = lb
		}
		st.Pools["edge"] = &api.Pool{Meta: api.Meta{Name: "edge"}}
		st.Plans["edge"] = before
	})
	round := func() { s.a.round(context.Background(), roundFull) }
	round()
	s.change(func(st *api.State) {
		st.Plans["edge"] = after
		if removed {
			delete(st.Plans, "edge")
			delete(st.Pools, "edge")
		}
	})
	s.a.cfg.Grace = 1 // a moment that is over at the next look
	if n > 0 {
		died := s.killed(n)
		for i := 0; i < 3 && !died; i++ { // what is withdrawn goes a round later
			died = s.killed(n - s.m.count)
		}
		if !died {
			return ""
		}
		if lost {
			if err := s.command("lose", []string{recordFile}); err != nil {
				t.Fatal(err)
			}
		}
		s.start()
		s.a.cfg.Grace = 1
	}
	for range 4 {
		round()
	}
	if err := s.a.Ready(); err != nil {
		t.Fatalf("after %d: %v", n, err)
	}
	return s.m.String()
}

func planGenerator(generation int64) *rapid.Generator[*api.Plan] {
	return rapid.Custom(func(rt *rapid.T) *api.Plan { return drawPlan(rt, generation) })
}

// drawPlan draws a plan of up to 3 VIPs and 4 real servers.
func drawPlan(rt *rapid.T, generation int64) *api.Plan {
	p := &api.Plan{
		Schema: api.Schema, Pool: "edge", Generation: generation, Port: 179,
		Scheduler: api.SchedulerMH, Forwarding: api.ForwardingDSR,
	}
	for i := range rapid.IntRange(1, 3).Draw(rt, "vips") {
		vip := netip.MustParseAddr([]string{"203.0.113.1", "203.0.113.2", "2001:db8::1"}[i])
		p.VIPs = append(p.VIPs, vip)
		p.Announcements = append(p.Announcements, api.Announcement{
			LB: self, VIP: vip, Announce: rapid.IntRange(0, 3).Draw(rt, "announce") > 0, MED: 100,
		})
	}
	servers := rapid.Permutation([]int{1, 2, 3, 4}).Draw(rt, "servers")
	for _, n := range servers[:rapid.IntRange(1, 4).Draw(rt, "n")] {
		d := api.Destination{
			Server: fmt.Sprintf("rs-%d", n), Nominal: rapid.IntRange(1, 2).Draw(rt, "nominal"),
			Addresses: []netip.Addr{netip.MustParseAddr(fmt.Sprintf("10.0.0.%d", n)), netip.MustParseAddr(fmt.Sprintf("fd00::%d", n))},
		}
		if rapid.IntRange(0, 3).Draw(rt, "depooled") > 0 {
			d.Weight = d.Nominal
		}
		p.Destinations = append(p.Destinations, d)
	}
	return p
}
