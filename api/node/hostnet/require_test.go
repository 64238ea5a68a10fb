package hostnet

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRequireModule(t *testing.T) {
	sys := t.TempDir()
	appear := func(name string) {
		if err := os.Mkdir(filepath.Join(sys, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	appear("ip_vs")
	for _, c := range []struct {
		name, module string
		load         func(context.Context) ([]byte, error)
		want         string
	}{
		{"loaded", "ip_vs", nil, ""},
		{"gets loaded", "ip_vs_mh", func(context.Context) ([]byte, error) { appear("ip_vs_mh"); return nil, nil }, ""},
		{"cannot be loaded", "ip_vs_sh", func(context.Context) ([]byte, error) {
			return []byte("modprobe: FATAL: Module ip_vs_sh not found.\n"), errors.New("exit status 1")
		}, "kernel module ip_vs_sh is not loaded and could not be: exit status 1: modprobe: FATAL: Module ip_vs_sh not found.; run `modprobe ip_vs_sh`"},
		{"does not appear", "dummy", func(context.Context) ([]byte, error) { return nil, nil }, "is not there"},
		{"not a name", "../ip_vs", nil, "not a module's name"},
	} {
		err := requireModule(t.Context(), sys, c.module, c.load)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
}

func TestHostID(t *testing.T) {
	a, err := HostID()
	if err != nil {
		t.Fatal(err)
	}
	if b, err := HostID(); err != nil || a != b || !strings.Contains(a, "/net:[") {
		t.Errorf("HostID %q, then %q (%v)", a, b, err)
	}
}
