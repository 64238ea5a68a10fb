package hostnet

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// tree makes a directory that looks like /proc/sys.
func tree(t testing.TB, values map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for path, value := range values {
		put(t, root, path, value)
	}
	return root
}

func put(t testing.TB, root, path, value string) {
	t.Helper()
	file := filepath.Join(root, filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(value+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

func get(t testing.TB, root, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(path)))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}

func TestSysctls(t *testing.T) {
	root := tree(t, map[string]string{"net/ipv4/vs/sync_threshold": "3\t50", "net/ipv4/vs/conntrack": "0", "net/ipv4/conf/eth0.10/arp_ignore": "0"})
	s := &Sysctls{Dir: t.TempDir(), Root: root, HostID: "a"}
	want := map[string]string{"net.ipv4.vs.sync_threshold": "0 0", "net.ipv4.vs.conntrack": "0", "net/ipv4/conf/eth0.10/arp_ignore": "1", "-net.ipv4.vs.not_there": "1"}
	set := func(wantDrift ...string) {
		t.Helper()
		drifted, err := s.Set(t.Context(), want)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(drifted, wantDrift) {
			t.Errorf("drifted %q, want %q", drifted, wantDrift)
		}
		for path, value := range map[string]string{"net/ipv4/vs/sync_threshold": "0 0", "net/ipv4/conf/eth0.10/arp_ignore": "1"} {
			if got := get(t, root, path); got != value {
				t.Errorf("%s is %q, want %q", path, got, value)
			}
		}
	}
	set()
	set()
	put(t, root, "net/ipv4/vs/sync_threshold", "3\t50")
	put(t, root, "net/ipv4/vs/conntrack", "1")
	set("net.ipv4.vs.conntrack", "net.ipv4.vs.sync_threshold")

	// Another process goes on from the record.
	s = &Sysctls{Dir: s.Dir, Root: root, HostID: "a"}
	put(t, root, "net/ipv4/vs/sync_threshold", "5\t50")
	set("net.ipv4.vs.sync_threshold")

	// Only what still has our value is put back.
	put(t, root, "net/ipv4/conf/eth0.10/arp_ignore", "2")
	for range 2 {
		if err := s.Restore(t.Context()); err != nil {
			t.Fatal(err)
		}
		if a, b := get(t, root, "net/ipv4/vs/sync_threshold"), get(t, root, "net/ipv4/conf/eth0.10/arp_ignore"); a != "3 50" || b != "2" {
			t.Errorf("restored to %q and %q, want the original and the other's", a, b)
		}
	}
	if left, err := os.ReadDir(s.Dir); err != nil || len(left) > 0 {
		t.Errorf("a record is left: %v, %v", left, err)
	}
}

func TestSysctlErrors(t *testing.T) {
	root := tree(t, map[string]string{"net/a": "0", "net/b": "0"})
	if err := os.Symlink("/etc", filepath.Join(root, "net", "out")); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"":                   "not a parameter's name",
		"net..a":             "not a parameter's name",
		"net/../../etc/motd": "not a parameter's name",
		"/net/a":             "not a parameter's name",
		"net.a b":            "not a parameter's name",
		"net/out/hostname":   "escapes",
		"net.missing":        "no such parameter; is its module loaded",
	} {
		s := &Sysctls{Dir: t.TempDir(), Root: root, HostID: "a"}
		_, err := s.Set(t.Context(), map[string]string{key: "1", "net.a": "1"})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one with %q", key, err, want)
		}
		if get(t, root, "net/a") != "1" {
			t.Errorf("%q keeps another parameter from being set", key)
		}
		put(t, root, "net/a", "0")
	}
	// A damaged record is not thrown away: the originals are in it.
	s := &Sysctls{Dir: t.TempDir(), Root: root, HostID: "a"}
	put(t, s.Dir, recordName, `{"host":"a","values":{"net.b":nu`)
	if _, err := s.Set(t.Context(), map[string]string{"net.b": "1"}); err == nil || !strings.Contains(err.Error(), "delete the file") {
		t.Errorf("error %v does not tell the way out", err)
	}
	if get(t, root, "net/b") != "0" {
		t.Error("a value was changed without a record")
	}
	// One of another boot is void.
	put(t, s.Dir, recordName, `{"host":"b","values":{"net.b":{"original":"7","ours":"0"}}}`)
	if err := s.Restore(t.Context()); err != nil || get(t, root, "net/b") != "0" {
		t.Errorf("Restore of another boot's values: %v, b=%s", err, get(t, root, "net/b"))
	}
}

// Whatever the order of Set, tampering and restarts: Restore gives back the
// value that was there before our first change, or leaves what somebody else
// wrote last.
func TestSysctlProperty(t *testing.T) {
	root, dir := tree(t, nil), t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		value := rapid.SampledFrom([]string{"0", "1", "2"})
		now := value.Draw(rt, "original")
		original, ours, changed := "", "", false
		put(t, root, "net/x", now)
		s := &Sysctls{Dir: dir, Root: root, HostID: "a"}
		for range rapid.IntRange(0, 6).Draw(rt, "steps") {
			switch rapid.IntRange(0, 2).Draw(rt, "step") {
			case 0:
				want := value.Draw(rt, "set")
				if !changed && want != now {
					original, changed = now, true
				}
				if want != now {
					ours = want
				}
				now = want
				if _, err := s.Set(context.Background(), map[string]string{"net.x": want}); err != nil {
					rt.Fatal(err)
				}
			case 1:
				now = value.Draw(rt, "tampered")
				put(t, root, "net/x", now)
			case 2:
				s = &Sysctls{Dir: dir, Root: root, HostID: "a"}
			}
		}
		if changed && now == ours {
			now = original
		}
		if err := s.Restore(context.Background()); err != nil {
			rt.Fatal(err)
		}
		if got := get(t, root, "net/x"); got != now {
			rt.Fatalf("restored to %s, want %s", got, now)
		}
		if left := names(rt, dir); len(left) > 0 {
			rt.Fatalf("left behind: %v", left)
		}
	})
}

func names(t *rapid.T, dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}
