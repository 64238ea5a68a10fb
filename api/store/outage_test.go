package store

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/store/storetest"
)

// longLease outlives whatever a busy machine does to a test: who loses it lost
// it by a fault.
const longLease = 20 * time.Second

// Each member may crash, etcd's leader first: nobody notices, apart from a
// write that was under way.
func TestClusterLosesAMember(t *testing.T) {
	t.Parallel()
	c := storetest.StartCluster(t, 0)
	w := startWork(t, c, longLease)
	first := c.Leader()
	for _, m := range append([]*storetest.Member{first}, c.Others(first)...) {
		m.Stop()
		w.goesOn("a crash")
		m.Start()
		w.goesOn("a return")
	}
	w.finishLed()
}

// A member that the others cannot reach, but its clients can, is as good as one
// that crashed: whoever asks it is told so, and asks another.
func TestClusterIsolatesAMember(t *testing.T) {
	t.Parallel()
	c := storetest.StartCluster(t, 0)
	w := startWork(t, c, longLease)
	first := c.Leader()
	for _, m := range []*storetest.Member{first, c.Others(first)[0]} {
		m.Isolate()
		w.goesOn("an isolation")
		w.goesOn("a while of isolation")
		m.Rejoin()
		w.goesOn("a return")
	}
	w.finishLed()
}

// A member that hangs is found out by its silence.
func TestClusterHasAHangingMember(t *testing.T) {
	t.Parallel()
	c := storetest.StartCluster(t, 0)
	w := startWork(t, c, longLease)
	m := c.Leader()
	m.Freeze()
	w.goesOn("a hang")
	m.Thaw()
	w.goesOn("a return")
	w.finishLed()
}

// Without a quorum everybody keeps what was known and says so, also when leases
// run out by the clock; with it all go on by themselves, and nothing was removed.
func TestClusterLosesItsQuorum(t *testing.T) {
	t.Parallel()
	c := storetest.StartCluster(t, 0)
	w := startWork(t, c, 5*time.Second)
	w.goesOn("the start")
	before := w.mirror.State()
	leader := c.Leader()
	other := c.Others(leader)[0]
	leader.Stop()
	other.Stop()

	stale := w.mirror.await("a stale state", func(st *api.State) bool { return st.Stale != nil })
	if stale.StaleSince.IsZero() || !strings.Contains(stale.Stale.Error(), "check that it runs, has a quorum") {
		t.Errorf("stale since %v: %v", stale.StaleSince, stale.Stale)
	}
	hasty := join(t, c, func(cfg *Config) { cfg.RequestTimeout = 500 * time.Millisecond })
	for name, write := range writes(t, hasty) {
		if err := write(); err == nil || !strings.Contains(err.Error(), "check that it runs, has a quorum") {
			t.Errorf("%s without a quorum: %v", name, err)
		}
	}
	eventually(t, "the leader's lease to run out", func() bool { return w.losses.Load() > 0 })
	if st := w.mirror.State(); st.Revision < before.Revision || st.Leader != before.Leader || st.LiveLBs["lb-1"] == nil || st.Plans[st.Leader] == nil {
		t.Errorf("state without a quorum: %+v", st)
	}

	other.Start()
	w.goesOn("the quorum's return")
	leader.Start()
	w.goesOn("the last member's return")
	w.finishLed()
	if lists := measure(t, w.metrics.lists); lists != 1 {
		t.Errorf("%v lists, want 1: the watch was not resumed", lists)
	}
}

// writes are all ways to write.
func writes(t testing.TB, s *Store) map[string]func() error {
	t.Helper()
	return map[string]func() error{
		"update": func() error {
			_, err := s.Update(t.Context(), func(tx *Tx) error { tx.PutIntent(depooled(2, "disk")); return nil })
			return err
		},
		"paths":   func() error { return s.PutPaths(t.Context(), &api.PathObservation{LB: "lb-1"}) },
		"server":  func() error { return s.PutServer(t.Context(), &api.ServerObservation{Server: "rs-1"}) },
		"applied": func() error { return s.PutApplied(t.Context(), &api.Applied{Pool: "edge", LB: "lb-1"}) },
		"event":   func() error { return s.AppendEvent(t.Context(), api.Event{By: "op"}) },
		"campaign": func() error {
			_, err := s.Campaign(t.Context(), "ctl-9", time.Second)
			return err
		},
	}
}

// All members are replaced, one after the other, while everybody works on. Who
// was away meanwhile, and whose revision was compacted, reads anew: it is the
// same store.
func TestClusterIsReplaced(t *testing.T) {
	t.Parallel()
	c := storetest.StartCluster(t, 0)
	w := startWork(t, c, longLease)
	absent := join(t, c).Mirror(MirrorOptions{})
	first := run(t, absent)
	first.awaitCurrent()
	first.stop()
	for _, m := range append([]*storetest.Member{c.Leader()}, c.Others(c.Leader())...) {
		m.Replace()
		w.goesOn("a replacement")
	}
	w.finishLed()
	last := update(t, w.store, func(tx *Tx) { tx.Delete(realServer(0)) })
	compact(t, w.store)
	st := run(t, absent).await("what happened meanwhile", func(st *api.State) bool { return st.Revision >= last && current(st) })
	if st.RealServers["rs-0"] != nil || len(st.RealServers) != realServers-1 || st.Intents["rs-1"] == nil {
		t.Errorf("state of who was away: %+v", st)
	}
}

// A full database takes no writes, and says the way out; all the rest goes on,
// leases too. Once there is room and the alarm is off, writes go on as well.
func TestClusterIsFull(t *testing.T) {
	t.Parallel()
	c := storetest.StartCluster(t, 1<<20)
	s := join(t, c)
	update(t, s, func(tx *Tx) { tx.Put(realServer(1)) })
	leader := lead(t, s, "ctl-1")
	if err := errors.Join(leader.PutPlan(t.Context(), plan("edge", 1)), leader.PutPlan(t.Context(), plan("old", 1))); err != nil {
		t.Fatal(err)
	}
	m := run(t, join(t, c).Mirror(MirrorOptions{}))
	registered(t, join(t, c), live(api.RoleLB, "lb-1"), longLease)
	m.await("the node", func(st *api.State) bool { return st.LiveLBs["lb-1"] != nil })
	fill(t, s)

	all := writes(t, s)
	all["plan"] = func() error { return leader.PutPlan(t.Context(), plan("edge", 2)) }
	for name, write := range all {
		err := write()
		if !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "alarm NOSPACE") || !strings.Contains(err.Error(), "compact and defragment") {
			t.Errorf("%s on a full store: %v", name, err)
		}
	}
	watching, enough := context.WithCancel(t.Context())
	watched := make(chan error)
	go func() { watched <- s.WatchAlarms(watching) }()
	eventually(t, "the alarm", func() bool { return slices.Equal(s.Alarms(), []string{"NOSPACE"}) })
	enough()
	if err := <-watched; err != nil {
		t.Error(err)
	}
	late := live(api.RoleLB, "lb-2")
	registered(t, join(t, c), late, longLease)
	if left, err := s.renewOnce(t.Context(), leader.tenure.lease, patience); err != nil || left <= 0 {
		t.Errorf("a lease on a full store: %d s left, %v", left, err)
	}
	if err := leader.DeletePlan(t.Context(), "old"); err != nil {
		t.Errorf("a deletion on a full store: %v", err)
	}
	st := m.await("the deletion", func(st *api.State) bool { return st.Plans["old"] == nil && current(st) })
	if st.LiveLBs["lb-1"] == nil || st.Plans["edge"].Generation != 1 {
		t.Errorf("state of a full store: %+v", st)
	}
	if st := run(t, join(t, c).Mirror(MirrorOptions{})).awaitCurrent(); st.RealServers["rs-1"] == nil {
		t.Errorf("a first reading of a full store: %+v", st)
	}

	empty(t, c, s)
	if err := s.lookAtAlarms(t.Context()); err != nil || len(s.Alarms()) > 0 {
		t.Errorf("disarmed alarms: %q, %v", s.Alarms(), err)
	}
	for name, write := range all {
		if name == "campaign" { // another leads
			continue
		}
		if err := write(); err != nil {
			t.Errorf("%s after the alarm: %v", name, err)
		}
	}
	m.await("the plan and the late node", func(st *api.State) bool {
		return st.Plans["edge"].Generation == 2 && st.LiveLBs["lb-1"] != nil && st.LiveLBs["lb-2"] != nil
	})
}

const filler = "/filler/"

// fill writes until etcd raises its alarm.
func fill(t testing.TB, s *Store) {
	t.Helper()
	page := strings.Repeat("x", 64<<10)
	for range 1000 {
		switch _, err := s.client.Put(t.Context(), filler, page); {
		case errors.Is(err, rpctypes.ErrNoSpace):
			return
		case err != nil:
			t.Fatal(err)
		}
	}
	t.Fatal("the quota is no limit")
}

// empty is the way out that the runbook gives.
func empty(t testing.TB, c *storetest.Cluster, s *Store) {
	t.Helper()
	compact(t, s)
	for _, m := range c.Members {
		if _, err := s.client.Defragment(t.Context(), m.Endpoint()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.client.AlarmDisarm(t.Context(), &clientv3.AlarmMember{}); err != nil {
		t.Fatal(err)
	}
}
