package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/store/storetest"
)

// accept writes what the verb does: it names the store that answers.
func accept(t testing.TB, s *Store) {
	t.Helper()
	update(t, s, func(tx *Tx) {
		st := tx.State()
		tx.PutStoreIntent(&api.StoreIntent{Mark: api.Mark{By: "op", Reason: "restored", At: time.Now()},
			ClusterID: formatCluster(st.ClusterID), Revision: st.Revision})
		tx.Event(api.Event{By: "op", Verb: "store-accept"})
	})
}

// A store that cannot be the known one is held: nothing of it is taken, nothing
// is written to it, until operators name it. The known state is in memory or
// comes from the cache.
func TestRestoredStoreIsHeld(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name    string
		restore func(t *testing.T, etcd *storetest.Server, backup string, s *Store)
	}{
		{"another cluster", func(_ *testing.T, etcd *storetest.Server, _ string, _ *Store) {
			etcd.Wipe()
			etcd.Start()
		}},
		{"revision back", func(_ *testing.T, etcd *storetest.Server, backup string, _ *Store) {
			etcd.Restore(backup)
			etcd.Start()
		}},
		{"revision overtaken", func(t *testing.T, etcd *storetest.Server, backup string, s *Store) {
			etcd.Restore(backup)
			etcd.Start()
			for n := range 50 { // a store without a mirror has nothing to compare
				put(t, s, pathKeys+"lb-9", fmt.Sprintf(`{"schema":1,"lb":"lb-9","at":"2026-01-01T00:00:%02dZ"}`, n))
			}
		}},
	}
	for _, c := range cases {
		for _, from := range []string{"memory", "cache"} {
			t.Run(c.name+"/"+from, func(t *testing.T) {
				etcd, past := site(t)
				update(t, past, func(tx *Tx) { tx.Put(realServer(1)); tx.Put(realServer(2)) })
				etcd.Stop()
				backup := etcd.Backup()
				etcd.Start()
				update(t, past, func(tx *Tx) { tx.Put(realServer(3)); tx.Delete(realServer(1)) })
				last := update(t, past, func(tx *Tx) { tx.PutIntent(depooled(2, "disk")) })

				options := MirrorOptions{CacheFile: filepath.Join(t.TempDir(), "cache")}
				s := open(t, etcd.Endpoints())
				m := run(t, s.Mirror(options))
				before := m.await("everything", func(st *api.State) bool { return current(st) && st.Revision >= last })
				m.stop()
				etcd.Stop()
				c.restore(t, etcd, backup, past)
				if from == "cache" {
					m = run(t, s.Mirror(options))
				} else {
					m = run(t, m.Mirror)
				}

				st := m.await("a held state", func(st *api.State) bool { return st.Held != nil })
				if !errors.Is(st.Held, ErrHeld) {
					t.Errorf("held: %v", st.Held)
				}
				if st.RealServers["rs-1"] != nil || st.RealServers["rs-3"] == nil || st.Intents["rs-2"] == nil ||
					st.ClusterID != before.ClusterID || st.Revision < last {
					t.Errorf("the held state is not the one from before: %+v", st)
				}
				if _, err := s.Update(t.Context(), func(tx *Tx) error { tx.Put(realServer(4)); return nil }); !errors.Is(err, ErrHeld) {
					t.Errorf("update of a held store: %v", err)
				}
				if err := lead(t, s, "ctl-1").PutPlan(t.Context(), plan("edge", 1)); !errors.Is(err, ErrHeld) {
					t.Errorf("plan into a held store: %v", err)
				}

				accept(t, s)
				st = m.await("acceptance", func(st *api.State) bool { return current(st) && st.StoreIntent != nil })
				if c.name == "another cluster" && len(st.RealServers) != 0 || c.name != "another cluster" && st.RealServers["rs-1"] == nil {
					t.Errorf("the accepted state is not the restored one: %+v", st)
				}
				last = update(t, s, func(tx *Tx) { tx.Put(realServer(4)) })
				m.await("the next change", func(st *api.State) bool { return current(st) && st.Revision >= last })
			})
		}
	}
}

// The store is replaced while a mirror runs.
func TestRestoredStoreWhileRunning(t *testing.T) {
	t.Parallel()
	etcd, s := site(t)
	update(t, s, func(tx *Tx) { tx.Put(realServer(1)) })
	m := run(t, s.Mirror(MirrorOptions{}))
	m.awaitCurrent()
	etcd.Stop()
	etcd.Wipe()
	etcd.Start()
	st := m.await("a held state", func(st *api.State) bool { return st.Held != nil })
	if st.RealServers["rs-1"] == nil || st.Stale != nil {
		t.Errorf("held state: %+v", st)
	}
	// Lost etcd does not make it believed.
	etcd.Stop()
	m.await("held and stale", func(st *api.State) bool { return st.Held != nil && st.Stale != nil })
	etcd.Start()
	accept(t, s)
	if st := m.awaitCurrent(); len(st.RealServers) != 0 {
		t.Errorf("accepted state: %+v", st)
	}
}

// An acceptance that came out of the backup is none.
func TestOldAcceptanceDoesNotCount(t *testing.T) {
	t.Parallel()
	etcd, s := site(t)
	accept(t, s)
	etcd.Stop()
	backup := etcd.Backup()
	etcd.Start()
	last := update(t, s, func(tx *Tx) { tx.Put(realServer(1)) })
	m := run(t, s.Mirror(MirrorOptions{}))
	m.await("everything", func(st *api.State) bool { return current(st) && st.Revision >= last })
	etcd.Stop()
	etcd.Restore(backup)
	etcd.Start()
	m.await("a held state", func(st *api.State) bool { return st.Held != nil })
	accept(t, s)
	m.awaitCurrent()
}

// The same store, back after a restart, is believed at once.
func TestSameStoreIsNotHeld(t *testing.T) {
	t.Parallel()
	etcd, s := site(t)
	m := run(t, s.Mirror(MirrorOptions{CacheFile: filepath.Join(t.TempDir(), "cache")}))
	for n := range 5 {
		last := update(t, s, func(tx *Tx) { tx.Put(realServer(n + 1)); tx.Delete(realServer(n)) })
		m.await("the change", func(st *api.State) bool { return current(st) && st.Revision >= last })
		etcd.Restart()
		st := m.awaitCurrent()
		if st.Held != nil {
			t.Fatal(st.Held)
		}
	}
}

func TestContradicts(t *testing.T) {
	t.Parallel()
	all := func(string) bool { return true }
	known := map[string]mark{"a": {Create: 2, Mod: 8, Version: 4}}
	for _, c := range []struct {
		name string
		now  map[string]mark
		held bool
	}{
		{"the same", map[string]mark{"a": {2, 8, 4}}, false},
		{"changed since", map[string]mark{"a": {2, 12, 5}}, false},
		{"deleted since", map[string]mark{}, false},
		{"created again since", map[string]mark{"a": {11, 12, 2}}, false},
		{"another since", map[string]mark{"a": {2, 8, 4}, "b": {11, 11, 1}}, false},
		{"older", map[string]mark{"a": {2, 6, 3}}, true},
		{"a change undone, then another", map[string]mark{"a": {2, 12, 4}}, true},
		{"came back", map[string]mark{"a": {2, 8, 4}, "b": {3, 3, 1}}, true},
		{"came back and changed", map[string]mark{"a": {2, 8, 4}, "b": {3, 14, 2}}, true},
		{"created otherwise", map[string]mark{"a": {5, 12, 9}}, true},
	} {
		if why := contradicts(keyValues(c.now), known, 10, all); (why != nil) != c.held {
			t.Errorf("%s: %v", c.name, why)
		}
	}
}
