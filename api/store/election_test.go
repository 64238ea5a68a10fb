package store

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/peerage/peerage/api"
)

// campaign stands in a goroutine that ends with the test.
func campaign(t testing.TB, s *Store, name string) <-chan *Leadership {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	elected, done := make(chan *Leadership, 1), make(chan struct{})
	go func() {
		defer close(done)
		l, err := s.Campaign(ctx, name, 2*time.Second)
		if err == nil {
			elected <- l
		} else if ctx.Err() == nil {
			t.Errorf("campaign of %s: %v", name, err)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return elected
}

func within[T any](t testing.TB, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

// A leader that was deposed cannot write, whether it knows of it or not.
func TestLeaderIsFenced(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		depose func(t *testing.T, s *Store, l *Leadership)
	}{
		{"resigned", func(t *testing.T, _ *Store, l *Leadership) {
			if err := l.Resign(t.Context()); err != nil {
				t.Fatal(err)
			}
		}},
		{"lease lost", func(t *testing.T, s *Store, l *Leadership) {
			if _, err := s.client.Revoke(t.Context(), l.tenure.lease); err != nil {
				t.Fatal(err)
			}
		}},
		{"key deleted", func(t *testing.T, s *Store, l *Leadership) {
			if _, err := s.client.Delete(t.Context(), l.key); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			etcd, s := site(t)
			m := run(t, s.Mirror(MirrorOptions{}))
			old := within(t, "the first leader", campaign(t, open(t, etcd.Endpoints()), "ctl-1"))
			if err := old.PutPlan(t.Context(), plan("edge", 1)); err != nil {
				t.Fatal(err)
			}
			waiting := campaign(t, open(t, etcd.Endpoints()), "ctl-2")
			m.await("the first leader's plan", func(st *api.State) bool { return st.Leader == "ctl-1" && st.Plans["edge"] != nil })
			select {
			case <-waiting:
				t.Fatal("two leaders")
			default:
			}
			c.depose(t, s, old)
			young := within(t, "the second leader", waiting)
			if err := young.PutPlan(t.Context(), plan("edge", 2)); err != nil {
				t.Fatal(err)
			}
			if err := old.PutPlan(t.Context(), plan("edge", 9)); !errors.Is(err, ErrNotLeader) {
				t.Errorf("plan of the old leader: %v", err)
			}
			if err := old.DeletePlan(t.Context(), "edge"); !errors.Is(err, ErrNotLeader) {
				t.Errorf("deletion by the old leader: %v", err)
			}
			within(t, "the old leader to know", old.Lost())
			st := m.await("the second leader", func(st *api.State) bool {
				return st.Leader == "ctl-2" && st.Plans["edge"].Generation != 1
			})
			if st.Plans["edge"].Generation != 2 || st.LeaderRevision != young.Revision() {
				t.Errorf("plan %d, leader since %d, want 2 and %d", st.Plans["edge"].Generation, st.LeaderRevision, young.Revision())
			}
			if err := young.DeletePlan(t.Context(), "edge"); err != nil {
				t.Fatal(err)
			}
			m.await("the deletion", func(st *api.State) bool { return st.Plans["edge"] == nil })
			if err := young.Resign(t.Context()); err != nil {
				t.Fatal(err)
			}
			m.await("no leader", func(st *api.State) bool { return st.Leader == "" })
		})
	}
}

// A restart of etcd within the lease costs nobody the leadership.
func TestLeaderSurvivesRestart(t *testing.T) {
	t.Parallel()
	etcd, s := site(t)
	l := lead(t, s, "ctl-1")
	etcd.Restart()
	eventually(t, "a plan", func() bool { return l.PutPlan(t.Context(), plan("edge", 1)) == nil })
	select {
	case <-l.Lost():
		t.Error("leadership lost")
	default:
	}
}

// A leader that cannot reach etcd knows within its lease that it leads no more.
func TestLeaderWithoutEtcd(t *testing.T) {
	t.Parallel()
	etcd, _ := site(t)
	s := open(t, etcd.Endpoints(), func(c *Config) { c.RequestTimeout = 200 * time.Millisecond })
	l, err := s.Campaign(t.Context(), "ctl-1", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	etcd.Stop()
	within(t, "the end of the leadership", l.Lost())
	if err := l.PutPlan(t.Context(), plan("edge", 1)); err == nil || errors.Is(err, ErrNotLeader) {
		t.Errorf("plan without etcd: %v", err)
	}
	if err := l.Resign(t.Context()); err == nil {
		t.Error("resigned without etcd")
	}
}

// A candidate that is told to stop leaves nothing behind.
func TestCampaignEnds(t *testing.T) {
	t.Parallel()
	etcd, s := site(t)
	first := lead(t, s, "ctl-1")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { _, err := open(t, etcd.Endpoints()).Campaign(ctx, "ctl-2", 5*time.Second); done <- err }()
	candidates := func() int64 {
		r, err := s.client.Get(t.Context(), leaderKeys+"/", withCount()...)
		if err != nil {
			t.Fatal(err)
		}
		return r.Count
	}
	eventually(t, "two candidates", func() bool { return candidates() == 2 })
	cancel()
	if err := within(t, "the end of the campaign", done); !errors.Is(err, context.Canceled) {
		t.Errorf("campaign: %v", err)
	}
	if n := candidates(); n != 1 {
		t.Errorf("%d candidates", n)
	}
	if err := first.PutPlan(t.Context(), plan("edge", 1)); err != nil {
		t.Error(err)
	}
}
