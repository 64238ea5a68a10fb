package controller

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/store"
	"github.com/peerage/peerage/api/store/storetest"
)

// patience bounds what is awaited; nothing is expected to take that long.
const patience = 30 * time.Second

// site is a store with a pool, and whoever works on it.
type site struct {
	t      testing.TB
	etcd   *storetest.Server // nil on a cluster
	access store.Config      // without a logger
	store  *store.Store
	mirror *store.Mirror
}

func newSite(t testing.TB) *site {
	t.Helper()
	etcd := storetest.StartServer(t)
	s := &site{t: t, etcd: etcd, access: store.Config{Endpoints: etcd.Endpoints(), RequestTimeout: 2 * time.Second}}
	s.store, s.mirror = s.client("observer")
	return s
}

// client opens the store with a running mirror, for the time of the test.
func (s *site) client(name string) (*store.Store, *store.Mirror) {
	s.t.Helper()
	cfg := s.access
	cfg.Logger = logger(name)
	st, err := store.Open(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	m := st.Mirror(store.MirrorOptions{})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = m.Run(ctx) })
	s.t.Cleanup(func() {
		cancel()
		wg.Wait()
		_ = st.Close()
	})
	return st, m
}

func logger(name string) hclog.Logger {
	level := hclog.Off
	if testing.Verbose() {
		level = hclog.Debug
	}
	return hclog.New(&hclog.LoggerOptions{Name: name, Level: level})
}

// start runs a controller; stop ends it and waits.
func (s *site) start(name string) (stop func()) {
	s.t.Helper()
	return s.startWith(name, nil)
}

func (s *site) startWith(name string, metrics *Metrics) (stop func()) {
	s.t.Helper()
	st, m := s.client(name)
	c := New(Config{
		Live:  api.Live{Schema: api.Schema, Name: name, Role: api.RoleController, StartedAt: time.Now()},
		Store: st, Mirror: m, TTL: 2 * time.Second, Logger: logger(name), Metrics: metrics,
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			select {
			case err := <-done:
				if err != nil {
					s.t.Errorf("controller %s: %v", name, err)
				}
			case <-time.After(patience):
				s.t.Errorf("controller %s does not stop", name)
			}
		})
	}
	s.t.Cleanup(stop)
	return stop
}

// await waits until the store's state has a property.
func (s *site) await(what string, ok func(st *api.State) bool) *api.State {
	s.t.Helper()
	changed, cancel := s.mirror.Subscribe()
	defer cancel()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		if st := s.mirror.State(); ok(st) {
			return st
		}
		select {
		case <-changed:
		case <-deadline.C:
			s.t.Fatalf("awaited in vain: %s; the plan is %s", what, describe(s.mirror.State().Plans["edge"]))
		}
	}
}

// plan waits for a plan of pool edge with a property.
func (s *site) plan(what string, ok func(p *api.Plan) bool) *api.Plan {
	s.t.Helper()
	return s.await(what, func(st *api.State) bool { return st.Plans["edge"] != nil && ok(st.Plans["edge"]) }).Plans["edge"]
}

func (s *site) leader(name string) {
	s.t.Helper()
	s.await("leader "+name, func(st *api.State) bool { return st.Leader == name })
}

func describe(p *api.Plan) string {
	if p == nil {
		return "missing"
	}
	text := fmt.Sprintf("generation %d:", p.Generation)
	for _, d := range p.Destinations {
		text += fmt.Sprintf(" %s=%d(%s)", d.Server, d.Weight, d.State)
	}
	if p.Held != nil {
		text += " held by " + p.Held.Guard
	}
	return text
}

func (s *site) update(fn func(tx *store.Tx)) {
	s.t.Helper()
	if _, err := s.store.Update(s.t.Context(), func(tx *store.Tx) error { fn(tx); return nil }); err != nil {
		s.t.Fatal(err)
	}
}

// configure applies a site with a pool of n real servers and two load balancers.
func (s *site) configure(n int) {
	s.t.Helper()
	s.update(func(tx *store.Tx) {
		pool := edge(n)
		for i := range 2 {
			lb := &api.LoadBalancer{Meta: api.Meta{Name: fmt.Sprintf("lb-%d", i+1)},
				Spec: api.LoadBalancerSpec{Interface: "eth0", Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 1, byte(i + 1)})}}}
			lb.Default()
			tx.Put(lb)
		}
		for i, name := range pool.Spec.RealServers {
			rs := &api.RealServer{Meta: api.Meta{Name: name},
				Spec: api.RealServerSpec{Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 2, byte(i + 1)})}}}
			rs.Default()
			tx.Put(rs)
		}
		tx.Put(pool)
	})
}

// edge is a pool of n real servers.
func edge(n int) *api.Pool {
	pool := &api.Pool{Meta: api.Meta{Name: "edge"}, Spec: api.PoolSpec{
		VIPs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, Speaker: api.Speaker{LocalAS: 64500}}}
	for i := range n {
		pool.Spec.RealServers = append(pool.Spec.RealServers, fmt.Sprintf("rs-%d", i+1))
	}
	pool.Default()
	return pool
}

func (s *site) depool(server string) {
	s.t.Helper()
	s.update(func(tx *store.Tx) {
		tx.PutIntent(&api.ServerIntent{Schema: api.Schema, Server: server, Depooled: &api.Mark{By: "alice", Reason: "disk", At: time.Now()}})
	})
}

func (s *site) undo(server string) {
	s.t.Helper()
	s.update(func(tx *store.Tx) { tx.PutIntent(&api.ServerIntent{Schema: api.Schema, Server: server}) })
}

func state(p *api.Plan, server string) api.ServerState {
	for _, d := range p.Destinations {
		if d.Server == server {
			return d.State
		}
	}
	return ""
}

// addPool adds a pool like edge on a port of its own.
func addPool(name string) func(tx *store.Tx) {
	return func(tx *store.Tx) {
		pool := edge(2)
		pool.Name = name
		pool.Spec.Port = uint16(1000 + len(tx.State().Pools))
		pool.Spec.RealServers = []string{"rs-1", "rs-2"}
		tx.Put(pool)
	}
}
