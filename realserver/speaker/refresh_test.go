package speaker

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/realserver/bgp"
)

// heard is what a router is sent until a number of End-of-RIB came: routes,
// and marks of refreshes.
func (l *link) heard(ends int) (all []string) {
	l.t.Helper()
	for ends > 0 {
		m, err := l.read(patience)
		if err != nil {
			l.t.Fatalf("after %q: %v", all, err)
		}
		switch m.Type {
		case bgp.TypeRouteRefresh:
			r, _ := bgp.DecodeRouteRefresh(m.Body)
			all = append(all, map[uint8]string{bgp.RefreshBegin: "begin ", bgp.RefreshEnd: "end "}[r.Subtype]+r.Family.String())
			if r.Subtype == bgp.RefreshEnd {
				ends--
			}
		case bgp.TypeUpdate:
			u, err := bgp.DecodeUpdate(m.Body)
			if err != nil {
				l.t.Fatal(err)
			}
			if f, ok := u.EndOfRIB(); ok {
				all = append(all, "end of "+f.String())
				ends--
			}
			for p := range bgp.Prefixes(bgp.AFIIPv4, u.NLRI) {
				all = append(all, p.String())
			}
			for p := range bgp.Prefixes(bgp.AFIIPv4, u.Withdrawn) {
				all = append(all, "-"+p.String())
			}
		}
	}
	return all
}

// What is originated comes before End-of-RIB, and again when it is asked for,
// between the marks of RFC 7313.
func TestRefresh(t *testing.T) {
	t.Parallel()
	b := newBench(t, acme("acme", "127.0.1.0/24"))
	b.cfg.Routes = []api.RouteIntent{
		{Target: api.RouteTarget{All: true}, Prefix: netip.MustParsePrefix("203.0.113.1/32"), NextHop: netip.MustParseAddr("192.0.2.66")},
		{Target: api.RouteTarget{Customer: "other"}, Prefix: netip.MustParsePrefix("203.0.113.2/32"), NextHop: netip.MustParseAddr("192.0.2.66")},
	}
	b.put(true)
	l := b.router("127.0.1.5", 65001).must(t)
	if d := cmp.Diff([]string{"203.0.113.1/32", "end of ipv4-unicast", "end of ipv6-unicast"}, l.heard(2)); d != "" {
		t.Error(d)
	}
	l.send(bgp.RouteRefresh{Family: bgp.IPv4Unicast}.Append(nil))
	if d := cmp.Diff([]string{"begin ipv4-unicast", "203.0.113.1/32", "end ipv4-unicast"}, l.heard(1)); d != "" {
		t.Error(d)
	}
	// Families not negotiated and subtypes not known are ignored.
	l.send(bgp.RouteRefresh{Family: bgp.Family{AFI: 25, SAFI: 70}}.Append(nil))
	l.send(bgp.RouteRefresh{Family: bgp.IPv4Unicast, Subtype: 9}.Append(nil))
	l.alive()

	// The other way: what is not announced again between the marks goes.
	l.send(announce(65001, "10.9.9.9", "10.1.0.0/16", "10.2.0.0/16"))
	b.eventually("two routes", func() bool { return b.session("127.0.1.5").Routes["ipv4-unicast"] == 2 })
	l.send(bgp.RouteRefresh{Family: bgp.IPv4Unicast, Subtype: bgp.RefreshBegin}.Append(nil))
	l.send(announce(65001, "10.9.9.9", "10.2.0.0/16"))
	l.send(bgp.RouteRefresh{Family: bgp.IPv4Unicast, Subtype: bgp.RefreshEnd}.Append(nil))
	b.eventually("one route", func() bool { return b.session("127.0.1.5").Routes["ipv4-unicast"] == 1 })
	if got := lookup(t, b, "10.2.3.4"); len(got) != 1 || got[0].Prefix.String() != "10.2.0.0/16" {
		t.Errorf("%v", got)
	}
	l.alive()
}

// RFC 7606: routes with a bad attribute are as if withdrawn, and the session
// stays.
func TestTreatAsWithdraw(t *testing.T) {
	t.Parallel()
	b := newBench(t, acme("acme", "127.0.1.0/24"))
	b.put(true)
	l := b.router("127.0.1.5", 65001).must(t)
	l.send(announce(65001, "10.9.9.9", "10.1.0.0/16", "10.2.0.0/16"))
	b.eventually("two routes", func() bool { return b.session("127.0.1.5").Routes["ipv4-unicast"] == 2 })
	bad := bgp.AppendNextHop(bgp.AppendASPath(bgp.AppendOrigin(nil, 9), 65001), netip.MustParseAddr("10.9.9.9"))
	l.send(bgp.AppendUpdate(nil, nil, bad, bgp.AppendPrefix(nil, netip.MustParsePrefix("10.1.0.0/16"))))
	b.eventually("one route", func() bool { s := b.session("127.0.1.5"); return s.Routes["ipv4-unicast"] == 1 && s.Treated == 1 })
	l.alive()
}

// After a restart nobody is let in before what is originated is there:
// End-of-RIB would tell that it was sent.
func TestOriginsBeforeSessionsAfterRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := newBenchWith(t, Options{StateDir: dir}, acme("acme", "127.0.1.0/24"))
	b.cfg.Routes = []api.RouteIntent{{Target: api.RouteTarget{All: true}, Prefix: netip.MustParsePrefix("203.0.113.1/32"), NextHop: netip.MustParseAddr("192.0.2.66")}}
	b.put(true)
	b.stop()

	b.Speaker = New(Options{StateDir: dir})
	b.mu.RLock() // the new listeners do not take the place of the old ones
	b.stop = start(t, b.Speaker)
	r := b.router("127.0.1.5", 65001)
	b.eventually("a listener", func() bool {
		l, err := r.dial(t, patience)
		if err != nil {
			return false
		}
		_ = l.Close()
		return true
	})
	b.origins.mu.Lock()
	originated := len(b.origins.all)
	b.origins.mu.Unlock()
	b.mu.RUnlock()
	if originated != 1 {
		t.Errorf("it listens with %d routes originated, not 1", originated)
	}
	if d := cmp.Diff([]string{"203.0.113.1/32", "end of ipv4-unicast", "end of ipv6-unicast"}, r.must(t).heard(2)); d != "" {
		t.Error(d)
	}
}
