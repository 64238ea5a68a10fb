package speaker

import (
	"net/netip"
	"testing"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/realserver/bgp"
	"github.com/peerage/peerage/realserver/speaker/control"
)

// keyed is a router with a key.
func (b *bench) keyed(from, key string) router {
	r := b.router(from, 65001)
	r.key = key
	return r
}

func TestKeys(t *testing.T) {
	t.Parallel()
	b := newBench(t, signed(acme("acme", "127.0.2.0/24"), "a"), signed(acme("host", "127.0.2.9/32"), "h"), acme("open", "127.0.1.0/24"))
	b.secret("a", "sesame")
	b.secret("h", "thyme")
	b.put(true)
	b.keyed("127.0.2.5", "sesame").must(t).alive()
	b.keyed("127.0.2.9", "thyme").must(t).alive()
	b.keyed("127.0.1.5", "").must(t).alive()
	b.keyed("127.0.2.6", "").silent(t)
	b.keyed("127.0.2.6", "wrong").silent(t)
	b.keyed("127.0.2.9", "sesame").silent(t)
	b.keyed("127.0.1.6", "sesame").silent(t)
	b.established(3)
	if s := b.session("127.0.2.5"); !s.MD5 {
		t.Errorf("a signed session says of itself: %+v", s)
	}
}

// A customer that is renamed while its new key is missing has no neighbour to
// fall back to: its session has what it had, and the speaker goes on.
func TestRenamedWithoutKey(t *testing.T) {
	t.Parallel()
	b := newBench(t, signed(acme("acme", "127.0.2.0/24"), "a"), acme("open", "127.0.1.0/24"))
	b.secret("a", "sesame")
	b.put(true)
	l := b.keyed("127.0.2.5", "sesame").must(t)
	b.established(1)
	b.cfg.Customers = []control.Customer{signed(acme("acme-eu", "127.0.2.0/24"), "b"), b.cfg.Customers[1]}
	b.put(true, "customer acme-eu: neighbor 127.0.2.0/24 at 127.0.0.10", "customer acme-eu: neighbor 127.0.2.0/24 at 127.0.0.11")
	b.established(1)
	l.alive()
	b.keyed("127.0.1.5", "").must(t).alive()
	b.established(2)
	b.secret("b", "thyme")
	b.put(true)
	l.ends(bgp.CodeCease, bgp.SubConfigurationChange)
	b.keyed("127.0.2.5", "thyme").must(t).alive()
}

// The kernel gave each connection its key when it accepted it: changes of the
// listener's keys touch no session. The next connection needs the new one.
func TestKeysChangeUnderSessions(t *testing.T) {
	t.Parallel()
	b := newBench(t, signed(acme("acme", "127.0.2.0/24"), "a"))
	b.secret("a", "sesame")
	b.put(true)
	l := b.keyed("127.0.2.5", "sesame").must(t)
	b.established(1)
	still := func(step string) {
		t.Helper()
		l.alive()
		if b.session("127.0.2.5").State != "established" {
			t.Fatalf("%s: %+v", step, b.session("127.0.2.5"))
		}
	}
	b.secret("a", "cumin")
	b.put(true) // the same names: the file is read again
	still("another key")
	b.keyed("127.0.2.6", "sesame").silent(t)
	b.keyed("127.0.2.6", "cumin").must(t).alive()

	b.cfg.Customers = append(b.cfg.Customers, signed(acme("more", "127.0.3.0/24"), "a"))
	b.put(true)
	still("a key more")

	b.cfg.Customers[0] = acme("acme", "127.0.2.0/24")
	b.put(true)
	still("no key")
	b.keyed("127.0.2.7", "").must(t).alive()
	b.keyed("127.0.2.8", "cumin").silent(t)

	b.cfg.Customers[0] = signed(acme("acme", "127.0.2.0/24"), "a")
	b.put(true)
	still("a key again")
	b.keyed("127.0.2.9", "cumin").must(t).alive()
	b.keyed("127.0.2.10", "").silent(t)
}

// A neighbour that cannot be configured is left out when it is new, and keeps
// what it had when it has sessions.
func TestKeyProblems(t *testing.T) {
	t.Parallel()
	b := newBench(t, signed(acme("acme", "127.0.2.0/24"), "a"), signed(acme("late", "127.0.3.0/24"), "missing"))
	b.secret("a", "sesame")
	b.put(true, "customer late: neighbor 127.0.3.0/24 at 127.0.0.10", "customer late: neighbor 127.0.3.0/24 at 127.0.0.11")
	l := b.keyed("127.0.2.5", "sesame").must(t)
	b.keyed("127.0.3.5", "").refused(t, bgp.CodeCease, bgp.SubConnectionRejected)

	b.cfg.Customers[0] = signed(acme("acme", "127.0.2.0/24"), "gone")
	b.put(true, "customer acme", "customer acme", "customer late", "customer late")
	l.alive()
	b.keyed("127.0.2.6", "sesame").must(t).alive() // at this address it has sessions

	b.cfg.Customers[0] = signed(acme("acme", "127.0.2.0/24"), "a")
	b.secret("missing", "thyme")
	b.put(true)
	l.alive()
	b.keyed("127.0.3.5", "thyme").must(t).alive()
}

// What the kernel cannot do is told before a router notices.
func TestKeysThatCannotBe(t *testing.T) {
	t.Parallel()
	b := newBench(t, signed(acme("acme", "127.0.2.0/24"), "a"), acme("inner", "127.0.2.9/32"), acme("outer", "127.0.0.0/8"))
	b.cfg.Services[0].VIPs = addrs(vipA)
	b.secret("a", "sesame")
	b.put(true, "customer inner: neighbor 127.0.2.9/32 at 127.0.0.10")
	b.keyed("127.0.2.5", "sesame").must(t).alive()
	b.keyed("127.0.9.9", "").must(t).alive()

	many := control127(2000)
	table, err := compile(configOf(many), b.opts.Secrets, 131072)
	if err != nil {
		t.Fatal(err)
	}
	// 963 keys were seen to fit.
	if got := 2000 - len(table.problems()); got != 963 {
		t.Errorf("%d keys fit", got)
	}
	if d := table.problems()[0]; !contains(d, "2000 TCP-MD5 keys", "sysctl -w net.core.optmem_max=544272") {
		t.Error(d)
	}
}

func TestTTLSecurity(t *testing.T) {
	t.Parallel()
	b := newBench(t, acme("near", "127.0.2.0/24"), acme("any", "127.0.3.0/24"))
	b.cfg.Customers[0].TTLSecurity = 2
	b.put(true)
	r := b.router("127.0.2.5", 65001)
	r.ttl = 254
	r.must(t).alive()
	r.from, r.ttl = "127.0.2.6", 253
	r.refused(t, bgp.CodeCease, bgp.SubConnectionRejected)
	r.from = "127.0.3.6"
	r.must(t).alive()
}

func TestIPv6(t *testing.T) {
	t.Parallel()
	six := acme("six", "::/64") // ::1 is the only address that every machine has
	six.Neighbors[0] = api.CustomerNeighbor{Prefix: netip.MustParsePrefix("::/64"), MD5Secret: "a"}
	six.TTLSecurity = 1
	b := newBench(t, six)
	b.secret("a", "sesame")
	b.cfg.Services[0].VIPs = addrs("::1")
	b.put(true)
	r := b.keyed("::1", "sesame")
	r.to = netip.AddrPortFrom(netip.IPv6Loopback(), b.port)
	r.refused(t, bgp.CodeCease, bgp.SubConnectionRejected) // its TTL is not that of a neighbour
	r.ttl = 255
	r.must(t).alive()
	b.established(1)
}
