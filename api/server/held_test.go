package server_test

import (
	"context"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/server"
	"github.com/peerage/peerage/api/server/servertest"
	"github.com/peerage/peerage/api/store"
	"github.com/peerage/peerage/api/store/storetest"
)

// serveStore serves the API of a store, with a mirror that has a cache file,
// until the test or the returned function ends it.
func serveStore(t *testing.T, cache string) (*caller, *store.Mirror, func()) {
	t.Helper()
	st, err := store.Open(store.Config{Endpoints: storetest.Start(t), RequestTimeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	mirror := st.Mirror(store.MirrorOptions{CacheFile: cache})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = mirror.Run(ctx) // it returns nil
	}()
	s, err := server.New(server.Config{Name: "ctl-1", Store: st, Mirror: mirror, Planner: servertest.Planner{}})
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s)
	stop := func() {
		cancel()
		<-done
	}
	t.Cleanup(func() {
		h.Close()
		stop()
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return &caller{t: t, url: h.URL, doc: readDocument(t)}, mirror, stop
}

func awaitMirror(t *testing.T, m *store.Mirror, what string, holds func(*api.State) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	changed, stop := m.Subscribe()
	defer stop()
	for !holds(m.State()) {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		case <-changed:
		}
	}
}

// TestAnotherStore gives a controller a store that is not the one it knew.
func TestAnotherStore(t *testing.T) {
	cache := filepath.Join(t.TempDir(), "mirror.json")
	c, mirror, stop := serveStore(t, cache)
	awaitMirror(t, mirror, "the store", func(s *api.State) bool { return s.Synced })
	do[api.ApplyResult](c, "POST", "/v1/apply", site)
	awaitMirror(t, mirror, "what was applied", func(s *api.State) bool { return len(s.Pools) == 1 })
	stop() // the cache is written by then

	c, mirror, _ = serveStore(t, cache)
	awaitMirror(t, mirror, "the difference", func(s *api.State) bool { return s.Held != nil })
	st := do[api.Status](c, "GET", "/v1/status", "")
	if len(st.Pools) != 1 || st.Warnings[0].Code != api.WarnStoreHeld {
		t.Errorf("what was known is not kept: %+v", st)
	}
	e := c.refused("POST", "/v1/apply", strings.ReplaceAll(site, "maxDepooled: 1", "maxDepooled: 2"), 409, api.ErrorStoreHeld, "store accept --accept-risk=restored-store")
	if len(e.Refusals) != 1 || e.Refusals[0].Risk != api.RiskRestoredStore {
		t.Errorf("the refusal is %+v", e)
	}
	c.refused("POST", "/v1/realservers/rs-1/depool", `{"reason":"x"}`, 409, api.ErrorStoreHeld)
	c.refused("POST", "/v1/store/accept", ``, 409, api.ErrorStoreHeld)
	c.refused("POST", "/v1/store/accept", `{"acceptRisk":["empty-pool"]}`, 409, api.ErrorStoreHeld)
	out := do[api.StoreAcceptResult](c, "POST", "/v1/store/accept", `{"acceptRisk":["restored-store"],"reason":"a new one"}`)
	if !out.Changed || out.After.Reason != "a new one" {
		t.Errorf("%+v", out)
	}
	awaitMirror(t, mirror, "the acceptance", func(s *api.State) bool { return s.Held == nil && s.Stale == nil })
	do[api.ApplyResult](c, "POST", "/v1/apply", site)
	if out := do[api.StoreAcceptResult](c, "POST", "/v1/store/accept", `{"acceptRisk":["restored-store"]}`); out.Changed {
		t.Errorf("accepted twice: %+v", out)
	}
}
