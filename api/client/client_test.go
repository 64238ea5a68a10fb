package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/client"
	"github.com/peerage/peerage/api/server/servertest"
)

func newClient(t *testing.T, cfg client.Config) *client.Client {
	t.Helper()
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// answer serves one answer to everything.
func answer(t *testing.T, status int, body any) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		if text, ok := body.(string); ok {
			_, _ = io.WriteString(w, text)
			return
		}
		_ = json.NewEncoder(w).Encode(body)
	}))
	t.Cleanup(s.Close)
	return s
}

func apiError(code api.ErrorCode) api.ErrorBody {
	return api.ErrorBody{Error: &api.Error{Code: code, Message: string(code)}}
}

func TestFailover(t *testing.T) {
	good := answer(t, 200, api.VersionInfo{Name: "good"})
	gone := httptest.NewServer(nil)
	gone.Close()
	for _, c := range []struct {
		name    string
		servers []string
		want    string        // the name of who answered
		code    api.ErrorCode // or the error of the API
		exit    api.ExitCode  // or what the program exits with
	}{
		{"the first answers", []string{good.URL, gone.URL}, "good", "", api.ExitOK},
		{"a refused connection", []string{gone.URL, good.URL}, "good", "", api.ExitOK},
		{"an unavailable server", []string{answer(t, 503, apiError(api.ErrorUnavailable)).URL, good.URL}, "good", "", api.ExitOK},
		{"an overloaded server", []string{answer(t, 503, apiError(api.ErrorOverloaded)).URL, good.URL}, "good", "", api.ExitOK},
		{"something else that answers", []string{answer(t, 502, "<html>bad gateway").URL, good.URL}, "good", "", api.ExitOK},
		{"an answer is an answer", []string{answer(t, 422, apiError(api.ErrorRefused)).URL, good.URL}, "", api.ErrorRefused, api.ExitRefused},
		{"none is available", []string{answer(t, 503, apiError(api.ErrorUnavailable)).URL, gone.URL}, "", api.ErrorUnavailable, api.ExitUnreachable},
		{"none is there", []string{gone.URL}, "", "", api.ExitUnreachable},
		{"not a controller", []string{answer(t, 404, "404 page not found").URL}, "", "", api.ExitUnreachable},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, err := newClient(t, client.Config{Servers: c.servers}).Version(t.Context())
			if err == nil && v.Name != c.want {
				t.Errorf("%s answered", v.Name)
			}
			e, _ := errors.AsType[*api.Error](err)
			if e != nil && e.Code != c.code || e == nil && c.code != "" {
				t.Errorf("the error is %v", err)
			}
			if got := client.ExitCode(err); got != c.exit {
				t.Errorf("exit code %d, want %d: %v", got, c.exit, err)
			}
		})
	}
}

// TestTheSameServerIsAskedAgain keeps a client off a server that is down.
func TestTheSameServerIsAskedAgain(t *testing.T) {
	var asked atomic.Int32
	down := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(down.Close)
	c := newClient(t, client.Config{Servers: []string{down.URL, answer(t, 200, api.VersionInfo{Name: "good"}).URL}})
	for range 3 {
		if _, err := c.Version(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("the server that is down was asked %d times", n)
	}
}

func TestSilentServer(t *testing.T) {
	release := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(silent.Close)
	t.Cleanup(func() { close(release) })
	c := newClient(t, client.Config{Servers: []string{silent.URL}, Timeout: 30 * time.Millisecond})
	_, err := c.Version(t.Context())
	if client.ExitCode(err) != api.ExitUnreachable || !strings.Contains(err.Error(), "no answer within 30ms") {
		t.Errorf("the error is %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Version(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("the error of a request that was given up is %v", err)
	}
}

func TestBadServers(t *testing.T) {
	for _, servers := range [][]string{nil, {""}, {"ftp://ctl-1"}, {"http://"}, {"http://a b"}} {
		if _, err := client.New(client.Config{Servers: servers}); err == nil {
			t.Errorf("%q is taken", servers)
		}
	}
}

func TestPathsAreEscaped(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(404)
		_ = json.NewEncoder(w).Encode(api.ErrorBody{Error: &api.Error{Code: api.ErrorNotFound, Message: r.URL.EscapedPath()}})
	}))
	t.Cleanup(s.Close)
	c := newClient(t, client.Config{Servers: []string{s.URL}})
	if _, err := c.Object(t.Context(), api.KindPool, "a/../b?c"); err == nil || err.Error() != "/v1/pools/a%2F..%2Fb%3Fc" {
		t.Errorf("the path is %v", err)
	}
	if _, err := c.Object(t.Context(), api.KindPool, ".."); err == nil || !strings.Contains(err.Error(), "not a name") {
		t.Errorf("the error is %v", err)
	}
}

// TestWatchResumes breaks a stream of events, and expects each event once.
func TestWatchResumes(t *testing.T) {
	var froms []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from := r.URL.Query().Get("from")
		froms = append(froms, from)
		n := 0
		_, _ = fmt.Sscan(from, &n)
		if len(froms) == 2 { // a server that is busy for a moment
			w.WriteHeader(http.StatusServiceUnavailable)
			_ = json.NewEncoder(w).Encode(apiError(api.ErrorOverloaded))
			return
		}
		_, _ = io.WriteString(w, `{"type":"heartbeat"}`+"\n")
		fmt.Fprintf(w, `{"type":"value","id":"%d","value":{"id":"%d"}}`+"\n", n+1, n+1)
		_, _ = io.WriteString(w, `{"type":"val`) // and then the connection breaks
	}))
	t.Cleanup(s.Close)
	var retries []error
	c := newClient(t, client.Config{Servers: []string{s.URL}, OnRetry: func(err error) { retries = append(retries, err) }})
	var got []string
	for e, err := range c.WatchEvents(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, e.ID); len(got) == 3 {
			break
		}
	}
	if g, w := strings.Join(got, " "), "1 2 3"; g != w {
		t.Errorf("events %s, want %s", g, w)
	}
	if g, w := strings.Join(froms, ","), ",1,1,2"; g != w {
		t.Errorf("resumed from %s, want %s", g, w)
	}
	if len(retries) != 3 {
		t.Errorf("retries: %v", retries)
	}
}

func TestWatchEnds(t *testing.T) {
	for _, c := range []struct {
		name string
		body string
		exit api.ExitCode
	}{
		{"an error of the API", `{"type":"error","error":{"code":"not-found","message":"gone"}}` + "\n", api.ExitNotFound},
		{"the first connection", ``, api.ExitUnreachable},
		{"not a status", `{"type":"value","value":[]}` + "\n", api.ExitFailure},
	} {
		t.Run(c.name, func(t *testing.T) {
			cl := newClient(t, client.Config{Servers: []string{answer(t, 200, c.body).URL}})
			n := 0
			for _, err := range cl.WatchStatus(t.Context()) {
				n++
				if client.ExitCode(err) != c.exit {
					t.Errorf("the error is %v", err)
				}
			}
			if n != 1 {
				t.Errorf("%d values", n)
			}
		})
	}
}

// TestAgainstAServer speaks to the real one.
func TestAgainstAServer(t *testing.T) {
	s := servertest.New(t)
	c := newClient(t, client.Config{Servers: []string{s.HTTP.URL}, Actor: "alice@desk"})
	ctx := t.Context()
	rs := &api.RealServer{Meta: api.Meta{Name: "rs-1"}}
	rs.Spec.Addresses = append(rs.Spec.Addresses, netip.MustParseAddr("198.51.100.21"))
	if out, err := c.ApplyObjects(ctx, []api.Object{rs}, client.ApplyOptions{Reason: "first"}); err != nil || !out.Changed {
		t.Fatalf("%+v, %v", out, err)
	}
	if out, err := c.Apply(ctx, []byte("apiVersion: peerage/v1\nkind: RealServer\nmetadata: {name: rs-1}\nspec: {addresses: [198.51.100.21]}\n"), client.ApplyOptions{}); err != nil || out.Changed {
		t.Fatalf("%+v, %v", out, err)
	}
	if o, err := c.Object(ctx, api.KindRealServer, "rs-1"); err != nil || o.ObjectMeta().Generation != 1 {
		t.Errorf("%+v, %v", o, err)
	}
	if all, err := c.Objects(ctx, api.KindRealServer); err != nil || len(all) != 1 {
		t.Errorf("%+v, %v", all, err)
	}
	if out, err := c.Depool(ctx, "rs-1", api.VerbRequest{Reason: "fan", For: api.Duration(time.Hour)}); err != nil || !out.Changed {
		t.Errorf("%+v, %v", out, err)
	}
	w := api.WeightValue(3)
	if out, err := c.Weight(ctx, "rs-1", api.VerbRequest{Weight: &w}); err != nil || out.After.Weight.Value != 3 {
		t.Errorf("%+v, %v", out, err)
	}
	reset := api.WeightReset
	if out, err := c.Weight(ctx, "rs-1", api.VerbRequest{Weight: &reset}); err != nil || out.After.Weight != nil {
		t.Errorf("%+v, %v", out, err)
	}
	if out, err := c.Pool(ctx, "rs-1", api.VerbRequest{}); err != nil || !out.Changed {
		t.Errorf("%+v, %v", out, err)
	}
	if list, err := c.Events(ctx, 2); err != nil || len(list) != 2 || list[1].Verb != "pool" || list[1].By != "alice@desk" {
		t.Errorf("%+v, %v", list, err)
	}
	if list, err := c.Plans(ctx); err != nil || len(list) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := c.Plan(ctx, "edge"); client.ExitCode(err) != api.ExitNotFound {
		t.Error(err)
	}
	if st, err := c.Status(ctx); err != nil || len(st.RealServers) != 1 {
		t.Errorf("%+v, %v", st, err)
	}
	if out, err := c.AcceptStore(ctx, api.StoreAcceptRequest{}); err != nil || out.Changed {
		t.Errorf("%+v, %v", out, err)
	}
	if _, err := c.Delete(ctx, api.KindRealServer, "rs-1", client.ApplyOptions{Generation: 9}); client.ExitCode(err) != api.ExitConflict {
		t.Error(err)
	}
	if _, err := c.Delete(ctx, api.KindRealServer, "rs-1", client.ApplyOptions{DryRun: true, AcceptRisk: []api.Risk{api.RiskEmptyPool}}); err != nil {
		t.Error(err)
	}
	for st, err := range c.WatchStatus(ctx) {
		if err != nil || len(st.RealServers) != 1 {
			t.Errorf("%+v, %v", st, err)
		}
		break
	}
}
