package speaker

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/node/bgpcheck"
	"github.com/peerage/peerage/realserver/bgp"
)

func TestSessionsAndChecks(t *testing.T) {
	t.Parallel()
	b := newBench(t, acme("lan", "127.0.1.0/24"), acme("one", "127.0.5.1/32"))
	b.cfg.Customers[1].Neighbors[0].AS = []uint32{65009}
	b.put(true)
	b.router("127.0.1.5", 65001).must(t).alive()
	b.router("127.0.5.1", 65009).must(t).alive()
	b.established(2)
	b.router("127.0.9.9", 65001).refused(t, bgp.CodeCease, bgp.SubConnectionRejected)
	b.router("127.0.1.7", localAS).refused(t, bgp.CodeOpen, bgp.SubBadPeerAS) // any AS but the local one
	b.router("127.0.5.1", 65008).refused(t, bgp.CodeOpen, bgp.SubBadPeerAS)

	for _, at := range []string{vipA, vipB, ownAddr} {
		for _, from := range []string{prober, ownAddr} {
			if at == from || from == prober && at != ownAddr {
				continue
			}
			for range 3 { // a check leaves nothing behind that refuses the next
				r, err := bgpcheck.Check(t.Context(), bgpcheck.Target{
					Addr: netip.AddrPortFrom(netip.MustParseAddr(at), b.port), Source: netip.MustParseAddr(from), LocalAS: localAS, Type: api.HealthCheckBGP,
				})
				if err != nil || r.PeerAS != localAS {
					t.Errorf("check of %s from %s: %+v, %v", at, from, r, err)
				}
			}
		}
	}
	b.eventually("two sessions and nothing else", func() bool { return b.Status().Pools[pool].Sessions == 2 })
	if log := b.log.String(); strings.Contains(log, prober) {
		t.Errorf("health checks are in the log:\n%s", log)
	}
}

func TestSessionShows(t *testing.T) {
	t.Parallel()
	b := newBench(t, acme("acme", "127.0.1.5/32"))
	b.put(true)
	l := b.router("127.0.1.5", 65001).must(t)
	b.established(1)
	s := b.session("127.0.1.5")
	want := s // times and ports differ from run to run
	want.ID, want.Pool, want.Customer, want.State = "bulk,127.0.0.10,127.0.1.5", pool, "acme", "established"
	want.AS, want.RouterID, want.HoldTime = 65001, netip.MustParseAddr("10.9.9.9"), api.Duration(90*time.Second)
	want.Capabilities = []string{"multiprotocol(ipv4-unicast)", "multiprotocol(ipv6-unicast)", "route-refresh", "enhanced-refresh", "extended-message", "four-octet-as"}
	want.Families = []string{"ipv4-unicast", "ipv6-unicast"}
	if d := cmp.Diff(want, s, addresses); d != "" {
		t.Error(d)
	}
	if err := b.Reset(s.ID, "maintenance at noon"); err != nil {
		t.Fatal(err)
	}
	n := l.ends(bgp.CodeCease, bgp.SubAdministrativeReset)
	if n.Communication() != "maintenance at noon" {
		t.Errorf("the router was told %q", n.Communication())
	}
	b.established(0)
	s = b.session("127.0.1.5")
	if s.State != "idle" || s.Flaps != 1 || !strings.Contains(s.LastError, "reset by an operator: maintenance at noon") || s.LastErrorAt.IsZero() {
		t.Errorf("%+v", s)
	}
}

// What ends a session is told by both sides.
func TestNotificationsIn(t *testing.T) {
	t.Parallel()
	b := newBench(t, acme("acme", "127.0.1.5/32"))
	b.put(true)
	l := b.router("127.0.1.5", 65001).must(t)
	b.established(1)
	l.send(bgp.Shutdown(bgp.SubAdministrativeShutdown, "new line cards\x07").Append(nil))
	b.established(0)
	if got := b.session("127.0.1.5").LastError; got != `received cease: administrative shutdown "new line cards."` {
		t.Errorf("last error is %q", got)
	}
	l = b.router("127.0.1.5", 65001).must(t)
	b.established(1)
	l.Close()
	b.eventually("why", func() bool { return strings.Contains(b.session("127.0.1.5").LastError, "closed the connection") })
}
