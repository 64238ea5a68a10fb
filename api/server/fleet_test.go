package server_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/client"
	"github.com/peerage/peerage/api/server"
	"github.com/peerage/peerage/api/server/servertest"
)

const tenants = `
apiVersion: peerage/v1
kind: Customer
metadata: {name: acme}
spec: {pools: [edge], neighbors: [{prefix: 198.51.100.128/25}]}
---
apiVersion: peerage/v1
kind: Customer
metadata: {name: bolt}
spec: {pools: [edge], neighbors: [{prefix: 203.0.113.64/26}]}
`

// held is a session with a number of routes, the last of which is a default.
func held(customer, peer, state string, since time.Time, n int) servertest.Known {
	id := "edge,203.0.113.1," + peer
	known := servertest.Known{Sessions: []api.Session{{ID: id, Pool: "edge", Customer: customer, State: state, Since: since,
		VIP: netip.MustParseAddrPort("203.0.113.1:179"), Peer: netip.AddrPortFrom(netip.MustParseAddr(peer), 50000),
		Routes: map[string]int64{"ipv4-unicast": int64(n)}}}}
	for i := range n {
		prefix := netip.PrefixFrom(netip.AddrFrom4([4]byte{100, byte(i >> 8), byte(i), 0}), 24)
		if i == n-1 {
			prefix = netip.MustParsePrefix("0.0.0.0/0")
		}
		known.Routes = append(known.Routes, api.Route{Session: id, Customer: customer, Pool: "edge", Prefix: prefix,
			NextHop: netip.MustParseAddr(peer), Origin: "igp", ASPath: "64801"})
	}
	return known
}

func clientOf(t *testing.T, s *servertest.Site) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{Servers: []string{s.HTTP.URL}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// A real server that hangs, lies or fails is named with the reason, and costs
// the others nothing but its timeout.
func TestUnreachableRealServers(t *testing.T) {
	s := servertest.New(t, func(cfg *server.Config) { cfg.NodeTimeout = 300 * time.Millisecond })
	c := newCaller(t, s)
	do[api.ApplyResult](c, "POST", "/v1/apply", site+"---"+tenants)
	now := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	s.Speak("rs-1", held("acme", "198.51.100.129", "established", now, 3))
	stuck := s.Speak("rs-2", held("bolt", "203.0.113.65", "established", now, 1))
	stuck.Hang()
	s.Speak("rs-3", servertest.Known{Fault: "no speaker runs at /run/x.sock"})
	s.JoinAt(api.RoleRealServer, "rs-4", "http://%%%")

	out := do[api.SessionList](c, "GET", "/v1/sessions", "")
	if len(out.Items) != 1 || out.Items[0].Server != "rs-1" {
		t.Errorf("sessions: %+v", out.Items)
	}
	for name, want := range map[string]string{"rs-2": "no answer within 300ms", "rs-3": "no speaker runs at /run/x.sock", "rs-4": "it advertises"} {
		if !strings.Contains(out.Unreachable[name], want) {
			t.Errorf("%s: %q lacks %q", name, out.Unreachable[name], want)
		}
	}
	if len(out.Unreachable) != 3 {
		t.Errorf("unreachable: %v", out.Unreachable)
	}
	// Asked alone, it is an error.
	c.refused("GET", "/v1/sessions?server=rs-2", "", 503, api.ErrorUnavailable, "rs-2: no answer within 300ms", "--api-listen")
	c.refused("GET", "/v1/routes/lookup?addr=192.0.2.1&server=rs-3", "", 503, api.ErrorUnavailable, "no speaker runs")
	// What is not found may be where nobody answers.
	c.refused("GET", "/v1/sessions/203.0.113.65", "", 503, api.ErrorUnavailable, "rs-2, rs-3, rs-4 did not")
	stuck.Resume()
	if out := do[api.SessionList](c, "GET", "/v1/sessions/203.0.113.65", ""); len(out.Items) != 1 || out.Items[0].Server != "rs-2" {
		t.Errorf("after it answers again: %+v", out)
	}
	lookup := do[api.LookupResult](c, "GET", "/v1/routes/lookup?addr=100.0.0.7", "")
	var got []string
	for _, r := range lookup.Items {
		got = append(got, fmt.Sprint(r.Server, " ", r.Customer, " ", r.Prefix))
	}
	if diff := cmp.Diff([]string{"rs-1 acme 100.0.0.0/24", "rs-2 bolt 0.0.0.0/0"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestFleetRefusesNonsense(t *testing.T) {
	s := servertest.New(t)
	c := newCaller(t, s)
	do[api.ApplyResult](c, "POST", "/v1/apply", site+"---"+tenants)
	s.Speak("rs-1", held("acme", "198.51.100.129", "established", time.Now(), 3))
	s.Speak("rs-2", servertest.Known{})
	c.refused("GET", "/v1/routes/lookup", "", 400, api.ErrorInvalid, "parameter addr is")
	c.refused("GET", "/v1/routes/lookup?addr=fe80::1%25eth0", "", 400, api.ErrorInvalid, "parameter addr is")
	c.refused("GET", "/v1/routes/lookup?addr=192.0.2.1&session=acme", "", 400, api.ErrorInvalid, "parameter session is")
	c.refused("GET", "/v1/sessions?peer=acme", "", 400, api.ErrorInvalid, "parameter peer is")
	c.refused("GET", "/v1/sessions?pool=edgy", "", 404, api.ErrorNotFound, "did you mean")
	c.refused("GET", "/v1/sessions/acme", "", 400, api.ErrorInvalid, "is not a session")
	c.refused("GET", "/v1/sessions/edge,203.0.113.9,198.51.100.129", "", 404, api.ErrorNotFound, "no real server has a session")
	c.refused("GET", "/v1/sessions/192.0.2.9/routes", "", 404, api.ErrorNotFound)

	s.Speak("rs-1", servertest.Known{})

	if out := do[api.SessionList](c, "GET", "/v1/sessions?peer=::ffff:198.51.100.129", ""); len(out.Items) != 0 || out.Unreachable != nil {
		t.Errorf("nobody has a session: %+v", out)
	}
}

// The whole RIB of a session comes from where it is up; a stream that was cut
// does not pass for a whole one.
func TestStreamOfRoutes(t *testing.T) {
	s := servertest.New(t)
	c := newCaller(t, s)
	do[api.ApplyResult](c, "POST", "/v1/apply", site+"---"+tenants)
	const many = 20_000 // more than is collected before it is sent
	now := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	s.Speak("rs-1", held("acme", "198.51.100.129", "idle", now.Add(time.Hour), 1))
	whole := held("acme", "198.51.100.129", "established", now, many)
	s.Speak("rs-2", whole)
	cl := clientOf(t, s)
	read := func() (n int, last *api.Route, err error) {
		for r, err := range cl.SessionRoutes(t.Context(), "198.51.100.129") {
			if err != nil {
				return n, last, err
			}
			n, last = n+1, r
		}
		return n, last, nil
	}
	n, last, err := read()
	if err != nil || n != many || last.Server != "rs-2" || last.Prefix != netip.MustParsePrefix("0.0.0.0/0") {
		t.Errorf("%d routes, the last %+v, %v", n, last, err)
	}
	cut, broken := whole, whole
	cut.Cut, broken.Broken = true, "out of memory"
	for _, tc := range []struct {
		known servertest.Known
		want  string
	}{{cut, "broke off: rs-2: unexpected EOF"}, {broken, "broke off: rs-2: out of memory"}} {
		s.Speak("rs-2", tc.known)
		if n, _, err := read(); err == nil || !strings.Contains(err.Error(), tc.want) || client.ExitCode(err) != api.ExitUnreachable || n > many {
			t.Errorf("%d routes, %v, not %q", n, err, tc.want)
		}
	}
	// Two sessions of one router: one must be named.
	two := whole
	two.Sessions = append(two.Sessions[:1:1], two.Sessions[0])
	two.Sessions[1].ID = "edge,2001:db8::1,198.51.100.129"
	s.Speak("rs-2", two)
	c.refused("GET", "/v1/sessions/198.51.100.129/routes", "", 400, api.ErrorInvalid, "has several sessions")
	if status, _ := c.get(t.Context(), s.HTTP.URL+"/v1/sessions/edge,203.0.113.1,198.51.100.129/routes"); status != http.StatusOK {
		t.Errorf("by its ID: %d", status)
	}
}

// Only so many streams are open at once.
func TestStreamsOfRoutesAreBounded(t *testing.T) {
	s := servertest.New(t, func(cfg *server.Config) { cfg.MaxWatches = 1 })
	c := newCaller(t, s)
	do[api.ApplyResult](c, "POST", "/v1/apply", site+"---"+tenants)
	s.Speak("rs-1", held("acme", "198.51.100.129", "established", time.Now(), 1))
	s.Speak("rs-2", servertest.Known{})
	lines(t.Context(), t, s.HTTP.URL+"/v1/realservers?watch=1")()
	c.refused("GET", "/v1/sessions/198.51.100.129/routes", "", 503, api.ErrorOverloaded)
}
