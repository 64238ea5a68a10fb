package bgpcheck

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A real speaker: BIRD with a passive dynamic neighbour on a high port of
// loopback. A check that comes often must find it well each time, and leave
// next to nothing behind.
func TestCheckBIRD(t *testing.T) {
	binary, err := exec.LookPath("bird")
	if err != nil {
		t.Skip("bird is not in PATH; install bird2 to run this test")
	}
	addr, control := startBIRD(t, binary)
	target := Target{Addr: addr, Source: netip.MustParseAddr("127.0.0.5"), LocalAS: 4200000001}
	for i := range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		result, err := Check(ctx, target)
		cancel()
		if err != nil {
			t.Fatalf("check %d: %v", i, err)
		}
		if result.PeerAS != 4200000001 || result.RouterID.String() != "10.9.9.9" || result.HoldTime != 90*time.Second {
			t.Fatalf("check %d: %+v", i, result)
		}
	}
	// BIRD keeps one idle protocol for each source that ever came (here also
	// that of startBIRD) and takes it again: twenty checks do not make twenty.
	if got := dynamicSessions(t, control); len(got) != 2 {
		t.Errorf("%d protocols are left behind:\n%s", len(got), strings.Join(got, "\n"))
	}
	// A source that it does not know is closed without an OPEN.
	stranger := target
	stranger.Source = netip.MustParseAddr("127.0.0.200")
	_, err = Check(t.Context(), stranger)
	wantKind(t, err, KindClosed, "closed without an OPEN")
}

// dynamicSessions lists the protocols that BIRD made from the range, and
// fails when one of them is more than waiting.
func dynamicSessions(t *testing.T, control string) []string {
	t.Helper()
	var made []string
	for line := range strings.Lines(ask(t, control, "show protocols")) {
		fields := strings.Fields(line)
		if len(fields) < 6 || fields[1] != "BGP" || fields[0] == "probe" || strings.HasSuffix(fields[0], "-probe") {
			continue
		}
		made = append(made, strings.TrimSpace(line))
		if fields[5] != "Passive" {
			t.Errorf("not waiting: %s", line)
		}
	}
	return made
}

// ask sends one command to BIRD's control socket.
func ask(t *testing.T, control, command string) string {
	t.Helper()
	conn, err := net.Dial("unix", control)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := errors.Join(conn.SetDeadline(time.Now().Add(5*time.Second)), write(conn, command+"\n")); err != nil {
		t.Fatal(err)
	}
	var reply strings.Builder
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "0000 ") {
			return reply.String()
		}
		reply.WriteString(lines.Text() + "\n")
	}
	t.Fatalf("bird said only %q: %v", reply.String(), lines.Err())
	return ""
}

func write(w io.Writer, s string) error {
	_, err := io.WriteString(w, s)
	return err
}

func startBIRD(t *testing.T, binary string) (speaker netip.AddrPort, control string) {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.9:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().(*net.TCPAddr).AddrPort()
	_ = ln.Close()
	dir := t.TempDir()
	control = filepath.Join(dir, "bird.ctl")
	conf := filepath.Join(dir, "bird.conf")
	text := fmt.Sprintf(`router id 10.9.9.9;
log "%s/bird.log" all;
protocol device { }
protocol bgp probe {
  local 127.0.0.9 port %d as 4200000001;
  neighbor range 127.0.0.0/28 external;
  dynamic name "probe";
  passive on;
  strict bind on;
  multihop;
  hold time 90;
  ipv4 { import none; export none; };
}
`, dir, addr.Port())
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(binary, "-p", "-c", conf).CombinedOutput(); err != nil {
		t.Fatalf("bird -p: %v: %s", err, out)
	}
	// In the foreground (-f), so that it is ours to end.
	cmd := exec.Command(binary, "-f", "-c", conf, "-s", control)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if log, err := os.ReadFile(filepath.Join(dir, "bird.log")); err == nil && t.Failed() {
			t.Logf("bird.log:\n%s", strings.TrimSpace(string(log)))
		}
	})
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if conn, err := net.Dial("tcp4", addr.String()); err == nil {
			_ = conn.Close()
			return addr, control
		}
	}
	t.Fatal("bird does not listen")
	return addr, control
}
