package swarm

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/peerage/peerage/api/node/nodetest"
)

// bird is a BIRD that runs for a test.
type bird struct {
	target netip.AddrPort
	dir    string
}

// startBIRD runs a passive BIRD on a free port of 127.0.0.1 that takes any
// customer in 127.1/16.
func startBIRD(t *testing.T, options string) *bird {
	t.Helper()
	if _, err := exec.LookPath("bird"); err != nil {
		t.Skip("needs the package bird2; hack/lab/install.sh installs it")
	}
	dir := t.TempDir()
	port := nodetest.FreePort(t)
	conf := fmt.Sprintf(`log "%s/log" all; router id 10.0.0.1;
protocol device {}
protocol bgp customers {
  local 127.0.0.1 port %d as 65000; neighbor range 127.1.0.0/16 external; multihop; passive; strict bind;
  dynamic name "c"; hold time 9; %s
  ipv4 { import all; export none; }; ipv6 { import all; export none; };
}
`, dir, port, options)
	path := filepath.Join(dir, "bird.conf")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("bird", "-f", "-c", path, "-s", filepath.Join(dir, "ctl"), "-P", filepath.Join(dir, "pid"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	target := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)
	await(t, "BIRD listens", func() bool {
		c, err := net.DialTimeout("tcp", target.String(), time.Second)
		if err != nil {
			return false
		}
		c.Close()
		return true
	})
	return &bird{target, dir}
}

func (b *bird) birdc(t *testing.T, command string) string {
	t.Helper()
	out, err := exec.Command("birdc", "-s", filepath.Join(b.dir, "ctl"), command).CombinedOutput()
	if err != nil {
		t.Fatalf("birdc %s: %v: %s", command, err, out)
	}
	return string(out)
}

// networks counts the networks in BIRD's tables.
func (b *bird) networks(t *testing.T) (n int) {
	for _, m := range regexp.MustCompile(`(\d+) of \d+ routes for (\d+) networks in table`).FindAllStringSubmatch(b.birdc(t, "show route count"), -1) {
		count, _ := strconv.Atoi(m[2])
		n += count
	}
	return n
}

// withdrawals counts the routes that were withdrawn by all sessions.
func (b *bird) withdrawals(t *testing.T) (n int) {
	for _, m := range regexp.MustCompile(`Import withdraws:\s+(\d+)`).FindAllStringSubmatch(b.birdc(t, "show protocols all"), -1) {
		count, _ := strconv.Atoi(m[1])
		n += count
	}
	return n
}

// rejectedNothing fails the test when BIRD complained.
func (b *bird) rejectedNothing(t *testing.T) {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(b.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, "<RMT>") && !strings.Contains(line, "swarm stopped") || strings.Contains(line, "<ERR>") {
			t.Error(line)
		}
	}
}

// await fails the test when ok does not become true within a minute.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not within a minute: %s", what)
}

func eager(t *testing.T) Profile {
	t.Helper()
	p, err := ProfileByName("eager")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func testConfig(t *testing.T, target netip.AddrPort, n int) Config {
	t.Helper()
	return Config{
		Targets: []netip.AddrPort{target}, From: []netip.Prefix{netip.MustParsePrefix("127.1.0.0/16")},
		Sessions: n, FirstAS: 65001, ASes: 1, HoldTime: 9 * time.Second, Profile: eager(t), Rate: 500, InFlight: DefaultInFlight,
	}
}

// start runs a swarm until the end of the test.
func start(t *testing.T, cfg Config) *Swarm {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestSwarmAgainstBIRD(t *testing.T) {
	s := start(t, testConfig(t, startBIRD(t, "").target, 50))
	await(t, "50 sessions established", func() bool { return s.Established() == 50 })
	for _, r := range s.Records() {
		if r.Server != netip.MustParseAddr("10.0.0.1") || r.Flaps != 0 || r.Ups != 1 {
			t.Errorf("session %d: %+v", r.Index, r)
		}
	}
}

// TestTablesAgainstBIRD checks with a real speaker that it takes what is
// announced: the count of routes is BIRD's own.
func TestTablesAgainstBIRD(t *testing.T) {
	for announce, want := range map[string]int{"default": 1, "k=300": 600, "full=2000": 2000} {
		t.Run(announce, func(t *testing.T) {
			b := startBIRD(t, "")
			cfg := testConfig(t, b.target, 2)
			var err error
			if cfg.Table, err = ParseAnnouncement(announce, 7, cfg.used()...); err != nil {
				t.Fatal(err)
			}
			s := start(t, cfg)
			await(t, "BIRD has the routes", func() bool { return b.networks(t) == want })
			if sum := s.Summary(); sum.Flaps != 0 || sum.Failures != 0 {
				t.Errorf("BIRD did not like the table: %+v", sum)
			}
			b.rejectedNothing(t)
		})
	}
}

// TestChurnAgainstBIRD checks that churn reaches the speaker and leaves the
// sessions up.
func TestChurnAgainstBIRD(t *testing.T) {
	b := startBIRD(t, "")
	cfg := testConfig(t, b.target, 2)
	cfg.Table, cfg.Churn = NewOwnTable(1000), 2000
	s := start(t, cfg)
	await(t, "withdrawals arrive", func() bool { return b.withdrawals(t) > 1000 })
	if sum := s.Summary(); sum.Flaps != 0 {
		t.Errorf("%+v", sum)
	}
	b.rejectedNothing(t)
}
