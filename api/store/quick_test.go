package store

import (
	"errors"
	"testing"

	"github.com/peerage/peerage/api"
)

// A change on what the mirror knows is committed without reading the store, and
// only if the store still is what the mirror knew.
func TestQuickUpdate(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		// meanwhile happens in the store between the judgement and the commit.
		meanwhile func(t *testing.T, s *Store, l *Leadership)
		done      bool
	}{
		{"nothing happens", func(*testing.T, *Store, *Leadership) {}, true},
		{"a node says that it is alive", func(t *testing.T, s *Store, _ *Leadership) {
			put(t, s, liveKeys+"lb/lb-1", `{"schema":1,"name":"lb-1","role":"lb"}`)
		}, false},
		{"another verb", func(t *testing.T, s *Store, _ *Leadership) {
			other := open(t, s.cfg.Endpoints)
			update(t, other, func(tx *Tx) { tx.PutIntent(depooled(2, "other")) })
		}, false},
		{"a new plan", func(t *testing.T, _ *Store, l *Leadership) {
			if err := l.PutPlan(t.Context(), plan("edge", 2)); err != nil {
				t.Fatal(err)
			}
		}, false},
		{"a load balancer reports", func(t *testing.T, s *Store, _ *Leadership) {
			if err := s.PutApplied(t.Context(), &api.Applied{Pool: "edge", LB: "lb-1", Generation: 1}); err != nil {
				t.Fatal(err)
			}
		}, false},
		{"a measurement", func(t *testing.T, s *Store, _ *Leadership) {
			if err := s.PutServer(t.Context(), &api.ServerObservation{Server: "rs-1"}); err != nil {
				t.Fatal(err)
			}
		}, false},
		{"what was written last is gone, as in a backup", func(t *testing.T, s *Store, l *Leadership) {
			if _, err := s.client.Delete(t.Context(), planKeys+"edge"); err != nil {
				t.Fatal(err)
			}
		}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, s := site(t)
			m := run(t, s.Mirror(MirrorOptions{}))
			update(t, s, func(tx *Tx) { tx.Put(realServer(1)); tx.Put(realServer(2)) })
			l := lead(t, s, "ctl-1")
			if err := l.PutPlan(t.Context(), plan("edge", 1)); err != nil {
				t.Fatal(err)
			}
			known := m.await("the plan", func(st *api.State) bool { return current(st) && st.Plans["edge"] != nil })
			revision, done, err := s.quickUpdate(t.Context(), func(tx *Tx) error {
				if tx.State().Revision < known.Revision {
					t.Errorf("judged at revision %d, before %d", tx.State().Revision, known.Revision)
				}
				tc.meanwhile(t, s, l)
				tx.PutIntent(depooled(1, "test"))
				return nil
			})
			if err != nil || done != tc.done {
				t.Fatalf("done %t, %v; want %t", done, err, tc.done)
			}
			if done {
				m.await("the intent", func(st *api.State) bool { return st.Revision >= revision && st.Intents["rs-1"] != nil })
				return
			}
			kvs, _, err := s.list(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, kv := range kvs {
				if string(kv.Key) == intentKeys+"rs-1" {
					t.Error("it was committed all the same")
				}
			}
		})
	}
}

// A refusal on what the mirror knows is not the last word.
func TestRefusalsAreFresh(t *testing.T) {
	t.Parallel()
	_, s := site(t)
	m := run(t, s.Mirror(MirrorOptions{}))
	update(t, s, func(tx *Tx) { tx.Put(realServer(1)) })
	m.await("the real server", func(st *api.State) bool { return current(st) && len(st.RealServers) == 1 })
	refused := errors.New("refused")
	runs := 0
	_, err := s.Update(t.Context(), func(tx *Tx) error {
		if runs++; runs == 1 {
			return refused
		}
		tx.PutIntent(depooled(1, "test"))
		return nil
	})
	if err != nil || runs != 2 {
		t.Errorf("%v after %d runs", err, runs)
	}
}
