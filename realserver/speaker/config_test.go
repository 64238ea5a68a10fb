package speaker

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/node/nodetest"
	"github.com/peerage/peerage/realserver/bgp"
	"github.com/peerage/peerage/realserver/speaker/control"
)

func TestSetTwiceDoesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t, signed(acme("acme", "127.0.1.0/24"), "k"), acme("other", "127.0.2.0/24"))
	b.secret("k", "sesame")
	med := uint32(7)
	b.cfg.Routes = []api.RouteIntent{{Target: api.RouteTarget{All: true}, Prefix: netip.MustParsePrefix("10.0.0.0/8"), NextHop: routerID, MED: &med, Communities: []string{"blackhole"}}}
	b.put(true)
	for range 3 {
		b.put(false)
	}
	med2 := uint32(7) // equal, and elsewhere
	b.cfg.Routes[0].MED = &med2
	b.put(false)
}

// Neither a changed configuration nor a restarted agent touches a session
// that is still allowed.
func TestSessionsSurvive(t *testing.T) {
	t.Parallel()
	b := newBench(t, acme("lan", "127.0.1.0/24"), acme("one", "127.0.5.1/32"), signed(acme("signed", "127.0.2.0/24"), "k"))
	b.secret("k", "sesame")
	b.put(true)
	key := b.router("127.0.2.5", 65001)
	key.key = "sesame"
	sessions := []*link{b.router("127.0.1.5", 65001).must(t), b.router("127.0.5.1", 65001).must(t), key.must(t)}
	b.established(3)
	still := func(step string) {
		t.Helper()
		for _, l := range sessions {
			l.alive()
		}
		b.established(3)
		if t.Failed() {
			t.Fatalf("after %s", step)
		}
	}
	// The signed prefix must not hold an unsigned one, but may be in one.
	b.cfg.Customers = append(b.cfg.Customers, acme("wide", "127.0.0.0/8"), acme("other", "127.0.3.0/24"))
	b.put(true)
	still("neighbors were added")
	b.cfg.Probes = append(b.cfg.Probes, netip.MustParseAddr("127.0.0.97"))
	b.put(true)
	still("a new prober")
	b.cfg.Services = append(b.cfg.Services, control.Service{Pool: "another", Port: nodetest.FreePort(t), VIPs: addrs(vipA), LocalAS: 64600, HoldTime: api.Duration(30 * time.Second)})
	b.cfg.Customers[0].Pools = append(b.cfg.Customers[0].Pools, "another")
	b.put(true)
	still("a second pool")
	for i := range b.cfg.Customers {
		b.cfg.Customers[i].MaxPrefixes = &api.MaxPrefixes{Limit: 100}
		b.cfg.Customers[i].Limits = api.CustomerLimits{MemoryMiB: 10, UpdatesPerSecond: 1000}
	}
	b.put(true)
	still("limits")
	for i := range b.cfg.Customers {
		b.cfg.Customers[i].TTLSecurity = 254
		b.cfg.Customers[i].HoldTime = api.Duration(time.Minute)
		b.cfg.Customers[i].MinHoldTime = api.Duration(2 * time.Minute)
	}
	b.put(true)
	still("hold times and TTL security")
	b.cfg.Customers[2].Neighbors[0].AS = []uint32{65001, 65002}
	b.put(true)
	still("AS numbers that have the router's")
	b.cfg.Services = b.cfg.Services[:1]
	b.put(true)
	still("the second pool was removed")
	b.cfg.Customers = b.cfg.Customers[1:3]
	b.put(true)
	sessions[0].ends(bgp.CodeCease, bgp.SubPeerDeconfigured)
	sessions[1].alive()
	sessions[2].alive()
	b.established(2)
}

// What changes about a neighbour ends its own sessions and no others.
func TestChangesEndSessions(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*control.Config)
		sub    uint8
	}{
		"removed":       {func(c *control.Config) { c.Customers[0].Neighbors = nil }, bgp.SubPeerDeconfigured},
		"other AS":      {func(c *control.Config) { c.Customers[0].Neighbors[0].AS = []uint32{65002} }, bgp.SubConfigurationChange},
		"families":      {func(c *control.Config) { c.Customers[0].Families = []api.AddressFamily{api.IPv4Unicast} }, bgp.SubConfigurationChange},
		"other owner":   {func(c *control.Config) { c.Customers[1] = acme("other", "127.0.2.0/24", "127.0.1.5/32") }, bgp.SubConfigurationChange},
		"out of a pool": {func(c *control.Config) { c.Customers[0].Pools = nil }, bgp.SubPeerDeconfigured},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, acme("acme", "127.0.1.0/24"), acme("other", "127.0.2.0/24"))
			b.put(true)
			mine, other := b.router("127.0.1.5", 65001).must(t), b.router("127.0.2.5", 65001).must(t)
			b.established(2)
			b.cfg.Additive = true
			tt.change(&b.cfg)
			if _, err := b.Set(t.Context(), b.cfg); !errors.Is(err, control.ErrRefused) {
				t.Errorf("an additive configuration that ends a session: %v", err)
			}
			mine.alive()
			b.cfg.Additive = false
			b.put(true)
			mine.ends(bgp.CodeCease, tt.sub)
			other.alive()
			b.established(1)
		})
	}
}

func TestBadConfigurations(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*control.Config)
		want   string
	}{
		"router id": {func(c *control.Config) { c.RouterID = netip.MustParseAddr("::1") }, "form of an IPv4 address"},
		"two pools": {func(c *control.Config) { c.Services = append(c.Services, c.Services[0]) }, "is in pool bulk and in pool bulk"},
		"no AS":     {func(c *control.Config) { c.Services[0].LocalAS = 0 }, "needs a port and an AS number"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, acme("acme", "127.0.1.0/24"))
			b.put(true)
			l := b.router("127.0.1.5", 65001).must(t)
			good := b.cfg
			b.cfg.Services = append([]control.Service(nil), b.cfg.Services...)
			tt.change(&b.cfg)
			if _, err := b.Set(t.Context(), b.cfg); !errors.Is(err, control.ErrInvalid) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error is %v, want %q", err, tt.want)
			}
			l.alive()
			if got, _ := b.Config(); got.RouterID != good.RouterID || len(got.Services) != len(good.Services) {
				t.Errorf("the configuration in force is %+v", got)
			}
		})
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	c := control.Config{
		Schema: 1, RouterID: routerID, Services: []control.Service{{Pool: pool, VIPs: addrs("192.0.2.1", "2001:db8::1"), Port: 179, LocalAS: localAS}},
		Customers: []control.Customer{acme("wide", "0.0.0.0/0", "::/0"), acme("net", "10.0.0.0/8", "2001:db8:1::/48"), acme("host", "10.1.2.3/32")},
	}
	table, err := compile(c, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	at4, at6 := netip.MustParseAddrPort("192.0.2.1:179"), netip.MustParseAddrPort("[2001:db8::1]:179")
	got := map[string]string{}
	for _, a := range addrs("10.1.2.3", "10.1.2.4", "11.0.0.1", "2001:db8:1::9", "2001:db8:2::9") {
		at := at4
		if a.Is6() {
			at = at6
		}
		got[a.String()] = table.find(keyOf(pool, at, a)).customer
	}
	want := map[string]string{"10.1.2.3": "host", "10.1.2.4": "net", "11.0.0.1": "wide", "2001:db8:1::9": "net", "2001:db8:2::9": "wide"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// What is restored does not take the place of what was set meanwhile.
func TestRestoreComesLate(t *testing.T) {
	t.Parallel()
	old := configOf(acme("old", "127.0.1.0/24"))
	old.Services = nil
	now := old
	now.Customers = []control.Customer{acme("new", "127.0.1.0/24")}
	s := New(Options{StateDir: t.TempDir()})
	if err := s.save(old); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Set(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	if _, err := s.set(t.Context(), old, true); err != nil {
		t.Error(err)
	}
	got, _ := s.Config()
	if d := cmp.Diff([]string{"new"}, []string{got.Customers[0].Name}); d != "" {
		t.Error(d)
	}
}

func TestSamePrefixTwice(t *testing.T) {
	t.Parallel()
	b := newBench(t, acme("acme", "127.0.1.0/24"), acme("zebra", "127.0.1.0/24"))
	b.put(true, "customer acme: neighbor 127.0.1.0/24 at 127.0.0.10", "customer zebra has the same prefix")
	b.router("127.0.1.5", 65001).refused(t, bgp.CodeCease, bgp.SubConnectionRejected)
}

// A restart begins with what was in force.
func TestRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := newBenchWith(t, Options{StateDir: dir}, acme("acme", "127.0.1.0/24"))
	b.put(true)
	l := b.router("127.0.1.5", 65001).must(t)
	b.established(1)
	b.stop()
	n := l.ends(bgp.CodeCease, bgp.SubAdministrativeShutdown)
	if n.Communication() != "the speaker is shut down" {
		t.Errorf("the router was told %q", n.Communication())
	}
	b.Speaker = New(Options{StateDir: dir, Logger: b.Speaker.log})
	start(t, b.Speaker)
	b.eventually("the restored configuration", func() bool { return b.Status().Configured })
	b.router("127.0.1.5", 65001).must(t)
	b.established(1)
	b.put(false)
}
