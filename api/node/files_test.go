package node

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/peerage/peerage/api"
)

func TestWriteFileAtomic(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "f.json")
	if err := WriteFileAtomic(file, []byte("old"), 0o640); err != nil {
		t.Fatal(err)
	}
	// A reader sees one of the contents in full, whenever it looks.
	a, b := strings.Repeat("a", 100_000), strings.Repeat("b", 50_000)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			got, err := os.ReadFile(file)
			if s := string(got); err != nil || s != "old" && s != a && s != b {
				t.Errorf("%d bytes, %v", len(got), err)
				return
			}
		}
	})
	for range 10 {
		for _, text := range []string{a, b} {
			if err := WriteFileAtomic(file, []byte(text), 0o640); err != nil {
				t.Error(err)
			}
		}
	}
	close(stop)
	wg.Wait()
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", info, err)
	}
	if err := WriteFileAtomic(filepath.Join(dir, "missing", "f"), nil, 0o600); err == nil || !strings.Contains(err.Error(), "missing/f") {
		t.Error(err)
	}
	// A target that cannot be replaced leaves nothing behind.
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "d"), 0o700), os.WriteFile(filepath.Join(dir, "d/x"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := WriteFileAtomic(filepath.Join(dir, "d"), nil, 0o600); err == nil {
		t.Error("a directory was replaced")
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("%v, %v", entries, err)
	}
}

func TestLockDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	lock, err := LockDir(dir, "peerage-agent")
	if err != nil {
		t.Fatal(err)
	}
	_, err = LockDir(dir, "peerage-agent")
	if !errors.Is(err, ErrLocked) || api.ExitCodeOf(err) != api.ExitConflict ||
		!strings.Contains(err.Error(), "is in use by peerage-agent (process ") {
		t.Errorf("%v", err)
	}
	other, err := LockDir(dir, "peerage-controller")
	if err != nil {
		t.Errorf("another program: %v", err)
	}
	if err := errors.Join(lock.Close(), other.Close()); err != nil {
		t.Error(err)
	}
	again, err := LockDir(dir, "peerage-agent")
	if err != nil {
		t.Fatal(err)
	}
	_ = again.Close()
	if _, err := LockDir("/dev/null/x", "p"); err == nil {
		t.Error("locked nowhere")
	}
}

func TestNotify(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if err := Notify("READY=1"); err != nil {
		t.Error(err)
	}
	socket := filepath.Join(t.TempDir(), "notify")
	t.Setenv("NOTIFY_SOCKET", socket)
	if err := Notify("READY=1"); err == nil {
		t.Error("nobody listens, and it was sent")
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := Notify("READY=1\nSTATUS=well"); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	if n, err := conn.Read(buf); err != nil || string(buf[:n]) != "READY=1\nSTATUS=well" {
		t.Errorf("%q, %v", buf[:n], err)
	}
}

func TestCaps(t *testing.T) {
	have, err := effectiveCaps(strings.NewReader("Name:\tx\nCapPrm:\t0\nCapEff:\t0000000000001400\n"))
	if err != nil || have != 1<<10|1<<12 {
		t.Errorf("%x, %v", have, err)
	}
	if err := missingCaps(have, []Capability{CapNetAdmin, CapNetBindService}); err != nil {
		t.Error(err)
	}
	err = missingCaps(have, []Capability{CapNetAdmin, CapNetRaw, 33})
	if want := "the process lacks CAP_NET_RAW and capability 33; run it as root, or give it with AmbientCapabilities=CAP_NET_RAW capability 33 in its systemd unit"; err == nil || err.Error() != want {
		t.Error(err)
	}
	for _, text := range []string{"", "CapEff: zz\n"} {
		if _, err := effectiveCaps(strings.NewReader(text)); err == nil {
			t.Errorf("%q was read", text)
		}
	}
	if err := RequireCaps(); err != nil {
		t.Error(err)
	}
}

func TestBootID(t *testing.T) {
	a, err := BootID()
	b, _ := BootID()
	if err != nil || len(a) != 36 || a != b {
		t.Errorf("%q, %q, %v", a, b, err)
	}
}

func TestVersionLine(t *testing.T) {
	if got := VersionLine("peerage-agent"); !strings.HasPrefix(got, "peerage-agent dev") || strings.Contains(got, "\n") {
		t.Error(got)
	}
}
