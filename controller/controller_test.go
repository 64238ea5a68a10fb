package controller

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/store"
)

func TestDepool(t *testing.T) {
	s := newSite(t)
	s.start("ctl-1")
	s.configure(4)
	first := s.plan("the first plan", func(p *api.Plan) bool { return len(p.Destinations) == 4 })
	if first.Generation != 1 || len(first.Announcements) != 2 {
		t.Errorf("the first plan: %s, %d announcements", describe(first), len(first.Announcements))
	}
	s.depool("rs-2")
	p := s.plan("rs-2 depooled", func(p *api.Plan) bool { return state(p, "rs-2") == api.ServerDepooled })
	if p.Generation != 2 || p.Destinations[1].Weight != 0 || p.Destinations[1].Nominal != 1 || p.Destinations[1].Reason != "alice: disk" {
		t.Errorf("after depool: %s, %+v", describe(p), p.Destinations[1])
	}
	s.undo("rs-2")
	s.plan("rs-2 serving", func(p *api.Plan) bool { return p.Generation == 3 && state(p, "rs-2") == api.ServerServing })
	s.events("elected", "plan", "depool", "pool")
}

// events waits until the trail has events with the verbs.
func (s *site) events(verbs ...string) {
	s.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		all, err := s.store.Events(s.t.Context(), 0)
		if err != nil {
			s.t.Fatal(err)
		}
		missing := slices.DeleteFunc(slices.Clone(verbs), func(verb string) bool {
			return slices.ContainsFunc(all, func(e api.Event) bool { return e.Verb == verb && e.By != "" && e.Object != "" && e.Message != "" })
		})
		if len(missing) == 0 {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("the trail lacks %v: %+v", missing, all)
		}
		time.Sleep(5 * time.Millisecond) // the trail is not mirrored
	}
}

func TestHealth(t *testing.T) {
	s := newSite(t)
	s.start("ctl-1")
	s.configure(3)
	s.plan("the first plan", func(p *api.Plan) bool { return len(p.Destinations) == 3 })
	for _, lb := range []string{"lb-1", "lb-2"} {
		s.live(api.RoleLB, lb)
		s.paths(lb, "rs-1", "rs-2", "rs-3")
	}
	s.paths("lb-1", "rs-1", "rs-3") // rs-2 cannot be reached
	s.paths("lb-2", "rs-1", "rs-3")
	s.plan("rs-2 unhealthy", func(p *api.Plan) bool { return state(p, "rs-2") == api.ServerUnhealthy })
	s.paths("lb-1", "rs-1", "rs-2", "rs-3")
	s.paths("lb-2", "rs-1", "rs-2", "rs-3")
	s.plan("rs-2 serving", func(p *api.Plan) bool { return state(p, "rs-2") == api.ServerServing })

	s.live(api.RoleRealServer, "rs-1")
	o := &api.ServerObservation{Schema: api.Schema, Server: "rs-1", At: time.Now(),
		Pools: map[string]api.SpeakerHealth{"edge": {Reason: "bird is down"}}}
	if err := s.store.PutServer(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	s.plan("rs-1 unhealthy", func(p *api.Plan) bool { return state(p, "rs-1") == api.ServerUnhealthy })

	s.paths("lb-1")
	s.paths("lb-2")
	p := s.plan("all suspect", func(p *api.Plan) bool { return p.Held != nil && state(p, "rs-2") == api.ServerSuspect })
	if p.Held.Guard != string(api.RiskOverMaxShrink) {
		t.Errorf("held by %s", p.Held.Guard)
	}
	s.events("health", "hold")
}

// live registers a node for the time of the test.
func (s *site) live(role api.Role, name string) {
	s.t.Helper()
	done := make(chan error, 1)
	live := api.Live{Schema: api.Schema, Name: name, Role: role, StartedAt: time.Now()}
	ctx, cancel := context.WithCancel(context.Background())
	go func() { done <- s.store.Register(ctx, live, 5*time.Second) }()
	s.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("register %s: %v", name, err)
		}
	})
	s.await(name+" is live", func(st *api.State) bool {
		return map[api.Role]map[string]*api.Live{api.RoleLB: st.LiveLBs, api.RoleRealServer: st.LiveRealServers}[role][name] != nil
	})
}

// paths reports what a load balancer reaches.
func (s *site) paths(lb string, reached ...string) {
	s.t.Helper()
	paths := map[string]api.Path{}
	for _, server := range edge(3).Spec.RealServers {
		paths[server] = api.Path{OK: slices.Contains(reached, server), Reason: "connection refused"}
	}
	o := &api.PathObservation{Schema: api.Schema, LB: lb, At: time.Now(), Paths: map[string]map[string]api.Path{"edge": paths}}
	if err := s.store.PutPaths(s.t.Context(), o); err != nil {
		s.t.Fatal(err)
	}
}

func TestLeaderIsReplaced(t *testing.T) {
	s := newSite(t)
	stop := s.start("ctl-1")
	s.configure(3)
	s.leader("ctl-1")
	s.plan("the first plan", func(p *api.Plan) bool { return p.Generation == 1 })
	s.start("ctl-2")
	s.await("both are live", func(st *api.State) bool { return len(st.LiveControllers) == 2 })
	stop()
	s.leader("ctl-2")
	if p := s.mirror.State().Plans["edge"]; p.Generation != 1 {
		t.Errorf("the change of leaders made %s", describe(p))
	}
	s.depool("rs-1")
	s.plan("the second plan", func(p *api.Plan) bool { return p.Generation == 2 && state(p, "rs-1") == api.ServerDepooled })
	s.await("ctl-1 is gone", func(st *api.State) bool { return st.LiveControllers["ctl-1"] == nil })
}

// A leader that does not know yet that it was deposed cannot write.
func TestDeposedLeader(t *testing.T) {
	s := newSite(t)
	s.configure(2)
	old, err := s.store.Campaign(t.Context(), "ctl-0", 2*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	s.leader("ctl-0")
	s.start("ctl-1")
	if err := old.Resign(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := s.plan("the first plan", func(p *api.Plan) bool { return p.Generation == 1 })
	stale := *p
	stale.Generation = 7
	if err := old.PutPlan(t.Context(), &stale); !errors.Is(err, store.ErrNotLeader) {
		t.Errorf("a deposed leader wrote a plan: %v", err)
	}
	if err := old.DeletePlan(t.Context(), "edge"); !errors.Is(err, store.ErrNotLeader) {
		t.Errorf("a deposed leader removed a plan: %v", err)
	}
}

func TestStoreRestarts(t *testing.T) {
	s := newSite(t)
	s.start("ctl-1")
	s.configure(2)
	s.plan("the first plan", func(p *api.Plan) bool { return p.Generation == 1 })
	s.etcd.Stop()
	s.await("the store is missed", func(st *api.State) bool { return st.Stale != nil })
	s.etcd.Start()
	s.await("the store is back", func(st *api.State) bool { return st.Stale == nil })
	s.depool("rs-1")
	s.plan("the second plan", func(p *api.Plan) bool { return p.Generation == 2 })
}

// A controller that waits for a store, or has lost it, stops when it is told.
func TestStopsWithoutStore(t *testing.T) {
	s := newSite(t)
	leader := s.start("ctl-1")
	s.leader("ctl-1")
	follower := s.start("ctl-2")
	s.await("both are live", func(st *api.State) bool { return len(st.LiveControllers) == 2 })
	s.etcd.Stop()
	start := time.Now()
	follower()
	leader()
	s.start("ctl-3")()
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("three controllers needed %v to stop", took)
	}
}

func TestPoisonedPool(t *testing.T) {
	s := newSite(t)
	s.start("ctl-1")
	s.configure(4)
	s.plan("the first plan", func(p *api.Plan) bool { return p.Generation == 1 })
	s.update(func(tx *store.Tx) { // past the API and its checks
		pool := edge(4)
		pool.Spec.RealServers = nil
		tx.Put(pool)
	})
	p := s.plan("the plan is held", func(p *api.Plan) bool { return p.Held != nil })
	if p.Generation != 1 || len(p.Destinations) != 4 || p.Held.Guard != string(api.RiskEmptyPool) {
		t.Errorf("a poisoned pool made %s", describe(p))
	}
	s.depool("rs-1")
	s.plan("maintenance goes on", func(p *api.Plan) bool { return p.Generation == 2 && p.Held != nil })
	s.update(func(tx *store.Tx) { tx.Put(edge(4)) })
	s.plan("the plan is released", func(p *api.Plan) bool { return p.Generation == 2 && p.Held == nil })
	s.events("hold", "release")
}

func TestPoolIsDeleted(t *testing.T) {
	s := newSite(t)
	s.start("ctl-1")
	s.configure(2)
	s.plan("the first plan", func(p *api.Plan) bool { return p.Generation == 1 })
	s.update(func(tx *store.Tx) { tx.Delete(edge(2)) })
	s.await("the plan is removed", func(st *api.State) bool { return st.Plans["edge"] == nil })
	s.update(func(tx *store.Tx) { tx.Put(edge(2)) })
	s.plan("a new pool", func(p *api.Plan) bool { return len(p.Destinations) == 2 })
}

func TestIntentExpires(t *testing.T) {
	s := newSite(t)
	s.start("ctl-1")
	s.configure(2)
	s.update(func(tx *store.Tx) {
		tx.PutIntent(&api.ServerIntent{Schema: api.Schema, Server: "rs-1",
			Depooled: &api.Mark{By: "alice", At: time.Now(), Until: time.Now().Add(3 * time.Second)}})
	})
	s.plan("depooled", func(p *api.Plan) bool { return state(p, "rs-1") == api.ServerDepooled })
	s.plan("serving again", func(p *api.Plan) bool { return state(p, "rs-1") == api.ServerServing })
}
