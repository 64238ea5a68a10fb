package bird

import (
	"errors"
	"flag"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/node/birdc/birdtest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func secret(name string) (string, error) {
	if name != "rt-key" {
		return "", errors.New("no such secret")
	}
	return "s3cr3t~key", nil
}

func off() *bool { return new(bool) }

func addrs(list ...string) []netip.Addr {
	var all []netip.Addr
	for _, a := range list {
		all = append(all, netip.MustParseAddr(a))
	}
	return all
}

// cases are the renders whose files are in testdata.
func cases() map[string]Config {
	peer := func(name, address string) api.FabricPeer {
		return api.FabricPeer{Name: name, Address: netip.MustParseAddr(address), AS: 65000}
	}
	md5 := peer("rt-1", "10.0.0.1")
	md5.MD5Secret, md5.HoldTime = "rt-key", api.Duration(9*time.Second)
	plain := peer("rt-2", "10.0.0.2")
	plain.BFD = off()
	long := peer(strings.Repeat("a", 63), "10.0.0.3")
	routes := map[netip.Addr]uint32{
		netip.MustParseAddr("203.0.113.179"): 100, netip.MustParseAddr("203.0.113.18"): 4294967295,
		netip.MustParseAddr("2001:db8::179"): 0,
	}
	own := addrs("10.0.0.11", "fd00::11")
	return map[string]Config{
		"nothing":   {},
		"no-routes": {Addresses: own, Fabric: api.Fabric{LocalAS: 65010, Peers: []api.FabricPeer{peer("rt", "10.0.0.1")}}},
		"no-peers":  {Addresses: own, Routes: routes},
		"full": {Addresses: own, Routes: routes, Fabric: api.Fabric{
			LocalAS: 65010, RouterID: netip.MustParseAddr("192.0.2.11"),
			Peers: []api.FabricPeer{md5, plain, long, peer("rt-1-v6", "fd00::1")},
			BFD:   api.BFD{Interval: api.Duration(100 * time.Millisecond), Multiplier: 5},
		}},
		"no-bfd":   {Addresses: own, Routes: routes, Fabric: api.Fabric{LocalAS: 65010, Peers: []api.FabricPeer{plain}}},
		"internal": {Addresses: own, Routes: routes, Fabric: api.Fabric{LocalAS: 65000, Peers: []api.FabricPeer{peer("rr", "10.0.0.1")}}},
	}
}

// TestRender compares with the golden files, and lets BIRD parse each.
func TestRender(t *testing.T) {
	for name, c := range cases() {
		t.Run(name, func(t *testing.T) {
			r, err := Render(c, secret)
			if err != nil {
				t.Fatal(err)
			}
			again, err := Render(c, secret)
			if err != nil || string(again.Text) != string(r.Text) {
				t.Error("the same input renders differently", err)
			}
			golden := filepath.Join("testdata", name+".conf")
			if *update {
				if err := os.WriteFile(golden, r.Text, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(r.Text)); diff != "" {
				t.Errorf("render (-want +got):\n%s", diff)
			}
			dir := t.TempDir()
			main := writeMain(t, dir, filepath.Join(dir, "peerage.conf"))
			if err := os.WriteFile(filepath.Join(dir, "peerage.conf"), r.Text, 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command(birdtest.Binary(t), "-p", "-c", main).CombinedOutput(); err != nil {
				t.Errorf("bird -p: %v\n%s", err, out)
			}
		})
	}
}

func writeMain(t *testing.T, dir, include string) string {
	t.Helper()
	path := filepath.Join(dir, "bird.conf")
	text := "log \"" + filepath.Join(dir, "bird.log") + "\" all;\nrouter id 192.0.2.1;\nprotocol device {}\ninclude \"" + include + "\";\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRenderRefuses(t *testing.T) {
	peer := api.FabricPeer{Name: "rt", Address: netip.MustParseAddr("10.0.0.1"), AS: 65000}
	with := func(change func(p *api.FabricPeer)) []api.FabricPeer {
		p := peer
		change(&p)
		return []api.FabricPeer{p}
	}
	for _, tt := range []struct {
		name   string
		config Config
		secret SecretFunc
		want   string
	}{
		{"no address of the family", Config{Addresses: addrs("fd00::11"), Fabric: api.Fabric{Peers: []api.FabricPeer{peer}}}, secret,
			"fabric peer rt: the load balancer has no address of the family of 10.0.0.1; add one to spec.addresses"},
		{"no router id", Config{Addresses: addrs("fd00::11"), Fabric: api.Fabric{Peers: with(func(p *api.FabricPeer) { p.Address = netip.MustParseAddr("fd00::1") })}}, secret,
			"fabric peer rt: no router id: set spec.fabric.routerID, or give the load balancer an IPv4 address"},
		{"no secret", Config{Addresses: addrs("10.0.0.11"), Fabric: api.Fabric{Peers: with(func(p *api.FabricPeer) { p.MD5Secret = "other" })}}, secret,
			`fabric peer rt: md5Secret "other": no such secret`},
		{"a key that would break out", Config{Addresses: addrs("10.0.0.11"), Fabric: api.Fabric{Peers: with(func(p *api.FabricPeer) { p.MD5Secret = "x" })}},
			func(string) (string, error) { return `a"; import all`, nil },
			`fabric peer rt: md5Secret "x": the key holds a character that BIRD's configuration cannot: use printable ASCII without "`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Render(tt.config, tt.secret)
			if err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestProtocolNames(t *testing.T) {
	seen := map[string]string{}
	for _, peer := range []string{"a-b", "ab", strings.Repeat("a", 63), strings.Repeat("a", 62) + "b", "peerage"} {
		name := protocolName(peer)
		if len(name) > maxSymbol || strings.Contains(name, "-") {
			t.Errorf("%s: %s is no symbol of BIRD's", peer, name)
		}
		if other, ok := seen[name]; ok {
			t.Errorf("%s and %s are both %s", peer, other, name)
		}
		seen[name] = peer
	}
}
