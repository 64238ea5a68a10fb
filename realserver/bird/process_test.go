package bird

import (
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

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
