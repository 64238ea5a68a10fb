package exchange

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/peerage/peerage/realserver/bgp"
)

// Lookups find the longest prefix of whom they ask for.
func TestLookup(t *testing.T) {
	bubble(t, defaultLimits(), func(t *testing.T, x *Exchange) {
		wide, narrow := newRouter(t, 1, client("g", "a")), newRouter(t, 2, client("g", "b"))
		other := newRouter(t, 3, PeerConfig{AS: 64999, FourOctetAS: true, Customer: "c"})
		announce := func(r *router, prefix string) {
			r.join(x)
			p := netip.MustParsePrefix(prefix)
			r.send(update(bgp.IPv4Unicast, []netip.Prefix{p}, nil, attributes(1, r.config.AS == localAS), hop(bgp.IPv4Unicast, 7)))
		}
		announce(wide, "198.0.0.0/8")
		announce(narrow, "198.51.100.0/24")
		announce(other, "0.0.0.0/0")
		quiet()
		addr := netip.MustParseAddr("198.51.100.9")
		tests := map[string]struct {
			filter Filter
			want   []string
		}{
			"all":                           {Filter{}, []string{"session-2 198.51.100.0/24 true", "session-3 0.0.0.0/0 false"}},
			"customer":                      {Filter{Customer: "a"}, []string{"session-1 198.0.0.0/8 true"}},
			"session":                       {Filter{Session: "session-1"}, []string{"session-1 198.0.0.0/8 true"}},
			"session of another customer":   {Filter{Session: "session-1", Customer: "b"}, nil},
			"session in collect mode":       {Filter{Session: "session-3"}, []string{"session-3 0.0.0.0/0 false"}},
			"a session that does not exist": {Filter{Session: "session-9"}, nil},
		}
		for name, test := range tests {
			var got []string
			for _, r := range x.Lookup(addr, test.filter) {
				got = append(got, fmt.Sprint(r.Session, " ", r.Prefix, " ", r.Best))
				if r.NextHop != hop(bgp.IPv4Unicast, 7) || len(r.Attributes) == 0 {
					t.Errorf("%s: next hop %s, attributes %x", name, r.NextHop, r.Attributes)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	})
}

// Who reads the routes of a session that ends is told, and never sees those of
// the next one with its number.
func TestRoutesOfSessionThatEnds(t *testing.T) {
	bubble(t, defaultLimits(), func(t *testing.T, x *Exchange) {
		a := newRouter(t, 1, PeerConfig{AS: 64999, FourOctetAS: true, Customer: "a"})
		b := newRouter(t, 2, PeerConfig{AS: 64999, FourOctetAS: true, Customer: "b"})
		a.join(x)
		a.announceAll(many(3000), 1)
		quiet()
		before, id := x.look(), a.peer.id
		var after int
		var ended error
		for _, err := range x.Routes(t.Context(), "session-1") {
			if err != nil {
				ended = err
				break
			}
			if b.peer == nil {
				a.leave()
				quiet()
				b.join(x)
				if b.peer.id != id {
					t.Fatalf("the next session has number %d, not %d: the test shows nothing", b.peer.id, id)
				}
				b.announceAll(many(3000), 1)
				quiet()
			}
			after++
		}
		if ended == nil || after > walkSize {
			t.Errorf("%d routes and the error %v came after the session had ended", after, ended)
		}
		if got := before.wanted(Filter{Session: "session-1"}, nil); len(got) != 0 {
			t.Errorf("an ended session is looked for: %v", got)
		}
		for _, w := range before.wanted(Filter{Customer: "a"}, nil) {
			if w.Filter(id) {
				t.Error("the routes of the next session count as the customer's")
			}
		}
	})
}

// The routes of one session come as they are, and errors end them.
func TestRoutes(t *testing.T) {
	bubble(t, defaultLimits(), func(t *testing.T, x *Exchange) {
		r := newRouter(t, 1, PeerConfig{AS: 64999, FourOctetAS: true})
		r.join(x)
		prefixes := many(1000)
		r.announceAll(prefixes, 1)
		quiet()
		seen := map[netip.Prefix]bool{}
		for route, err := range x.Routes(t.Context(), "session-1") {
			if err != nil {
				t.Fatal(err)
			}
			seen[route.Prefix] = true
		}
		if len(seen) != len(prefixes) {
			t.Errorf("%d routes of %d", len(seen), len(prefixes))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for _, err := range x.Routes(ctx, "session-1") {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
		}
		for _, err := range x.Routes(t.Context(), "nobody") {
			if err == nil {
				t.Error("routes of nobody")
			}
		}
	})
}
