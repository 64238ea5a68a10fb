package native

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/node/bgpcheck"
	"github.com/peerage/peerage/api/node/nodetest"
	"github.com/peerage/peerage/realserver"
	"github.com/peerage/peerage/realserver/speaker/control"
)

// program builds the speaker, which go keeps in its cache.
func program(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "peerage-speaker")
	cmd := exec.Command("go", "build", "-o", file, "github.com/peerage/peerage/realserver/cmd/peerage-speaker")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return file
}

func options(t *testing.T, binary string) Options {
	t.Helper()
	// A socket's path is short; that of a test's folder may not be.
	dir, err := os.MkdirTemp("", "native")
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Binary: binary, Socket: dir + "/s", StateDir: dir + "/state", SecretsDir: dir + "/secrets"}
	t.Cleanup(func() {
		c := control.NewClient(o.Socket)
		// The test's own context is over by now.
		if s, err := c.Status(context.WithoutCancel(t.Context())); err == nil {
			_ = syscall.Kill(s.PID, syscall.SIGKILL)
		}
		_ = c.Close()
		_ = os.RemoveAll(dir)
	})
	return o
}

func speakerConfig(port uint16) realserver.SpeakerConfig {
	loopback := addr("127.0.0.1")
	return realserver.SpeakerConfig{
		RouterID: addr("10.0.0.1"), Own: []netip.Addr{loopback}, Probes: []netip.Addr{loopback, addr("127.0.0.9")},
		Services: []realserver.Service{{Pool: "edge", VIPs: []netip.Addr{addr("127.0.0.2")}, Port: port, Speaker: api.Speaker{
			LocalAS: 64500, HoldTime: api.Duration(90 * time.Second),
			Neighbors: []api.Neighbor{{Name: "all", Prefix: prefix("127.0.0.0/8")}},
		}}},
	}
}

// A speaker is started once, outlives who started it, and is adopted.
func TestStartAndAdopt(t *testing.T) {
	o := options(t, program(t))
	cfg := speakerConfig(nodetest.FreePort(t))
	first := New(o)
	changed, err := first.Set(t.Context(), cfg)
	if err != nil || !changed {
		t.Fatalf("changed %v, %v", changed, err)
	}
	probe := bgpcheck.Target{Addr: netip.AddrPortFrom(addr("127.0.0.2"), cfg.Services[0].Port), Source: addr("127.0.0.1"), LocalAS: 64500}
	if _, err := bgpcheck.Check(t.Context(), probe); err != nil {
		t.Errorf("the speaker does not answer a health check: %v", err)
	}
	if changed, err := first.Set(t.Context(), cfg); err != nil || changed {
		t.Errorf("the same again: changed %v, %v", changed, err)
	}
	before, err := first.client.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if parent := parentOf(t, before.PID); parent == os.Getpid() {
		t.Error("the speaker is a child of the agent")
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}

	second := New(o)
	if changed, err := second.Set(t.Context(), cfg); err != nil || changed {
		t.Errorf("adopting: changed %v, %v", changed, err)
	}
	status, err := second.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]realserver.SessionCount{"edge": {}}, status.Pools); diff != "" {
		t.Errorf("pools (-want +got)\n%s", diff)
	}
	if after, err := second.client.Status(t.Context()); err != nil || after.PID != before.PID {
		t.Errorf("process %d, not %d: %v", after.PID, before.PID, err)
	}
}

func parentOf(t *testing.T, pid int) int {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	var state string
	var parent int
	if _, err := fmt.Sscan(rest, &state, &parent); err != nil {
		t.Fatal(err)
	}
	return parent
}

// Nothing to serve starts nothing; a program that is missing or fails is told
// with the way out.
func TestNoStart(t *testing.T) {
	o := options(t, "/bin/false")
	if changed, err := New(o).Set(t.Context(), realserver.SpeakerConfig{RouterID: addr("10.0.0.1")}); err != nil || changed {
		t.Errorf("without services: changed %v, %v", changed, err)
	}
	if _, err := New(o).Status(t.Context()); err == nil || !strings.Contains(err.Error(), o.Socket) {
		t.Errorf("status of a speaker that does not run: %v", err)
	}
	o.Binary = "/does/not/exist"
	if _, err := New(o).Set(t.Context(), speakerConfig(1790)); err == nil || !strings.Contains(err.Error(), "/does/not/exist") {
		t.Errorf("missing program: %v", err)
	}
}

// A neighbour whose key is missing is a problem that names it; the rest serves.
func TestProblems(t *testing.T) {
	o := options(t, program(t))
	cfg := speakerConfig(nodetest.FreePort(t))
	cfg.Services[0].Neighbors = append(cfg.Services[0].Neighbors, api.Neighbor{Name: "signed", Prefix: prefix("127.9.0.0/16"), MD5Secret: "nowhere"})
	_, err := New(o).Set(t.Context(), cfg)
	if err == nil || !strings.Contains(err.Error(), "nowhere") || !strings.Contains(err.Error(), "edge.signed") {
		t.Errorf("problem: %v", err)
	}
	probe := bgpcheck.Target{Addr: netip.AddrPortFrom(addr("127.0.0.2"), cfg.Services[0].Port), Source: addr("127.0.0.1"), LocalAS: 64500}
	if _, err := bgpcheck.Check(t.Context(), probe); err != nil {
		t.Errorf("the speaker does not answer a health check: %v", err)
	}
}
