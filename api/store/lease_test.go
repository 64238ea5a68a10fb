package store

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/peerage/peerage/api"
)

// registered runs Register for the time of the test, or until stop, which
// returns its error.
func registered(t testing.TB, s *Store, l api.Live, ttl time.Duration) (ended <-chan error, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() { done <- s.Register(ctx, l, ttl) })
	stop = func() { cancel(); wg.Wait() }
	t.Cleanup(stop)
	return done, stop
}

// leaseOf is the lease of a key, 0 without one.
func leaseOf(t testing.TB, s *Store, key string) clientv3.LeaseID {
	t.Helper()
	r, err := s.client.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Kvs) == 0 {
		return 0
	}
	return clientv3.LeaseID(r.Kvs[0].Lease)
}

// A node is live as long as it says so, and again after its lease was lost, its
// key deleted, or etcd away for longer than the lease.
func TestRegister(t *testing.T) {
	t.Parallel()
	etcd, s := site(t)
	m := run(t, s.Mirror(MirrorOptions{}))
	key := liveKeys + "lbs/lb-1"
	ended, stop := registered(t, open(t, etcd.Endpoints()), live(api.RoleLB, "lb-1"), time.Second)
	there := func(st *api.State) bool { return current(st) && st.LiveLBs["lb-1"] != nil }
	gone := func(st *api.State) bool { return st.LiveLBs["lb-1"] == nil }
	if st := m.await("the node", there); st.LiveLBs["lb-1"].Version != "test" || st.LiveLBs["lb-1"].Schema != api.Schema {
		t.Errorf("live: %+v", st.LiveLBs["lb-1"])
	}

	first := leaseOf(t, s, key)
	if first == 0 {
		t.Fatal("the key has no lease")
	}
	if _, err := s.client.Revoke(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	m.await("the node to go", gone)
	m.await("the node after its lease was lost", there)
	if second := leaseOf(t, s, key); second == first || second == 0 {
		t.Errorf("lease %d after lease %d", second, first)
	}

	if _, err := s.client.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	m.await("the node to go", gone)
	m.await("the node after its key was deleted", there)

	etcd.Stop()
	m.await("etcd to go", func(st *api.State) bool { return st.Stale != nil })
	etcd.Start()
	m.await("the node after etcd was away", there)

	stop()
	if err := <-ended; err != nil {
		t.Errorf("register: %v", err)
	}
	m.await("the node to leave at once", gone)
}

// The lease of a node that was killed runs out by itself.
func TestLeaseRunsOut(t *testing.T) {
	t.Parallel()
	etcd, s := site(t)
	m := run(t, s.Mirror(MirrorOptions{}))
	dying := open(t, etcd.Endpoints())
	registered(t, dying, live(api.RoleRealServer, "rs-1"), time.Second)
	m.await("the node", func(st *api.State) bool { return st.LiveRealServers["rs-1"] != nil })
	_ = dying.Close() // it can renew and revoke no more
	m.await("the lease to run out", func(st *api.State) bool { return st.LiveRealServers["rs-1"] == nil })
}

// Of two processes with one name the newer stays, as after a restart; the older
// is told.
func TestRegisterOneNameTwice(t *testing.T) {
	t.Parallel()
	etcd, s := site(t)
	m := run(t, s.Mirror(MirrorOptions{}))
	older, newer := live(api.RoleLB, "lb-1"), live(api.RoleLB, "lb-1")
	newer.StartedAt, newer.Version = older.StartedAt.Add(time.Minute), "newer"
	ended, _ := registered(t, open(t, etcd.Endpoints()), older, time.Second)
	m.await("the older", func(st *api.State) bool { return st.LiveLBs["lb-1"] != nil })
	registered(t, open(t, etcd.Endpoints()), newer, time.Second)
	if err := <-ended; !errors.Is(err, ErrConflict) {
		t.Errorf("register: %v", err)
	}
	if st := m.awaitCurrent(); st.LiveLBs["lb-1"] == nil || st.LiveLBs["lb-1"].Version != "newer" {
		t.Errorf("live: %+v", st.LiveLBs["lb-1"])
	}
}

func TestRegisterRefuses(t *testing.T) {
	t.Parallel()
	s := open(t, []string{"http://127.0.0.1:1"}, func(c *Config) { c.RequestTimeout = 50 * time.Millisecond })
	if err := s.Register(t.Context(), live("kings", "lb-1"), time.Second); err == nil {
		t.Error("an unknown role was taken")
	}
	for _, name := range []string{"", "a/b", "../lb", "LB"} {
		if err := s.Register(t.Context(), live(api.RoleLB, name), time.Second); !errors.Is(err, errName) {
			t.Errorf("name %q: %v", name, err)
		}
	}
}
