package gateway

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/client"
	"github.com/peerage/peerage/api/node"
	apiserver "github.com/peerage/peerage/api/server"
	"github.com/peerage/peerage/api/server/servertest"
	"github.com/peerage/peerage/api/store/storetest"
	"github.com/peerage/peerage/realserver/speaker/control"
)

// speaker knows one session and its routes, and takes nothing.
type speaker struct {
	session control.Session
	routes  int
	// waits, if not nil, holds back the list of sessions.
	waits chan struct{}
	// asked gets one value for each list that is held back.
	asked chan struct{}
	fails error // after the routes
}

var errTouched = errors.New("a reader of the API changed the speaker")

func (s *speaker) Set(context.Context, control.Config) (control.ConfigResult, error) {
	panic(errTouched)
}
func (s *speaker) Config() (control.Config, bool) { panic(errTouched) }
func (s *speaker) Reset(string, string) error     { panic(errTouched) }
func (s *speaker) Status() control.Status {
	return control.Status{Schema: control.Schema, Version: "v1"}
}
func (s *speaker) Sessions(f control.Filter) []control.Session {
	if s.waits != nil {
		s.asked <- struct{}{}
		<-s.waits
	}
	if f.Customer != "" && f.Customer != s.session.Customer || f.Peer.IsValid() && f.Peer != s.session.Peer.Addr() {
		return nil
	}
	return []control.Session{s.session}
}

func (s *speaker) Session(id string) (control.Session, error) {
	if id != s.session.ID {
		return control.Session{}, fmt.Errorf("session %s: %w", id, control.ErrNotFound)
	}
	return s.session, nil
}

func (s *speaker) Routes(_ context.Context, id string) (iter.Seq2[control.Route, error], error) {
	if id != s.session.ID {
		return nil, fmt.Errorf("session %s: %w", id, control.ErrNotFound)
	}
	return func(yield func(control.Route, error) bool) {
		for i := range s.routes {
			prefix := netip.PrefixFrom(netip.AddrFrom4([4]byte{100, byte(i >> 8), byte(i), 0}), 24)
			if !yield(control.Route{Session: id, Customer: s.session.Customer, Prefix: prefix, NextHop: s.session.Peer.Addr(), Origin: "igp"}, nil) {
				return
			}
		}
		if s.fails != nil {
			yield(control.Route{}, s.fails)
		}
	}, nil
}

func (s *speaker) Lookup(_ context.Context, addr netip.Addr, f control.LookupFilter) ([]control.Route, error) {
	if f.Session != "" && f.Session != s.session.ID {
		return nil, nil
	}
	return []control.Route{{Session: s.session.ID, Customer: s.session.Customer, Prefix: netip.PrefixFrom(addr, addr.BitLen()), NextHop: s.session.Peer.Addr()}}, nil
}

func acme() *speaker {
	return &speaker{routes: 3, session: control.Session{ID: "edge,2001:db8:f::1,2001:db8::7", Pool: "edge", Customer: "acme", State: "established",
		VIP: netip.MustParseAddrPort("[2001:db8:f::1]:179"), Peer: netip.MustParseAddrPort("[2001:db8::7]:50000"),
		HoldTime: api.Duration(90 * time.Second), Since: time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)}}
}

// serve puts a speaker on a socket, and a gateway before it.
func serve(t *testing.T, s *speaker) (url string) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	ln, err := control.Listen(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	inside := &http.Server{Handler: control.Handler(s, http.NotFoundHandler()), ReadHeaderTimeout: time.Minute}
	done := make(chan error, 1)
	go func() { done <- inside.Serve(ln) }()
	outside := httptest.NewServer(Handler(socket, hclog.NewNullLogger()))
	t.Cleanup(func() {
		outside.Close()
		if err := inside.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return outside.URL
}

func call(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

// What reads passes; nothing else does.
func TestAllowList(t *testing.T) {
	url := serve(t, acme())
	const id = "/v1/sessions/edge,2001:db8:f::1,2001:db8::7"
	for _, tc := range []struct {
		method, path string
		status       int
		want         string // in the answer
	}{
		{"GET", "/v1/status", 200, `"version":"v1"`},
		{"GET", "/v1/sessions?customer=acme&peer=2001:db8::7", 200, `"holdTime":"1m30s"`},
		{"GET", "/v1/sessions?customer=other", 200, "[]"},
		{"GET", "/v1/sessions?peer=x", 400, "invalid peer"},
		{"GET", id, 200, `"customer":"acme"`},
		{"GET", strings.ReplaceAll(strings.ReplaceAll(id, ",", "%2C"), ":", "%3A"), 200, `"customer":"acme"`},
		{"GET", "/v1/sessions/edge,2001:db8:f::1,2001:db8::8", 404, "not found"},
		{"GET", id + "/routes", 200, "100.0.2.0/24"},
		{"GET", "/v1/lookup?addr=192.0.2.1&session=edge,2001:db8:f::1,2001:db8::7", 200, "192.0.2.1/32"},
		{"GET", "/v1/config", 404, ""},
		{"PUT", "/v1/config", 404, ""},
		{"PUT", "/v1/sessions", 405, ""},
		{"POST", id + "/reset", 404, ""},
		{"POST", id, 405, ""},
		{"DELETE", id, 405, ""},
		{"GET", "/v1/sessions/../config", 404, ""},
		{"GET", "/v1/sessions/x%2F..%2F..%2Fconfig", 404, ""},
		{"GET", "/metrics", 404, ""},
		{"GET", "/", 404, ""},
	} {
		status, body := call(t, tc.method, url+tc.path, "{}")
		if status != tc.status || !strings.Contains(body, tc.want) {
			t.Errorf("%s %s: %d %s, not %d %s", tc.method, tc.path, status, body, tc.status, tc.want)
		}
	}
}

func TestNoSpeaker(t *testing.T) {
	s := httptest.NewServer(Handler("/nowhere/speaker.sock", hclog.NewNullLogger()))
	defer s.Close()
	status, body := call(t, "GET", s.URL+"/v1/sessions", "")
	var f control.Failure
	if err := json.Unmarshal([]byte(body), &f); err != nil || status != http.StatusBadGateway || !strings.HasPrefix(f.Error, "no speaker runs at /nowhere/speaker.sock") {
		t.Errorf("%d %s: %v", status, body, err)
	}
}

// Only so many questions are asked of the speaker at the same time.
func TestBounded(t *testing.T) {
	s := acme()
	s.waits, s.asked = make(chan struct{}), make(chan struct{})
	url := serve(t, s)
	answers := make(chan int)
	for range maxRequests {
		go func() {
			resp, err := http.Get(url + "/v1/sessions")
			if err != nil {
				answers <- 0
				return
			}
			_ = resp.Body.Close()
			answers <- resp.StatusCode
		}()
	}
	for range maxRequests {
		<-s.asked
	}
	if status, body := call(t, "GET", url+"/v1/status", ""); status != http.StatusServiceUnavailable || !strings.Contains(body, "try again") {
		t.Errorf("one too many: %d %s", status, body)
	}
	close(s.waits)
	for range maxRequests {
		if status := <-answers; status != http.StatusOK {
			t.Errorf("a held back answer: %d", status)
		}
	}
	if status, _ := call(t, "GET", url+"/v1/status", ""); status != http.StatusOK {
		t.Errorf("afterwards: %d", status)
	}
}

// From the operator's client to a speaker's socket and back: through a
// controller's API, over the network to the real server, to the socket.
func TestFromClientToSocket(t *testing.T) {
	site := servertest.New(t)
	c, err := client.New(client.Config{Servers: []string{site.HTTP.URL}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	good, broken := acme(), acme()
	good.routes = 5000
	broken.session.ID, broken.session.Peer = "edge,2001:db8:f::1,2001:db8::8", netip.MustParseAddrPort("[2001:db8::8]:50000")
	broken.fails = errors.New("the shard is gone")
	site.JoinAt(api.RoleRealServer, "rs-1", serve(t, good))
	site.JoinAt(api.RoleRealServer, "rs-2", serve(t, broken))

	list, err := c.Sessions(t.Context(), client.SessionFilter{})
	if err != nil {
		t.Fatal(err)
	}
	want := []api.Session{good.session, broken.session}
	want[0].Server, want[1].Server = "rs-1", "rs-2"
	if diff := cmp.Diff(&api.SessionList{Items: want}, list, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	out, err := c.Lookup(t.Context(), netip.MustParseAddr("192.0.2.1"), client.SessionFilter{}, "2001:db8::8")
	if err != nil || len(out.Items) != 1 || out.Items[0].Server != "rs-2" {
		t.Errorf("lookup: %+v, %v", out, err)
	}
	n := 0
	for r, err := range c.SessionRoutes(t.Context(), good.session.ID) {
		if err != nil || r.Server != "rs-1" {
			t.Fatalf("route %d: %+v, %v", n, r, err)
		}
		n++
	}
	if n != good.routes {
		t.Errorf("%d routes of %d", n, good.routes)
	}
	for _, err = range c.SessionRoutes(t.Context(), broken.session.ID) {
	}
	if err == nil || !strings.Contains(err.Error(), "rs-2: the shard is gone") {
		t.Errorf("a stream that broke off: %v", err)
	}
}

// With a client CA, controllers that show a certificate are answered, and
// nobody else.
func TestMutualTLS(t *testing.T) {
	server, operator := storetest.Issue(t)
	serving := node.API{Listen: "127.0.0.1:0", TLSCert: server.CertFile, TLSKey: server.KeyFile, ClientCA: server.CAFile}
	ln, config, err := serving.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "s")
	inside, err := control.Listen(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	quiet := hclog.WithContext(t.Context(), hclog.NewNullLogger())
	ctx, cancel := context.WithCancel(quiet)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := node.Serve(ctx, inside, nil, control.Handler(acme(), http.NotFoundHandler())); err != nil {
			t.Error(err)
		}
	})
	wg.Go(func() {
		if err := node.Serve(ctx, ln, config, Handler(socket, hclog.NewNullLogger())); err != nil {
			t.Error(err)
		}
	})
	defer wg.Wait()
	defer cancel()
	for name, known := range map[string]bool{"with a certificate": true, "without": false} {
		site := servertest.New(t, func(cfg *apiserver.Config) {
			if known {
				cfg.NodeTLS = operator.Config(t)
			} else {
				cfg.NodeTLS = &tls.Config{RootCAs: operator.Config(t).RootCAs}
			}
		})
		site.JoinAt(api.RoleRealServer, "rs-1", serving.URL(ln.Addr(), "rs-1"))
		c, err := client.New(client.Config{Servers: []string{site.HTTP.URL}})
		if err != nil {
			t.Fatal(err)
		}
		list, err := c.Sessions(t.Context(), client.SessionFilter{})
		c.Close()
		switch {
		case known && (err != nil || len(list.Items) != 1):
			t.Errorf("%s: %v, %v", name, list, err)
		case !known && (err == nil || !strings.Contains(err.Error(), "certificate required")):
			t.Errorf("%s: %v, %v", name, list, err)
		}
	}
}
