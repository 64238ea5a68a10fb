package bgp

import (
	"cmp"
	"errors"
	"flag"
	"io"
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

var record = flag.Bool("record", false, "record what BIRD and FRR say, into testdata/captured")

// recordings are what each engine is asked to do: it connects to one address
// for each session.
var recordings = []struct {
	engine   string
	command  func(dir string) *exec.Cmd
	sessions map[string]string // name -> the address it connects to
	as       map[string]uint32 // of the recorder, if not 65000
}{
	{"bird", func(dir string) *exec.Cmd {
		return exec.Command("bird", "-f", "-c", dir+"/bird.conf", "-s", dir+"/bird.ctl", "-P", dir+"/bird.pid")
	}, map[string]string{"external": "127.0.0.11", "internal": "127.0.0.12", "twooctet": "127.0.0.13", "extended": "127.0.0.14"}, nil},
	{"frr", func(dir string) *exec.Cmd {
		return exec.Command("/usr/lib/frr/bgpd", "-f", dir+"/frr.conf", "-n", "-Z", "-S", "-p", "0", "-u", "root", "-g", "root",
			"-i", dir+"/frr.pid", "-P", "0", "--vty_socket", dir)
	}, map[string]string{"external": "127.0.0.11", "internal": "127.0.0.12"}, map[string]uint32{"external": 65009}},
}

// TestRecord records again what TestCaptured reads. It needs the engines and
// the right to run them, so that it runs on demand only.
func TestRecord(t *testing.T) {
	if !*record {
		t.Skip("on demand: give -record")
	}
	for _, r := range recordings {
		t.Run(r.engine, func(t *testing.T) {
			done := make(chan string, len(r.sessions))
			port := 0
			for name, address := range r.sessions {
				l, err := net.Listen("tcp", net.JoinHostPort(address, strconv.Itoa(port)))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = l.Close() })
				port = l.Addr().(*net.TCPAddr).Port
				as := cmp.Or(r.as[name], 65000)
				go func() { done <- r.engine + "-" + name + ": " + recordSession(l, as, r.engine+"-"+name) }()
			}
			dir := t.TempDir()
			writeConfig(t, dir, r.engine+".conf", port)
			cmd := r.command(dir)
			cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			for range r.sessions {
				t.Log(<-done)
			}
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
	}
}

func writeConfig(t *testing.T, dir, name string, port int) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata/captured", name))
	if err != nil {
		t.Fatal(err)
	}
	var many strings.Builder
	for i := range 500 { // enough for messages of more than 4096 bytes
		many.WriteString("route 2001:db8::" + strconv.Itoa(i) + "/128 blackhole;\n")
	}
	for file, content := range map[string]string{name: strings.ReplaceAll(string(text), "PORT", strconv.Itoa(port)), "many.conf": many.String()} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// recordSession accepts one session, opens it, and writes what it reads until
// the peer has nothing to say for two seconds.
func recordSession(l net.Listener, as uint32, name string) string {
	_ = l.(*net.TCPListener).SetDeadline(time.Now().Add(15 * time.Second))
	c, err := l.Accept()
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	open := Open{AS: as, HoldTime: 30 * time.Second, Identifier: netip.MustParseAddr("192.0.2.1"), Capabilities: []Capability{
		Multiprotocol(IPv4Unicast), Multiprotocol(IPv6Unicast), {CapRouteRefresh, nil}, {CapExtendedMessage, nil}, {CapEnhancedRefresh, nil}}}
	if _, err := c.Write(AppendKeepalive(open.Append(nil))); err != nil {
		return err.Error()
	}
	var all []byte
	for buf := make([]byte, 65536); ; {
		_ = c.SetReadDeadline(time.Now().Add(2 * time.Second))
		n, err := c.Read(buf)
		all = append(all, buf[:n]...)
		if errors.Is(err, io.EOF) || os.IsTimeout(err) {
			break
		}
		if err != nil {
			return err.Error()
		}
	}
	if err := os.WriteFile(filepath.Join("testdata/captured", name+".bin"), all, 0o644); err != nil {
		return err.Error()
	}
	return strconv.Itoa(len(all)) + " bytes"
}
