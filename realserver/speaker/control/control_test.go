package control_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/peerage/peerage/api/node"
	"github.com/peerage/peerage/realserver/speaker/control"
)

const id = "bulk,192.0.2.1,198.51.100.7"

// fake is a speaker with one session of a number of routes.
type fake struct {
	config control.Config
	set    bool
	routes int
	broken error // after the routes
	held   chan struct{}
	reset  string
}

func (f *fake) Set(_ context.Context, c control.Config) (control.ConfigResult, error) {
	if c.Additive {
		return control.ConfigResult{}, fmt.Errorf("%w: it would end 1 session", control.ErrRefused)
	}
	f.config, f.set = c, true
	return control.ConfigResult{Changed: true, Problems: []string{"a key is missing"}}, nil
}
func (f *fake) Config() (control.Config, bool) { return f.config, f.set }
func (f *fake) Status() control.Status {
	return control.Status{Schema: control.Schema, Pools: map[string]control.PoolCount{"bulk": {Sessions: 2, Established: 1}}}
}
func (f *fake) Sessions(flt control.Filter) []control.Session {
	if flt.Customer == "acme" && flt.Pool == "bulk" && flt.Peer == netip.MustParseAddr("198.51.100.7") {
		return []control.Session{{ID: id, State: "established"}}
	}
	return nil
}
func (f *fake) known(of string) error {
	if of != id {
		return fmt.Errorf("session %s: %w", of, control.ErrNotFound)
	}
	return nil
}
func (f *fake) Session(of string) (control.Session, error) {
	return control.Session{ID: id}, f.known(of)
}
func (f *fake) Reset(of, text string) error {
	f.reset = text
	return f.known(of)
}
func (f *fake) Routes(ctx context.Context, of string) (iter.Seq2[control.Route, error], error) {
	return func(yield func(control.Route, error) bool) {
		for i := range f.routes {
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32)
			if !yield(control.Route{Prefix: p}, nil) {
				return
			}
		}
		if f.held != nil {
			select {
			case <-f.held:
			case <-ctx.Done():
			}
		}
		if f.broken != nil {
			yield(control.Route{}, f.broken)
		}
	}, f.known(of)
}
func (f *fake) Lookup(_ context.Context, addr netip.Addr, flt control.LookupFilter) ([]control.Route, error) {
	if flt.Session != "" {
		return nil, f.known(flt.Session)
	}
	return []control.Route{{Prefix: netip.PrefixFrom(addr, 24).Masked(), Customer: flt.Customer}}, nil
}

// serve serves a fake at a socket.
func serve(t *testing.T, f *fake) (*control.Client, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "run", "speaker.sock")
	l, err := control.Listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	ops := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ops\n") })
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- node.Serve(ctx, l, nil, control.Handler(f, ops)) }()
	client := control.NewClient(path)
	t.Cleanup(func() {
		_ = client.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(path); err == nil {
			t.Error("the socket stays")
		}
	})
	return client, path
}

func TestCalls(t *testing.T) {
	f := &fake{}
	c, path := serve(t, f)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := c.Config(t.Context()); !errors.Is(err, control.ErrNotFound) {
		t.Errorf("a speaker that was never told: %v", err)
	}
	want := control.Config{Schema: 1, RouterID: netip.MustParseAddr("10.0.0.1"), Services: []control.Service{{Pool: "bulk", Port: 179}}}
	result, err := c.Configure(t.Context(), want)
	if d := cmp.Diff(control.ConfigResult{Changed: true, Problems: []string{"a key is missing"}}, result); err != nil || d != "" {
		t.Errorf("%v\n%s", err, d)
	}
	got, err := c.Config(t.Context())
	if d := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty()); err != nil || d != "" {
		t.Errorf("%v\n%s", err, d)
	}
	want.Additive = true
	if _, err := c.Configure(t.Context(), want); !errors.Is(err, control.ErrRefused) || err.Error() != "speaker: refused: it would end 1 session" {
		t.Errorf("refusal: %v", err)
	}
	want.Schema = 2
	if _, err := c.Configure(t.Context(), want); !errors.Is(err, control.ErrInvalid) {
		t.Errorf("a schema of the future: %v", err)
	}
	if s, err := c.Status(t.Context()); err != nil || s.Pools["bulk"].Established != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	all, err := c.Sessions(t.Context(), control.Filter{Customer: "acme", Pool: "bulk", Peer: netip.MustParseAddr("198.51.100.7")})
	if err != nil || len(all) != 1 {
		t.Errorf("%+v, %v", all, err)
	}
	if s, err := c.Session(t.Context(), id); err != nil || s.ID != id {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := c.Session(t.Context(), "bulk,192.0.2.1,2001:db8::1"); !errors.Is(err, control.ErrNotFound) {
		t.Errorf("%v", err)
	}
	if err := c.Reset(t.Context(), id, "bis später & gleich"); err != nil || f.reset != "bis später & gleich" {
		t.Errorf("%q, %v", f.reset, err)
	}
	if err := c.Reset(t.Context(), id, strings.Repeat("x", 256)); !errors.Is(err, control.ErrInvalid) {
		t.Errorf("a text too long: %v", err)
	}
	routes, err := c.Lookup(t.Context(), netip.MustParseAddr("192.0.2.9"), control.LookupFilter{Customer: "acme"})
	if err != nil || len(routes) != 1 || routes[0].Customer != "acme" {
		t.Errorf("%+v, %v", routes, err)
	}
	if _, err := c.Lookup(t.Context(), netip.MustParseAddr("192.0.2.9"), control.LookupFilter{Session: "other"}); !errors.Is(err, control.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

func TestBadRequests(t *testing.T) {
	_, path := serve(t, &fake{})
	h := &http.Client{Transport: control.Transport(path)}
	defer h.CloseIdleConnections()
	tests := map[string]struct {
		method, path, body string
		code               int
	}{
		"no JSON":          {"PUT", control.PathConfig, "hold on", 400},
		"no schema":        {"PUT", control.PathConfig, "{}", 400},
		"no address":       {"GET", control.PathLookup + "?addr=x", "", 400},
		"no router":        {"GET", control.PathSessions + "?peer=x", "", 400},
		"no such path":     {"GET", "/v2/status", "", 404},
		"no such method":   {"DELETE", control.PathConfig, "", 405},
		"no session":       {"GET", "/v1/sessions/x/routes", "", 404},
		"metrics":          {"GET", control.PathMetrics, "", 200},
		"health":           {"GET", control.PathHealth, "", 200},
		"reset is no GET":  {"GET", "/v1/sessions/" + id + "/reset", "", 405},
		"an empty listing": {"GET", control.PathSessions, "", 200},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), tt.method, "http://speaker"+tt.path, strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			a, err := h.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer a.Body.Close()
			body, _ := io.ReadAll(a.Body)
			if a.StatusCode != tt.code {
				t.Errorf("%s: %s", a.Status, body)
			}
			if name == "an empty listing" && string(body) != "[]\n" {
				t.Errorf("body %q", body)
			}
		})
	}
}

// count reads a stream.
func count(seq iter.Seq2[control.Route, error]) (n int, err error) {
	for _, err := range seq {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func TestStreams(t *testing.T) {
	f := &fake{routes: 20_000}
	c, _ := serve(t, f)
	if n, err := count(c.Routes(t.Context(), id)); n != 20_000 || err != nil {
		t.Errorf("%d routes, %v", n, err)
	}
	if _, err := count(c.Routes(t.Context(), "other")); !errors.Is(err, control.ErrNotFound) {
		t.Errorf("%v", err)
	}
	f.broken = errors.New("the table broke")
	if n, err := count(c.Routes(t.Context(), id)); n != 20_000 || err == nil || !strings.Contains(err.Error(), "the table broke") {
		t.Errorf("%d routes, %v", n, err)
	}
	for range c.Routes(t.Context(), id) { // one who has enough
		break
	}
	f.broken, f.routes = nil, 0
	if n, err := count(c.Routes(t.Context(), id)); n != 0 || err != nil {
		t.Errorf("%d routes, %v", n, err)
	}
}

// Each stream keeps the speaker at work: there is a bound.
func TestTooManyStreams(t *testing.T) {
	f := &fake{routes: 1000, held: make(chan struct{})}
	c, _ := serve(t, f)
	next := make([]func() (control.Route, error, bool), 8)
	for i := range next {
		var stop func()
		next[i], stop = iter.Pull2(c.Routes(t.Context(), id))
		t.Cleanup(stop)
		if _, err, ok := next[i](); err != nil || !ok {
			t.Fatalf("stream %d: %v", i, err)
		}
	}
	if _, err := count(c.Routes(t.Context(), id)); err == nil || !strings.Contains(err.Error(), "8 streams") {
		t.Errorf("one more: %v", err)
	}
	close(f.held)
	for {
		if _, err, ok := next[0](); err != nil || !ok {
			break
		}
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		if _, err := count(c.Routes(t.Context(), id)); err == nil {
			return
		} else if time.Now().After(deadline) {
			t.Fatalf("after the end of one: %v", err)
		}
	}
}

func TestSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	missing := control.NewClient(path)
	if _, err := missing.Status(t.Context()); !control.NotRunning(err) {
		t.Errorf("no socket: %v", err)
	}
	stale, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	stale.(*net.UnixListener).SetUnlinkOnClose(false)
	if _, err := control.Listen(t.Context(), path); err == nil || !strings.Contains(err.Error(), "another process serves it") {
		t.Errorf("a socket in use: %v", err)
	}
	_ = stale.Close()
	if _, err := missing.Status(t.Context()); !control.NotRunning(err) {
		t.Errorf("a socket that nobody serves: %v", err)
	}
	l, err := control.Listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the file stays")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := missing.Status(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context: %v", err)
	}
}
