package swarm

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// startBIRD runs a passive BIRD on a free port of 127.0.0.1 that takes any
// customer in 127/8, and returns its address.
func startBIRD(t *testing.T, options string) netip.AddrPort {
	t.Helper()
	if _, err := exec.LookPath("bird"); err != nil {
		t.Skip("needs the package bird2; hack/lab/install.sh installs it")
	}
	dir := t.TempDir()
	port := freePort(t)
	conf := fmt.Sprintf(`log "%s/log" all; router id 10.0.0.1;
protocol device {}
protocol bgp customers {
  local 127.0.0.1 port %d as 65000; neighbor range 127.0.0.0/8 external; multihop; passive; strict bind;
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
		c, err := net.Dial("tcp", target.String())
		if err != nil {
			return false
		}
		c.Close()
		return true
	})
	return target
}

func freePort(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return uint16(l.Addr().(*net.TCPAddr).Port)
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
		Sessions: n, FirstAS: 65001, ASes: 1, HoldTime: 9 * time.Second, Profile: eager(t), Rate: 500,
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

func established(s *Swarm) (n int) {
	for _, r := range s.Records() {
		if r.State == Established {
			n++
		}
	}
	return n
}

func TestSwarmAgainstBIRD(t *testing.T) {
	s := start(t, testConfig(t, startBIRD(t, ""), 50))
	await(t, "50 sessions established", func() bool { return established(s) == 50 })
	for _, r := range s.Records() {
		if r.Server != netip.MustParseAddr("10.0.0.1") || r.Flaps != 0 || r.Ups != 1 {
			t.Errorf("session %d: %+v", r.Index, r)
		}
	}
}

func TestSwarmReconnects(t *testing.T) {
	target := startBIRD(t, "")
	s := start(t, testConfig(t, target, 5))
	await(t, "5 sessions established", func() bool { return established(s) == 5 })
	killConnections(t, target)
	await(t, "5 sessions back", func() bool {
		n := 0
		for _, r := range s.Records() {
			if r.Ups == 2 && r.State == Established {
				n++
			}
		}
		return n == 5
	})
	for _, r := range s.Records() {
		if r.Flaps != 1 || len(r.Outages) != 1 || r.LastCause == "" {
			t.Errorf("session %d: %+v", r.Index, r)
		}
	}
}

// killConnections resets what is connected to target.
func killConnections(t *testing.T, target netip.AddrPort) {
	t.Helper()
	out, err := exec.Command("ss", "-K", "dst", target.Addr().String(), "dport", "=", strconv.Itoa(int(target.Port()))).CombinedOutput()
	if err != nil || !strings.Contains(string(out), target.String()) {
		t.Skipf("ss -K needs CAP_NET_ADMIN and CONFIG_INET_DIAG_DESTROY: %v: %s", err, out)
	}
}
