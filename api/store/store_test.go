package store

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/store/storetest"
)

// patience bounds what is awaited; nothing is expected to take that long.
const patience = 30 * time.Second

func open(t testing.TB, endpoints []string, change ...func(*Config)) *Store {
	t.Helper()
	level := hclog.Off
	if testing.Verbose() {
		level = hclog.Info
	}
	cfg := Config{Endpoints: endpoints, RequestTimeout: 2 * time.Second,
		Logger: hclog.New(&hclog.LoggerOptions{Name: t.Name(), Level: level})}
	for _, c := range change {
		c(&cfg)
	}
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// running is a mirror with its goroutine.
type running struct {
	*Mirror
	t    testing.TB
	stop func()
}

// run starts a mirror for the time of the test, or until stop.
func run(t testing.TB, m *Mirror) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := m.Run(ctx); err != nil {
			t.Errorf("mirror: %v", err)
		}
	})
	stop := sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(stop)
	return &running{m, t, stop}
}

// await waits for a state of which ok is true.
func (r *running) await(what string, ok func(*api.State) bool) *api.State {
	r.t.Helper()
	changed, cancel := r.Subscribe()
	defer cancel()
	timeout := time.After(patience)
	for {
		select {
		case <-changed:
			if st := r.State(); ok(st) {
				return st
			}
		case <-timeout:
			st := r.State()
			r.t.Fatalf("waited in vain for %s: revision %d synced %v stale %v held %v bad %v", what, st.Revision, st.Synced, st.Stale, st.Held, st.Bad)
		}
	}
}

func current(st *api.State) bool { return st.Synced && st.Stale == nil && st.Held == nil }

func (r *running) awaitCurrent() *api.State {
	r.t.Helper()
	return r.await("a current state", current)
}

func update(t testing.TB, s *Store, fn func(tx *Tx)) int64 {
	t.Helper()
	revision, err := s.Update(t.Context(), func(tx *Tx) error { fn(tx); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

// put writes past all checks.
func put(t testing.TB, s *Store, key, value string) int64 {
	t.Helper()
	r, err := s.client.Put(t.Context(), key, value)
	if err != nil {
		t.Fatal(err)
	}
	return r.Header.Revision
}

func compact(t testing.TB, s *Store) {
	t.Helper()
	now, err := s.ping(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.client.Compact(t.Context(), now.Revision, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
}

func realServer(n int) *api.RealServer {
	return &api.RealServer{
		Meta: api.Meta{Name: fmt.Sprintf("rs-%d", n)},
		Spec: api.RealServerSpec{Addresses: []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(n)})}, Weight: 1},
	}
}

func depooled(n int, reason string) *api.ServerIntent {
	return &api.ServerIntent{Server: fmt.Sprintf("rs-%d", n), Depooled: &api.Mark{By: "op", Reason: reason, At: time.Now()}}
}

func plan(pool string, generation int64) *api.Plan {
	return &api.Plan{Schema: api.Schema, Pool: pool, Generation: generation, Port: 179, Scheduler: api.SchedulerMH, Forwarding: api.ForwardingDSR,
		VIPs: []netip.Addr{netip.MustParseAddr("198.51.100.1")}}
}

func live(role api.Role, name string) api.Live {
	return api.Live{Name: name, Role: role, Version: "test", BootID: "boot", StartedAt: time.Unix(1700000000, 0)}
}

// lead makes a leader for the time of the test.
func lead(t testing.TB, s *Store, name string) *Leadership {
	t.Helper()
	l, err := s.Campaign(t.Context(), name, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Resign(context.Background()) })
	return l
}

// site starts an etcd and opens it.
func site(t testing.TB) (*storetest.Server, *Store) {
	t.Helper()
	etcd := storetest.StartServer(t)
	return etcd, open(t, etcd.Endpoints())
}

// measure reads a gauge or a counter.
func measure(t testing.TB, m prometheus.Metric) float64 {
	t.Helper()
	var v dto.Metric
	if err := m.Write(&v); err != nil {
		t.Fatal(err)
	}
	return v.GetGauge().GetValue() + v.GetCounter().GetValue()
}

// eventually waits for what nothing signals.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
