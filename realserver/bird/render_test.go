package bird

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/node/birdc"
	"github.com/peerage/peerage/api/node/birdc/birdtest"
	"github.com/peerage/peerage/realserver"
)

var update = flag.Bool("update", false, "write the golden files")

func addrs(text ...string) []netip.Addr {
	var all []netip.Addr
	for _, a := range text {
		all = append(all, netip.MustParseAddr(a))
	}
	return all
}

func config(services ...realserver.Service) realserver.SpeakerConfig {
	return realserver.SpeakerConfig{
		RouterID: netip.MustParseAddr("192.0.2.21"), Own: addrs("192.0.2.21", "2001:db8::21"),
		Probes: addrs("192.0.2.11", "192.0.2.21", "2001:db8::11", "2001:db8::21"), Services: services,
	}
}

func pool(name string, port uint16, as uint32, vips []netip.Addr, neighbors ...api.Neighbor) realserver.Service {
	return realserver.Service{Pool: name, Port: port, VIPs: vips, Speaker: api.Speaker{
		LocalAS: as, HoldTime: api.Duration(90 * time.Second), Neighbors: neighbors,
	}}
}

// keys are the secrets of the tests.
func keys(name string) (string, error) {
	switch name {
	case "quote":
		return `a"b`, nil
	case "missing":
		return "", errors.New("no such file")
	}
	return "key of " + name, nil
}

// Every golden file was accepted by BIRD.
func TestRender(t *testing.T) {
	long := strings.Repeat("x", 61) + "-1"
	for name, cfg := range map[string]realserver.SpeakerConfig{
		"empty": config(),
		"one-pool": config(pool("bulk", 179, 64500, addrs("198.51.100.1", "2001:db8:f::1"),
			neighbor("all", "0.0.0.0/0", 0, ""), neighbor("acme", "203.0.113.0/24", 64511, "acme"),
			neighbor("acme-1", "203.0.113.7/32", 64511, "acme.1"), neighbor("six", "2001:db8:c::/48", 0, "six"),
			neighbor("six-1", "2001:db8:d::1/128", 4200000000, ""))),
		"two-pools": config(
			pool("as", 1790, 64501, addrs("198.51.100.1"), neighbor("acme", "203.0.113.0/24", 0, "")),
			pool(long, 179, 64500, addrs("198.51.100.1"), neighbor("acme", "203.0.113.0/24", 0, ""))),
	} {
		t.Run(name, func(t *testing.T) {
			logFile := ""
			if name == "two-pools" {
				logFile = "/var/log/peerage bird.log"
			}
			r, err := render(cfg, logFile, keys, 0)
			if err != nil || len(r.skipped) > 0 {
				t.Fatal(err, r.problems())
			}
			golden := filepath.Join("testdata", name+".conf")
			if *update {
				if err := os.WriteFile(golden, r.text, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(r.text)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if err := birdc.Check(t.Context(), birdtest.Binary(t), golden); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRenderProblems(t *testing.T) {
	vips := addrs("198.51.100.1")
	many := []api.Neighbor{}
	for i := range 20 {
		many = append(many, neighbor(fmt.Sprint("n", i), fmt.Sprintf("203.0.113.%d/32", i), 0, "k"))
	}
	for name, test := range map[string]struct {
		neighbors []api.Neighbor
		skipped   []string // neighbours
		want      []string // in the error
	}{
		"missing key":       {[]api.Neighbor{neighbor("a", "203.0.113.0/24", 0, "missing"), neighbor("b", "203.0.114.0/24", 0, "k")}, []string{"a"}, []string{"neighbor a (203.0.113.0/24 at 198.51.100.1:179)", "no such file"}},
		"key with a quote":  {[]api.Neighbor{neighbor("a", "203.0.113.0/24", 0, "quote")}, []string{"a"}, []string{"choose another key"}},
		"unsigned inside":   {[]api.Neighbor{neighbor("a", "203.0.0.0/16", 0, "k"), neighbor("b", "203.0.113.0/24", 0, ""), neighbor("c", "203.0.113.1/32", 0, "k")}, []string{"b"}, []string{"b (203.0.113.0/24 at 198.51.100.1:179): no md5Secret, but the source lies in 203.0.0.0/16 of neighbor a"}},
		"signed inside":     {[]api.Neighbor{neighbor("a", "203.0.0.0/16", 0, ""), neighbor("b", "203.0.113.0/24", 0, "k")}, nil, nil},
		"signed beside":     {[]api.Neighbor{neighbor("a", "203.0.112.0/24", 0, "k"), neighbor("b", "203.0.113.0/24", 0, "")}, nil, nil},
		"own address in it": {[]api.Neighbor{neighbor("all", "0.0.0.0/0", 0, "k")}, []string{""}, []string{"pool bulk: health checks from 192.0.2.21 at 198.51.100.1:179: no md5Secret, but the source lies in 0.0.0.0/0 of neighbor all"}},
		"too many keys":     {many, []string{"n14", "n15", "n16", "n17", "n18", "n19"}, []string{"20 TCP-MD5 keys at one address do not fit into the kernel's option memory of 2000 bytes", "net.core.optmem_max=5712", "and 1 more"}},
		"as many as it may": {many[:14], nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(pool("bulk", 179, 64500, vips, test.neighbors...))
			cfg.Probes = addrs("192.0.2.11", "192.0.2.21")
			r, err := render(cfg, "", keys, 2000)
			if err != nil {
				t.Fatal(err)
			}
			var skipped []string
			for name := range r.skipped {
				skipped = append(skipped, r.groups[name].neighbor)
				if strings.Contains(string(r.text), name+" ") {
					t.Errorf("%s is in the configuration", r.groups[name])
				}
			}
			slices.Sort(skipped)
			if diff := cmp.Diff(test.skipped, skipped); diff != "" {
				t.Errorf("skipped (-want +got)\n%s", diff)
			}
			problem := fmt.Sprint(r.problems())
			for _, want := range test.want {
				if !strings.Contains(problem, want) {
					t.Errorf("%q is not in %q", want, problem)
				}
			}
			if len(test.want) == 0 && r.problems() != nil {
				t.Error(problem)
			}
			if err := birdc.Check(t.Context(), birdtest.Binary(t), writeTemp(t, r.text)); err != nil {
				t.Error(err)
			}
		})
	}
}

func writeTemp(t *testing.T, text []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "bird.conf")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestRenderRefuses(t *testing.T) {
	cfg := config()
	if _, err := render(cfg, "a\"b", keys, 0); err == nil {
		t.Error("a log file with a quote")
	}
	cfg.RouterID = netip.Addr{}
	if _, err := render(cfg, "", keys, 0); err == nil || !strings.Contains(err.Error(), "router id") {
		t.Error(err)
	}
}

// randomPrefixes draws prefixes that overlap often.
func randomPrefixes(t *rapid.T) []netip.Prefix {
	seen := map[netip.Prefix]bool{}
	for range rapid.IntRange(1, 30).Draw(t, "n") {
		a := netip.AddrFrom4([4]byte{10, byte(rapid.IntRange(0, 2).Draw(t, "b")), byte(rapid.IntRange(0, 2).Draw(t, "c")), byte(rapid.IntRange(0, 2).Draw(t, "d"))})
		p, err := a.Prefix(rapid.SampledFrom([]int{0, 8, 16, 24, 31, 32}).Draw(t, "bits"))
		if err != nil {
			t.Fatal(err)
		}
		seen[p] = true
	}
	return slices.SortedFunc(maps.Keys(seen), netip.Prefix.Compare)
}

// Whatever the prefixes: the order is that of their lengths, two protocols
// that may have the same neighbour have different ports, an address finds the
// longest prefix, and the order of the plan does not matter.
func TestGroups(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var neighbors []api.Neighbor
		for i, p := range randomPrefixes(t) {
			neighbors = append(neighbors, api.Neighbor{Name: fmt.Sprint("n", i), Prefix: p})
		}
		cfg := config(pool("bulk", 179, 64500, addrs("198.51.100.1", "198.51.100.2", "198.51.100.3"), neighbors...))
		all := groupsOf(cfg)
		for i, a := range all {
			for _, b := range all[i+1:] {
				if a.prefix.Overlaps(b.prefix) && a.lockPort == b.lockPort {
					t.Errorf("%s and %s have port %d", a, b, a.lockPort)
				}
				if a.listener == b.listener && a.prefix.Bits() > b.prefix.Bits() {
					t.Errorf("%s is before %s", a, b)
				}
			}
		}
		r, err := render(cfg, "", keys, 0)
		if err != nil {
			t.Fatal(err)
		}
		x := r.index()
		for _, g := range all {
			if g.probe() {
				continue
			}
			got := x.longest(g.listener, g.prefix.Addr())
			for _, o := range all {
				if !o.probe() && o.listener == g.listener && o.prefix.Contains(g.prefix.Addr()) && o.prefix.Bits() > got.prefix.Bits() {
					t.Errorf("%s: %s is longer than %s", g.prefix.Addr(), o, got)
				}
			}
		}
		rand.Shuffle(len(neighbors), func(i, j int) { neighbors[i], neighbors[j] = neighbors[j], neighbors[i] })
		again, err := render(cfg, "", keys, 0)
		if err != nil || string(again.text) != string(r.text) {
			t.Errorf("the order of neighbors matters: %v", err)
		}
	})
}

func TestParentName(t *testing.T) {
	for protocol, want := range map[string]string{
		"n_0123456789ab": "n_0123456789ab", "n_0123456789ab_1": "n_0123456789ab spawned", "n_0123456789ab_1234567": "n_0123456789ab spawned",
		"probe_0123": "probe_0123", "device1": "device1", "": "",
	} {
		name, spawned := parentName(protocol)
		if spawned {
			name += " spawned"
		}
		if name != want {
			t.Errorf("parentName(%q) = %q, want %q", protocol, name, want)
		}
	}
}

// FuzzKey: whatever the key, it cannot leave its string in the configuration.
func FuzzKey(f *testing.F) {
	for _, seed := range []string{"sesame", `a"b`, "a\nb", `a\`, "'", "${x}", "/* */", "# x", ""} {
		f.Add(seed)
	}
	cfg := config(pool("bulk", 179, 64500, addrs("198.51.100.1"), neighbor("a", "203.0.113.1/32", 0, "k")))
	f.Fuzz(func(t *testing.T, key string) {
		r, err := render(cfg, "", func(string) (string, error) { return key, nil }, 0)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(r.text), "password"); n-strings.Count(key, "password") > 1 {
			t.Errorf("%d passwords", n)
		}
		if strings.Contains(key, "\n") && len(r.skipped) == 0 {
			t.Error("a line break is in the configuration")
		}
	})
}

// BenchmarkRender renders 5,000 customers at two VIPs.
func BenchmarkRender(b *testing.B) {
	cfg := config(pool("bulk", 179, 64500, addrs("198.51.100.1", "198.51.100.2"), customers(5000)...))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := render(cfg, "", keys, 0); err != nil {
			b.Fatal(err)
		}
	}
}

func customers(n int) []api.Neighbor {
	all := make([]api.Neighbor, n)
	for i := range all {
		all[i] = neighbor(fmt.Sprint("c", i), fmt.Sprintf("127.%d.%d.%d/32", 1+i/62500, 1+i/250%250, 1+i%250), 0, "")
	}
	return all
}
