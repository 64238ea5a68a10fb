package bird

import (
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/node/bgpcheck"
	"github.com/peerage/peerage/api/node/nodetest"
	"github.com/peerage/peerage/realserver"
)

func TestSessionsAndChecks(t *testing.T) {
	t.Parallel()
	b := newBench(t, neighbor("lan", "127.0.1.0/24", 0, ""), neighbor("one", "127.0.5.1/32", 65009, ""))
	b.put(true)
	b.router("127.0.1.5", 65001, "").must(t).alive(t)
	b.router("127.0.5.1", 65009, "").must(t).alive(t)
	b.established(2)
	_ = b.router("127.0.9.9", 65001, "").refused(t)
	_ = b.router("127.0.1.7", localAS, "").refused(t) // any AS but the local one

	for _, at := range []string{vipA, vipB, own} {
		for _, from := range []string{prober, own} {
			if at == from || from == prober && at != own {
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
	s, err := b.Status(t.Context())
	if err != nil || !strings.HasPrefix(s.Engine, "bird ") || s.Pools["bulk"].Sessions != 2 {
		t.Errorf("status %+v, %v", s, err)
	}
	if log, _ := os.ReadFile(b.opts.Log); strings.Contains(string(log), "Administrative") {
		t.Errorf("health checks are in BIRD's log:\n%s", log)
	}
}

func TestSetTwiceDoesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t, neighbor("lan", "127.0.1.0/24", 0, ""))
	b.put(true)
	before, err := b.client.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		b.put(false)
	}
	if after, err := b.client.Status(t.Context()); err != nil || after.LastReconfiguration != before.LastReconfiguration {
		t.Errorf("reconfigured at %s, then %s, %v", before.LastReconfiguration, after.LastReconfiguration, err)
	}
}

// Neither a changed plan nor a restarted agent touches a session that is
// still allowed.
func TestSessionsSurvive(t *testing.T) {
	t.Parallel()
	b := newBench(t, neighbor("lan", "127.0.1.0/24", 0, ""), neighbor("one", "127.0.5.1/32", 0, ""), neighbor("signed", "127.0.2.0/24", 0, "k"))
	b.secretFile("k", "sesame")
	b.put(true)
	sessions := []*peer{
		b.router("127.0.1.5", 65001, "").must(t), b.router("127.0.5.1", 65001, "").must(t), b.router("127.0.2.5", 65001, "sesame").must(t),
	}
	b.established(3)
	still := func(step string) {
		t.Helper()
		for _, p := range sessions {
			p.alive(t)
		}
		b.established(3)
		if t.Failed() {
			t.Fatalf("after %s", step)
		}
	}

	b.cfg.Services[0].Neighbors = append([]api.Neighbor{
		neighbor("wide", "127.0.0.0/8", 0, ""), neighbor("narrow", "127.0.1.5/32", 0, ""), neighbor("other", "127.0.3.0/24", 0, ""),
	}, b.cfg.Services[0].Neighbors...)
	// The signed prefix must not hold an unsigned one, but may be in one.
	b.put(true)
	still("neighbors were added")
	b.cfg.Services[0].Neighbors[3].Name = "renamed"
	b.cfg.Probes = append(b.cfg.Probes, netip.MustParseAddr("127.0.0.97"))
	b.put(true)
	still("a rename and a new prober")
	b.cfg.Services = append(b.cfg.Services, realserver.Service{
		Pool: "another-pool", Port: nodetest.FreePort(t), VIPs: []netip.Addr{netip.MustParseAddr(vipA)},
		Speaker: api.Speaker{LocalAS: 64600, HoldTime: api.Duration(30 * time.Second), Neighbors: []api.Neighbor{neighbor("x", "127.0.1.0/24", 0, "")}},
	})
	b.put(true)
	still("a second pool")

	restarted := New(b.opts)
	if changed, err := restarted.Set(t.Context(), b.cfg); changed || err != nil {
		t.Errorf("a restarted agent: changed %v, %v", changed, err)
	}
	b.Driver = restarted
	still("the agent was restarted")
	_ = b.router("127.0.2.6", 65001, "").refused(t)
	b.router("127.0.2.6", 65001, "sesame").must(t).close()

	b.cfg.Services = b.cfg.Services[:1]
	b.put(true)
	still("the second pool was removed")
	b.neighbors(neighbor("one", "127.0.5.1/32", 0, ""))
	b.put(true)
	sessions[1].alive(t)
	b.established(1)
}

func TestOneRouterAtTwoVIPs(t *testing.T) {
	t.Parallel()
	b := newBench(t, neighbor("lan", "127.0.1.0/24", 0, ""), neighbor("one", "127.0.5.1/32", 0, ""))
	b.put(true)
	for _, from := range []string{"127.0.1.5", "127.0.5.1"} {
		first := b.router(from, 65001, "")
		second := first
		second.to = netip.AddrPortFrom(netip.MustParseAddr(vipB), b.port)
		p := first.must(t)
		second.must(t).alive(t)
		p.alive(t)
	}
	b.established(4)
}

func TestIPv6(t *testing.T) {
	t.Parallel()
	b := newBench(t, neighbor("six", "::/64", 0, "")) // ::1 is the only address that every machine has
	b.cfg.Services[0].VIPs = []netip.Addr{netip.MustParseAddr("::1")}
	b.put(true)
	r := b.router("::1", 65001, "")
	r.to = netip.AddrPortFrom(netip.MustParseAddr("::1"), b.port)
	r.must(t).alive(t)
	b.established(1)
	_, err := bgpcheck.Check(t.Context(), bgpcheck.Target{Addr: netip.AddrPortFrom(netip.MustParseAddr(own), b.port), Source: netip.MustParseAddr(prober), LocalAS: localAS})
	if err != nil {
		t.Error(err)
	}
}

// Sessions are logged with what the operator needs to call the customer.
func TestSessionLog(t *testing.T) {
	t.Parallel()
	b := newBench(t, neighbor("lan", "127.0.1.0/24", 0, ""))
	b.put(true)
	b.established(0)
	p := b.router("127.0.1.5", 65001, "").must(t)
	b.established(1)
	p.close()
	b.established(0)
	for _, want := range []string{
		"session is up: pool=bulk neighbor=lan router=127.0.1.5 vip=127.0.0.10",
		`session is down: pool=bulk neighbor=lan router=127.0.1.5 vip=127.0.0.10 reason="Received: Administrative shutdown"`,
	} {
		if !strings.Contains(b.log.String(), want) {
			t.Errorf("%q is not in the log", want)
		}
	}
}
