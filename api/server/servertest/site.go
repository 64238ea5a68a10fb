// Package servertest runs a whole API server for tests: a real etcd, a mirror,
// the server on a real socket, and hands that play leader and nodes one step
// at a time.
package servertest

import (
	"context"
	"iter"
	"maps"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/server"
	"github.com/peerage/peerage/api/store"
	"github.com/peerage/peerage/api/store/storetest"
)

// start is when the clock of every site begins.
var start = time.Date(2026, time.January, 2, 3, 4, 5, 0, time.UTC)

// Site is a running API server and what is behind it.
type Site struct {
	t      testing.TB
	ctx    context.Context
	Etcd   *storetest.Server
	Store  *store.Store
	Mirror *store.Mirror
	Server *server.Server
	// HTTP serves the API.
	HTTP *httptest.Server
	wg   sync.WaitGroup

	mu    sync.Mutex
	now   time.Time
	lives map[string]context.CancelFunc // by role and name
	lead  *store.Leadership
	speak map[string]*Speaker // by real server
}

// New starts a site. The functions change the server's configuration.
func New(t testing.TB, options ...func(*server.Config)) *Site {
	t.Helper()
	s := &Site{t: t, Etcd: storetest.StartServer(t), now: start, lives: map[string]context.CancelFunc{}, speak: map[string]*Speaker{}}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	s.ctx = ctx
	var err error
	if s.Store, err = store.Open(store.Config{Endpoints: s.Etcd.Endpoints(), RequestTimeout: 8 * time.Second}); err != nil {
		t.Fatal(err)
	}
	s.Mirror = s.Store.Mirror(store.MirrorOptions{})
	s.wg.Go(func() { _ = s.Mirror.Run(ctx) }) // it returns nil
	cfg := server.Config{Name: "ctl-1", Store: s.Store, Mirror: s.Mirror, Planner: Planner{}, Clock: s.Now,
		Logger: hclog.New(&hclog.LoggerOptions{Output: t.Output(), Level: hclog.Warn})}
	for _, o := range options {
		o(&cfg)
	}
	if s.Server, err = server.New(cfg); err != nil {
		t.Fatal(err)
	}
	s.HTTP = httptest.NewServer(s.Server)
	t.Cleanup(func() {
		s.HTTP.CloseClientConnections()
		s.HTTP.Close()
		cancel()
		s.wg.Wait()
		if err := s.Store.Close(); err != nil {
			t.Error(err)
		}
	})
	s.Await("the mirror to be synced", func(st *api.State) bool { return st.Synced })
	return s
}

// Now is the site's clock. It ticks whenever it is read, so that no two events
// are of one moment.
func (s *Site) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(time.Nanosecond)
	return s.now
}

// Pass lets time pass.
func (s *Site) Pass(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

// Await blocks until the mirror shows what is expected.
func (s *Site) Await(what string, holds func(*api.State) bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, 30*time.Second)
	defer cancel()
	changed, stop := s.Mirror.Subscribe()
	defer stop()
	for !holds(s.Mirror.State()) {
		select {
		case <-ctx.Done():
			s.t.Fatalf("waited in vain for %s", what)
		case <-changed:
		}
	}
}

// Join makes nodes alive.
func (s *Site) Join(role api.Role, names ...string) {
	s.t.Helper()
	for _, name := range names {
		s.JoinAt(role, name, "")
	}
}

// JoinAt makes a node alive that serves an API.
func (s *Site) JoinAt(role api.Role, name, url string) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.ctx)
	s.mu.Lock()
	s.lives[string(role)+name] = cancel
	s.mu.Unlock()
	live := api.Live{Schema: api.Schema, Name: name, Role: role, Version: "test", BootID: "boot-" + name, StartedAt: start, API: url}
	s.wg.Go(func() { _ = s.Store.Register(ctx, live, 5*time.Second) }) // it ends with ctx
	s.Await(name+" to be alive", func(st *api.State) bool { return lives(st, role)[name] != nil })
}

// Leave ends nodes in an orderly way.
func (s *Site) Leave(role api.Role, names ...string) {
	s.t.Helper()
	for _, name := range names {
		s.mu.Lock()
		s.lives[string(role)+name]()
		s.mu.Unlock()
		s.Await(name+" to be gone", func(st *api.State) bool { return lives(st, role)[name] == nil })
	}
}

func lives(st *api.State, role api.Role) map[string]*api.Live {
	switch role {
	case api.RoleLB:
		return st.LiveLBs
	case api.RoleRealServer:
		return st.LiveRealServers
	}
	return st.LiveControllers
}

// Lead makes ctl-1 the leader, and plans every pool once.
func (s *Site) Lead() {
	s.t.Helper()
	if s.lead == nil {
		lead, err := s.Store.Campaign(s.ctx, "ctl-1", 5*time.Second)
		if err != nil {
			s.t.Fatal(err)
		}
		s.lead = lead
		s.Await("the leader", func(st *api.State) bool { return st.Leader == "ctl-1" })
	}
	st := s.Mirror.State()
	for name := range st.Pools {
		plan := Compute(st, name, s.Now())
		s.Put(plan)
	}
	for name := range st.Plans {
		if st.Pools[name] != nil {
			continue
		}
		if err := s.lead.DeletePlan(s.ctx, name); err != nil {
			s.t.Fatal(err)
		}
		s.Await("the plan to go", func(st *api.State) bool { return st.Plans[name] == nil })
	}
}

// Put writes one plan as the leader.
func (s *Site) Put(plan *api.Plan) {
	s.t.Helper()
	if err := s.lead.PutPlan(s.ctx, plan); err != nil {
		s.t.Fatal(err)
	}
	s.Await("the plan", func(st *api.State) bool {
		p := st.Plans[plan.Pool]
		return p != nil && p.Generation == plan.Generation && (p.Held == nil) == (plan.Held == nil)
	})
}

// Run makes LBs run every plan as it is.
func (s *Site) Run(lbs ...string) {
	s.t.Helper()
	for pool, plan := range s.Mirror.State().Plans {
		for _, lb := range lbs {
			s.Report(Applied(plan, lb, s.Now()))
			s.Await("the report", func(st *api.State) bool {
				a := st.Applied[pool][lb]
				return a != nil && a.Generation == plan.Generation
			})
		}
	}
}

// Report writes what an LB made of a plan.
func (s *Site) Report(a *api.Applied) {
	s.t.Helper()
	if err := s.Store.PutApplied(s.ctx, a); err != nil {
		s.t.Fatal(err)
	}
}

// Applied is the report of an LB that runs a plan in full.
func Applied(plan *api.Plan, lb string, now time.Time) *api.Applied {
	a := &api.Applied{Schema: api.Schema, Pool: plan.Pool, LB: lb, At: now, Generation: plan.Generation,
		Fingerprint: api.Fingerprint(plan.Tables()), Took: api.Duration(3 * time.Millisecond), Warm: true,
		VIPs: map[string]api.Announced{}, Peers: map[string]api.FabricState{"tor-1": {State: "Established", BFD: "Up"}}}
	for _, ann := range plan.Announcements {
		if ann.LB == lb {
			a.VIPs[ann.VIP.String()] = api.Announced{Announced: ann.Announce, MED: ann.MED}
		}
	}
	return a
}

// Observe writes what a real server says of its sessions, and what LBs see.
func (s *Site) Observe(pool, server string, sessions int, lbs ...string) {
	s.t.Helper()
	now := s.Now()
	err := s.Store.PutServer(s.ctx, &api.ServerObservation{Schema: api.Schema, Server: server, At: now, Pools: map[string]api.SpeakerHealth{
		pool: {OK: true, Since: start, Engine: "bird 2.0.12", Sessions: sessions, Established: sessions, Generation: 1}}})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, lb := range lbs {
		o := &api.PathObservation{Schema: api.Schema, LB: lb, At: now, Paths: map[string]map[string]api.Path{pool: {}}}
		if old := s.Mirror.State().Paths[lb]; old != nil {
			maps.Copy(o.Paths[pool], old.Paths[pool])
		}
		o.Paths[pool][server] = api.Path{OK: true, Since: start, RTT: api.Duration(time.Millisecond)}
		if err := s.Store.PutPaths(s.ctx, o); err != nil {
			s.t.Fatal(err)
		}
		s.Await("the path", func(st *api.State) bool {
			p := st.Paths[lb]
			return p != nil && p.Paths[pool][server].OK
		})
	}
}

func keys[V any](m map[string]V) iter.Seq[string] { return maps.Keys(m) }
