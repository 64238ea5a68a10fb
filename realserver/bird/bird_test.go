package bird

import (
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/node"
	"github.com/peerage/peerage/api/node/bgpcheck"
	"github.com/peerage/peerage/api/node/birdc/birdtest"
	"github.com/peerage/peerage/realserver"
)

// bench is a driver with a real BIRD on addresses of the loopback network.
type bench struct {
	*Driver
	t    *testing.T
	log  *birdtest.Buffer
	cfg  realserver.SpeakerConfig
	port uint16
}

const (
	vipA, vipB = "127.0.0.10", "127.0.0.11"
	own        = "127.0.0.99"
	prober     = "127.0.0.98"
	localAS    = 64500
)

func newBench(t *testing.T, neighbors ...api.Neighbor) *bench {
	t.Helper()
	dir := birdtest.Dir(t)
	b := &bench{t: t, log: &birdtest.Buffer{}, port: freePort(t)}
	if err := os.Mkdir(filepath.Join(dir, "secrets"), 0o700); err != nil {
		t.Fatal(err)
	}
	b.Driver = New(Options{
		Binary: birdtest.Binary(t),
		Config: filepath.Join(dir, "etc", "bird.conf"), Socket: filepath.Join(dir, "bird.ctl"), PID: filepath.Join(dir, "bird.pid"),
		Log:     filepath.Join(dir, "log"),
		Secrets: node.OpenSecrets(filepath.Join(dir, "secrets")),
		Logger:  hclog.New(&hclog.LoggerOptions{Output: b.log, Level: hclog.Debug}),
	})
	b.cfg = realserver.SpeakerConfig{
		RouterID: netip.MustParseAddr("10.0.0.1"),
		Own:      []netip.Addr{netip.MustParseAddr(own)},
		Probes:   []netip.Addr{netip.MustParseAddr(prober), netip.MustParseAddr(own)},
		Services: []realserver.Service{{
			Pool: "bulk", Port: b.port, VIPs: []netip.Addr{netip.MustParseAddr(vipA), netip.MustParseAddr(vipB)},
			Speaker: api.Speaker{LocalAS: localAS, HoldTime: api.Duration(90 * time.Second), Neighbors: neighbors},
		}},
	}
	t.Cleanup(b.end)
	return b
}

// end ends the BIRD that the driver started: nobody else would.
func (b *bench) end() {
	pid := b.process()
	if pid == 0 {
		return
	}
	if b.t.Failed() {
		b.t.Logf("the driver's log:\n%s", b.log)
		text, _ := os.ReadFile(b.opts.Log)
		b.t.Logf("BIRD's log:\n%s", text)
	}
	_ = b.client.Down(context.Background())
	for deadline := time.Now().Add(10 * time.Second); b.process() == pid; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

func freePort(t *testing.T) uint16 {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return netip.MustParseAddrPort(ln.Addr().String()).Port()
}

func (b *bench) secretFile(name, key string) {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(filepath.Dir(b.opts.Socket), "secrets", name), []byte(key), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// put sets the configuration.
func (b *bench) put(wantChanged bool) {
	b.t.Helper()
	changed, err := b.Set(b.t.Context(), b.cfg)
	if err != nil || changed != wantChanged {
		b.t.Fatalf("Set: changed %v, error %v", changed, err)
	}
}

func (b *bench) neighbors(n ...api.Neighbor) { b.cfg.Services[0].Neighbors = n }

// router connects from an address to the first VIP.
func (b *bench) router(from string, as uint16, key string) router {
	return router{from, netip.AddrPortFrom(netip.MustParseAddr(vipA), b.port), as, key}
}

// established awaits the count of sessions that are up.
func (b *bench) established(want int) {
	b.t.Helper()
	birdtest.Await(b.t, func(ctx context.Context) bool {
		s, err := b.Status(ctx)
		return err == nil && s.Pools["bulk"].Established == want
	})
}

func neighbor(name, prefix string, as uint32, secret string) api.Neighbor {
	return api.Neighbor{Name: name, Prefix: netip.MustParsePrefix(prefix), AS: as, MD5Secret: secret}
}

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
		Pool: "another-pool", Port: freePort(t), VIPs: []netip.Addr{netip.MustParseAddr(vipA)},
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

func TestLongestPrefixWins(t *testing.T) {
	t.Parallel()
	wide, middle, narrow := neighbor("wide", "127.0.0.0/8", 65001, ""), neighbor("middle", "127.0.3.0/24", 65002, ""), neighbor("narrow", "127.0.3.5/32", 65003, "")
	same := neighbor("same", "127.0.0.0/16", 65004, "") // its address is that of wide
	check := func(t *testing.T, b *bench, from string, want uint16) {
		t.Helper()
		for _, as := range []uint16{want, 65001 + want%4} {
			if as == want {
				b.router(from, as, "").must(t).close()
			} else if err := b.router(from, as, "").refused(t); err != nil && !strings.Contains(err.Error(), "NOTIFICATION 2/2") {
				t.Errorf("%s as %d: %v, want Bad Peer AS", from, as, err)
			}
			// A refused AS makes BIRD wait for a second.
			birdtest.Await(t, func(ctx context.Context) bool { return b.waiting(ctx) })
		}
	}
	for name, steps := range map[string][][]api.Neighbor{
		"at once":         {{narrow, middle, wide}},
		"longer later":    {{wide}, {wide, middle}, {narrow, wide, middle}},
		"shorter later":   {{narrow}, {narrow, middle}, {narrow, middle, wide}},
		"same address":    {{wide, same, narrow, middle}},
		"shorter removed": {{same, wide, narrow, middle}, {narrow, middle, wide}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			for i, neighbors := range steps {
				b.neighbors(neighbors...)
				b.put(true)
				if i > 0 || len(steps) == 1 || name != "longer later" {
					continue
				}
				// These leave protocols behind that must not take what comes.
				check(t, b, "127.0.3.5", 65001)
				check(t, b, "127.0.3.6", 65001)
			}
			check(t, b, "127.0.3.5", 65003)
			check(t, b, "127.0.3.6", 65002)
			if strings.HasPrefix(name, "same") {
				check(t, b, "127.0.4.1", 65004)
				check(t, b, "127.1.4.1", 65001)
			}
		})
	}
}

// waiting tells whether no session and no delay after an error is left.
func (b *bench) waiting(ctx context.Context) bool {
	all, err := b.client.Protocols(ctx)
	for _, p := range all {
		if p.BGP != nil && p.BGP.State != "Passive" {
			return false
		}
	}
	return err == nil
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

// The key of a prefix stays on the listener whatever happens to the protocols
// that BIRD spawns below it.
func TestSignedPrefixes(t *testing.T) {
	t.Parallel()
	b := newBench(t, neighbor("signed", "127.0.2.0/24", 0, "k"))
	b.secretFile("k", "sesame")
	b.secretFile("k2", "open")
	b.put(true)
	guarded := func(step, from string) {
		t.Helper()
		b.router(from, 65001, "sesame").must(t).close()
		_ = b.router(from, 65001, "wrong").refused(t)
		_ = b.router(from, 65001, "").refused(t)
		if t.Failed() {
			t.Fatalf("after %s", step)
		}
	}
	guarded("the start", "127.0.2.9")
	guarded("a session that ended", "127.0.2.10")
	stays := b.router("127.0.2.20", 65001, "sesame").must(t)

	// 127.0.2.9 left a protocol behind that the new prefix takes over.
	b.neighbors(neighbor("signed", "127.0.2.0/24", 0, "k"), neighbor("inner", "127.0.2.8/30", 0, "k2"))
	b.put(true)
	guarded("a longer prefix", "127.0.2.21")
	b.router("127.0.2.9", 65001, "open").must(t).close()
	_ = b.router("127.0.2.9", 65001, "sesame").refused(t)
	stays.alive(t)

	b.secretFile("k", "changed")
	b.put(true)
	b.router("127.0.2.22", 65001, "changed").must(t).close()
	_ = b.router("127.0.2.22", 65001, "sesame").refused(t)
	_ = b.router("127.0.2.22", 65001, "").refused(t)
	b.router("127.0.2.9", 65001, "open").must(t)

	config, err := os.ReadFile(b.opts.Config)
	if err != nil || !strings.Contains(string(config), "changed") {
		t.Error("the key is not in the configuration", err)
	}
	info, err := os.Stat(b.opts.Config)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the configuration has mode %v, %v", info.Mode(), err)
	}
	if text := b.log.String(); strings.Contains(text, "sesame") || strings.Contains(text, "changed") {
		t.Errorf("a key is in the log:\n%s", text)
	}
}

func TestRefusedConfigurationKeepsTheOld(t *testing.T) {
	t.Parallel()
	b := newBench(t, neighbor("lan", "127.0.1.0/24", 0, ""))
	b.put(true)
	session := b.router("127.0.1.5", 65001, "").must(t)
	good, err := os.ReadFile(b.opts.Config)
	if err != nil {
		t.Fatal(err)
	}
	b.cfg.Services[0].HoldTime = api.Duration(time.Second)
	changed, err := b.Set(t.Context(), b.cfg)
	if changed || err == nil || !strings.Contains(err.Error(), "Hold time must be in range 3-65535") || !strings.Contains(err.Error(), "bird.conf.new:") {
		t.Errorf("changed %v, error %v", changed, err)
	}
	session.alive(t)
	b.established(1)
	if now, err := os.ReadFile(b.opts.Config); err != nil || string(now) != string(good) {
		t.Errorf("the file changed, %v", err)
	}
	if _, err := os.Stat(b.opts.Config + ".new"); !os.IsNotExist(err) {
		t.Errorf("the refused file is left behind: %v", err)
	}
	b.cfg.Services[0].HoldTime = api.Duration(90 * time.Second)
	b.put(false)
}

func TestMissingKey(t *testing.T) {
	t.Parallel()
	b := newBench(t, neighbor("lan", "127.0.1.0/24", 0, ""), neighbor("signed", "127.0.2.5/32", 0, "k"))
	changed, err := b.Set(t.Context(), b.cfg)
	if !changed || err == nil || !strings.Contains(err.Error(), `pool bulk: neighbor signed (127.0.2.5/32 at 127.0.0.10`) || !strings.Contains(err.Error(), `secret "k"`) {
		t.Errorf("changed %v, error %v", changed, err)
	}
	b.router("127.0.1.5", 65001, "").must(t).alive(t)
	_ = b.router("127.0.2.5", 65001, "").refused(t)

	b.secretFile("k", "sesame")
	b.put(true)
	session := b.router("127.0.2.5", 65001, "sesame").must(t)

	// A key that gets lost later ends no session.
	if err := os.Remove(filepath.Join(filepath.Dir(b.opts.Socket), "secrets", "k")); err != nil {
		t.Fatal(err)
	}
	if changed, err := b.Set(t.Context(), b.cfg); changed || err == nil || !strings.Contains(err.Error(), "keeps its configuration") {
		t.Errorf("changed %v, error %v", changed, err)
	}
	session.alive(t)
	b.established(2)
}

// An agent that restarts from an old cache ends no session of a neighbour or
// pool that is newer.
func TestAdditive(t *testing.T) {
	t.Parallel()
	lan, one := neighbor("lan", "127.0.1.0/24", 0, ""), neighbor("one", "127.0.5.1/32", 0, "")
	b := newBench(t, lan)
	b.cfg.Additive = true
	b.put(true)
	b.neighbors(lan, one)
	b.put(true)
	session := b.router("127.0.5.1", 65001, "").must(t)
	b.neighbors(lan)
	if changed, err := b.Set(t.Context(), b.cfg); changed || err == nil || !strings.Contains(err.Error(), "keeps its configuration") {
		t.Errorf("changed %v, error %v", changed, err)
	}
	session.alive(t)
	b.cfg.Additive = false
	b.put(true)
	b.established(0)
}

func TestForeignBird(t *testing.T) {
	t.Parallel()
	foreign := birdtest.Start(t, "router id 10.0.0.1;\nprotocol device {}\n")
	b := newBench(t)
	b.opts.Socket, b.client.Socket = foreign.Socket, foreign.Socket
	if changed, err := b.Set(t.Context(), b.cfg); changed || err == nil || !strings.Contains(err.Error(), "not ours") {
		t.Errorf("changed %v, error %v", changed, err)
	}
	if _, err := os.Stat(b.opts.Config); !os.IsNotExist(err) {
		t.Errorf("the configuration was written: %v", err)
	}
}

func TestLostSocket(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.put(true)
	pid := b.process()
	if err := os.Rename(b.opts.Socket, b.opts.Socket+".away"); err != nil {
		t.Fatal(err)
	}
	if changed, err := b.Set(t.Context(), b.cfg); changed || err == nil || !strings.Contains(err.Error(), "runs as process "+strconv.Itoa(pid)) {
		t.Errorf("changed %v, error %v", changed, err)
	}
	if err := os.Rename(b.opts.Socket+".away", b.opts.Socket); err != nil {
		t.Fatal(err)
	}
	b.put(false)
}

func TestNothingToServe(t *testing.T) {
	t.Parallel()
	b := newBench(t, neighbor("lan", "127.0.1.0/24", 0, ""))
	services := b.cfg.Services
	b.cfg.Services = nil
	b.put(false)
	if b.process() != 0 {
		t.Error("BIRD was started for nothing")
	}
	b.cfg.Services = services
	b.put(true)
	b.router("127.0.1.5", 65001, "").must(t)
	b.cfg.Services = nil
	b.put(true)
	b.established(0)
	if b.process() == 0 {
		t.Error("BIRD was stopped")
	}
}

func TestEditedFileIsRepaired(t *testing.T) {
	t.Parallel()
	b := newBench(t, neighbor("lan", "127.0.1.0/24", 0, ""))
	b.put(true)
	good, err := os.ReadFile(b.opts.Config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(b.opts.Config, []byte("nonsense"), 0o644); err != nil {
		t.Fatal(err)
	}
	b.put(false)
	if now, err := os.ReadFile(b.opts.Config); err != nil || string(now) != string(good) {
		t.Errorf("not repaired: %v", err)
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

// BIRD is a child of nobody, and listens before its addresses are there.
func TestStart(t *testing.T) {
	t.Parallel()
	b := newBench(t, neighbor("lan", "127.0.1.0/24", 0, ""))
	b.cfg.Services[0].VIPs = append(b.cfg.Services[0].VIPs, netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1"))
	b.put(true)
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(b.process()) + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	// pid (comm) state ppid pgrp session
	fields := strings.Fields(string(stat))
	if ppid := strconv.Itoa(os.Getpid()); fields[3] == ppid || fields[5] == strconv.Itoa(unixSession(t)) {
		t.Errorf("BIRD's parent is %s and its session %s; ours is process %s", fields[3], fields[5], ppid)
	}
	if log, err := os.ReadFile(b.opts.Log); err != nil || strings.Contains(string(log), "Cannot") {
		t.Errorf("BIRD's log: %s, %v", log, err)
	}
}

func unixSession(t *testing.T) int {
	t.Helper()
	sid, err := unix.Getsid(0)
	if err != nil {
		t.Fatal(err)
	}
	return sid
}

func TestStartFails(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		spoil func(*bench)
		want  string
	}{
		"no binary":  {func(b *bench) { b.opts.Binary = filepath.Join(filepath.Dir(b.opts.Socket), "none") }, "no such file or directory"},
		"no systemd": {func(b *bench) { b.opts.Unit = "peerage-no-such-unit.service" }, "systemctl start peerage-no-such-unit.service"},
		"refused":    {func(b *bench) { b.cfg.Services[0].HoldTime = 1e9 }, "Hold time must be"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, neighbor("lan", "127.0.1.0/24", 0, ""))
			test.spoil(b)
			_, err := b.Set(t.Context(), b.cfg)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v", err)
			}
			if _, err := b.Status(t.Context()); err == nil {
				t.Error("status without BIRD")
			}
		})
	}
}
