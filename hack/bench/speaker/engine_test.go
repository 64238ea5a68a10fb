package speaker

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/peerage/peerage/api/node/nodetest"
)

func TestConfigurations(t *testing.T) {
	l := layout{target: netip.MustParseAddrPort("127.0.0.1:21790"), feeds: 2, receivers: 7, perGroup: 5, idle: true}
	for _, c := range []struct {
		name, text string
		want       map[string]int
	}{
		{"bird", birdConf(l), map[string]int{"rr client": 7, "protocol bgp f": 2, "neighbor range 127.1.0.0/16": 1}},
		{"frr", frrConf(l), map[string]int{"peer-group RECEIVER\n": 7, "peer-group FEED\n": 2, "listen range 127.1.0.0/16": 1}},
		{"openbgpd", openbgpdConf("/tmp", l), map[string]int{"neighbor 127.0.2.": 7, "neighbor 127.0.1.": 2, "neighbor 127.1.0.0/16": 1}},
		{"gobgp", gobgpConf(l), map[string]int{"route-reflector-client = true": 7, "[[neighbors]]": 9, "prefix = \"127.1.0.0/16\"": 1}},
	} {
		for part, n := range c.want {
			if got := strings.Count(c.text, part); got != n {
				t.Errorf("%s: %q stands %d times, want %d, in\n%s", c.name, part, got, n, c.text)
			}
		}
	}
}

// Two groups of receivers, one of feeds, and one of idle sessions.
func TestPeerageCustomers(t *testing.T) {
	names := func(l layout) (all string) {
		l.target = netip.MustParseAddrPort("127.0.0.1:21790")
		for _, c := range peerageConf(l).Customers {
			all += c.Name + " "
		}
		return all
	}
	for want, l := range map[string]layout{
		"feeds idle receivers-000 receivers-005 ": {feeds: 2, receivers: 7, perGroup: 5, idle: true},
		"feeds ":             {feeds: 2, collect: shareHop, perGroup: 1},
		"feed-000 feed-001 ": {feeds: 2, collect: shareAS, perGroup: 1},
	} {
		if got := names(l); got != want {
			t.Errorf("%+v: customers are %q, want %q", l, got, want)
		}
	}
}

// The whole of a small work with BIRD, which is installed for unit tests: a
// speaker that reflects correctly passes.
func TestReflectWithBIRD(t *testing.T) {
	if _, err := (bird{}).version(t.Context()); err != nil {
		t.Skip("needs the package bird2: hack/lab/install.sh unit")
	}
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", nodetest.FreePort(t)))
	if err != nil {
		t.Fatal(err)
	}
	b := &bencher{dir: t.TempDir(), target: netip.MustParseAddrPort(l.Addr().String()), seed: 1}
	work := Load{Feeds: 3, Prefixes: 300, Receivers: 2, PerGroup: 2, Favourite: true}
	if _, err := b.flap(t.Context(), bird{}, work); err == nil || !strings.Contains(err.Error(), "is not free for the speakers") {
		t.Fatalf("somebody else listens: %v", err)
	}
	_ = l.Close()
	m, err := b.flap(t.Context(), bird{}, work)
	if err != nil {
		logs, _ := filepath.Glob(filepath.Join(b.dir, "*", "*.out"))
		for _, path := range logs {
			text, _ := os.ReadFile(path)
			t.Logf("%s: %s", path, text)
		}
		t.Fatal(err)
	}
	// Each receiver got each prefix once at least, and all three works took time.
	if m.Announced < 2*300 || m.Wall <= 0 || m.DownWall <= 0 || m.UpWall <= 0 || m.PeakMiB <= 0 {
		t.Errorf("%+v", m)
	}
}
