package embed_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/store"
	"github.com/peerage/peerage/api/store/embed"
)

func start(t *testing.T, dir, listen string) *embed.Server {
	t.Helper()
	s, err := embed.Start(t.Context(), embed.Config{Dir: dir, ListenClient: listen, Tick: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// What was written is there after a restart, and a new directory is another
// cluster: both must be told apart by those who knew the old one.
func TestDataIsDurable(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "b")
	if embed.HasData(dir) {
		t.Error("a directory that does not exist has data")
	}
	first := start(t, dir, "http://127.0.0.1:0")
	url := first.Endpoints()[0]
	st, err := store.Open(store.Config{Endpoints: []string{url}})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	read := func() (cluster uint64, depooled bool) {
		t.Helper()
		if _, err := st.Update(t.Context(), func(tx *store.Tx) error {
			cluster, depooled = tx.State().ClusterID, tx.State().Intents["rs-1"] != nil
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return cluster, depooled
	}
	if _, err := st.Update(t.Context(), func(tx *store.Tx) error {
		tx.PutIntent(&api.ServerIntent{Server: "rs-1", Depooled: &api.Mark{By: "op"}})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	cluster, _ := read()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if !embed.HasData(dir) {
		t.Error("the directory has no data")
	}
	second := start(t, dir, url)
	if again, depooled := read(); again != cluster || !depooled {
		t.Errorf("after a restart: cluster %x, was %x; the intent is there: %v", again, cluster, depooled)
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	start(t, filepath.Join(t.TempDir(), "new"), url)
	if other, depooled := read(); other == cluster || depooled {
		t.Errorf("a new directory is cluster %x, was %x; the intent is there: %v", other, cluster, depooled)
	}
}

// Close does not wait for those who watch.
func TestCloseCutsWatches(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), "http://127.0.0.1:0")
	st, err := store.Open(store.Config{Endpoints: s.Endpoints()})
	if err != nil {
		t.Fatal(err)
	}
	m := st.Mirror(store.MirrorOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	defer func() {
		cancel()
		<-done
		_ = st.Close()
	}()
	changed, unsubscribe := m.Subscribe()
	defer unsubscribe()
	for !m.State().Synced {
		<-changed
	}
	begin := time.Now()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// The server's own patience with open streams is more than five seconds.
	if took := time.Since(begin); took > 4*time.Second {
		t.Errorf("closing took %v", took)
	}
}

func TestStartRefuses(t *testing.T) {
	t.Parallel()
	used := t.TempDir()
	busy := start(t, used, "http://127.0.0.1:0")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		cfg  embed.Config
		want string
	}{
		"no directory":            {embed.Config{ListenClient: "http://127.0.0.1:0"}, "no data directory"},
		"no URL":                  {embed.Config{Dir: t.TempDir(), ListenClient: "127.0.0.1:2379"}, "write one such as http://127.0.0.1:2379"},
		"https without a key":     {embed.Config{Dir: t.TempDir(), ListenClient: "https://127.0.0.1:0"}, "give a certificate"},
		"a certificate for http":  {embed.Config{Dir: t.TempDir(), ListenClient: "http://127.0.0.1:0", CertFile: "x"}, "give a certificate"},
		"a file as the directory": {embed.Config{Dir: file, ListenClient: "http://127.0.0.1:0"}, file},
		"a directory in use":      {embed.Config{Dir: used, ListenClient: "http://127.0.0.1:0"}, "stop it first"},
		"a port in use":           {embed.Config{Dir: t.TempDir(), ListenClient: busy.Endpoints()[0]}, "address already in use"},
		"a missing certificate":   {embed.Config{Dir: t.TempDir(), ListenClient: "https://127.0.0.1:0", CertFile: "/none.crt", KeyFile: "/none.key"}, "/none.crt"},
	} {
		s, err := embed.Start(t.Context(), c.cfg)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if s != nil {
			_ = s.Close()
		}
	}
	cause := errors.New("changed my mind")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if _, err := embed.Start(ctx, embed.Config{Dir: t.TempDir(), ListenClient: "http://127.0.0.1:0"}); !errors.Is(err, cause) {
		t.Errorf("a start that was given up: %v", err)
	}
}
