package controller

import (
	"testing"

	"github.com/peerage/peerage/api"
)

func generation(n int64, servers ...string) *api.Plan {
	p := &api.Plan{Pool: "edge", Generation: n}
	for _, name := range servers {
		p.Destinations = append(p.Destinations, api.Destination{Server: name})
	}
	return p
}

// copyOf is what the mirror shows of a plan: equal, and another value.
func copyOf(p *api.Plan) *api.Plan { return new(*p) }

func TestTrack(t *testing.T) {
	one := generation(1, "a")
	tr := trackOf(one, one)
	must := func(what string, shown *api.Plan, repaired bool, plan int64, unsure bool) {
		t.Helper()
		if why := tr.look(shown); (why != "") != repaired {
			t.Errorf("%s: repaired because %q", what, why)
		}
		var got int64
		if tr.plan != nil {
			got = tr.plan.Generation
		}
		if got != plan || tr.unsure != unsure {
			t.Errorf("%s: generation %d, unsure %v; want %d, %v", what, got, tr.unsure, plan, unsure)
		}
	}
	must("a new leader takes what it finds", one, false, 1, false)
	two, three := generation(2, "a", "b"), generation(3, "a", "b", "c")
	tr.send(two)
	tr.unsure = false // acknowledged
	must("the mirror is behind", one, false, 2, false)
	tr.send(three) // not acknowledged
	must("the mirror shows the second", copyOf(two), false, 3, true)
	must("the third had arrived in spite of the error", copyOf(three), false, 3, false)

	foreign := generation(9)
	must("somebody else writes", foreign, true, 10, true)
	if len(tr.plan.Destinations) != 3 {
		t.Errorf("repaired with %+v", tr.plan)
	}
	tr.send(tr.plan)
	must("the repair is not shown yet", foreign, false, 10, true)
	must("the repair is shown", copyOf(tr.plan), false, 10, false)
	must("somebody deletes", nil, true, 11, true)

	tr = trackOf(nil, tr.seen) // the pool was removed
	must("the removal is shown", nil, false, 0, false)
	must("somebody writes a plan of a pool that is gone", generation(5), false, 5, false)
}

// The mirror may never show a plan by itself: changes are coalesced.
func TestTrackSkips(t *testing.T) {
	tr := trackOf(nil, nil)
	tr.send(generation(1, "a"))
	tr.send(generation(2, "a", "b"))
	if why := tr.look(generation(7)); why == "" || tr.plan.Generation != 8 || len(tr.plan.Destinations) != 2 {
		t.Errorf("somebody else's plan, right after the first: repaired with %+v because %q", tr.plan, why)
	}
}

func TestTrackIsBounded(t *testing.T) {
	tr := trackOf(nil, nil)
	for i := range int64(2 * maxSent) {
		tr.send(generation(i))
	}
	if len(tr.sent) != maxSent {
		t.Errorf("%d writes are remembered, want %d", len(tr.sent), maxSent)
	}
}
