package speaker

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/realserver/bgp"
	"github.com/peerage/peerage/realserver/speaker/control"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var addresses = cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}, netip.Prefix{})

// golden compares a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got), rewrite with -update:\n%s", path, d)
	}
}

// The encoding is a contract between versions of the program.
func TestStateEncoding(t *testing.T) {
	t.Parallel()
	st := &State{
		Pool: pool, Customer: "acme", VIP: netip.MustParseAddrPort("192.0.2.1:179"), Peer: netip.MustParseAddrPort("198.51.100.7:40000"),
		MD5Secret: "acme-1", Signed: true, Phase: "established", Since: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC),
		OpenSent: []byte{1, 2}, OpenReceived: []byte{3, 4},
		Agreed: Agreed{AS: 65001, RouterID: routerID, HoldTime: 90 * time.Second, Families: []string{"ipv4-unicast"}, FourOctetAS: true,
			ExtendedMessage: true, RouteRefresh: true, EnhancedRefresh: true},
		HoldLeft: 80 * time.Second, KeepaliveIn: 20 * time.Second, Input: []byte{5}, Output: []byte{6},
		Received: control.MessageCount{Updates: 1, Keepalives: 2, Refreshes: 3, Notifications: 4, Bytes: 5}, Sent: control.MessageCount{Updates: 6}, Advertised: 7,
		Digests: map[string]RouteDigest{"ipv4-unicast": {8, "09"}},
	}
	raw, err := st.Encode()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "state.json", string(raw)+"\n")
	again, err := DecodeState(raw)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(st, again, addresses); d != "" {
		t.Error(d)
	}
	old := strings.Replace(string(raw), `"version":2`, `"version":1`, 1)
	if _, err := DecodeState([]byte(old)); err != nil {
		t.Errorf("the version before: %v", err)
	}
	for name, bad := range map[string]string{
		"a future version":          strings.Replace(string(raw), `"version":2`, `"version":3`, 1),
		"no version":                `{}`,
		"a field of another":        strings.Replace(string(raw), `"pool"`, `"pond"`, 1),
		"no JSON":                   "state",
		"another type for a number": strings.Replace(string(raw), `"version":2`, `"version":"2"`, 1),
	} {
		if st, err := DecodeState([]byte(bad)); err == nil {
			t.Errorf("%s was read: %+v", name, st)
		}
	}
}

// What sessions advertise is summed up alike where it is alike: routes of the
// operators, and those of the group without the session's own.
func TestCaptureDigests(t *testing.T) {
	t.Parallel()
	c := acme("acme", "127.0.1.0/24")
	c.Mode = api.CustomerReflect
	b := newBench(t, c)
	b.cfg.Routes = []api.RouteIntent{{Target: api.RouteTarget{All: true}, Prefix: netip.MustParsePrefix("203.0.113.1/32"), NextHop: netip.MustParseAddr("192.0.2.66")}}
	b.put(true)
	var links []*link
	for _, from := range []string{"127.0.1.5", "127.0.1.6", "127.0.1.7"} {
		l := b.router(from, localAS).must(t)
		links = append(links, l)
	}
	b.established(3)
	digests := func(router string) map[string]RouteDigest {
		t.Helper()
		st, err := b.Capture(t.Context(), "bulk,127.0.0.10,"+router)
		if err != nil {
			t.Fatal(err)
		}
		return st.Digests
	}
	before := digests("127.0.1.5")
	if n := before["ipv4-unicast"].Prefixes; n != 1 {
		t.Errorf("%d prefixes are summed up, not the one that is originated", n)
	}
	links[0].send(announce(65001, "10.9.9.9", "10.1.0.0/16", "10.2.0.0/16"))
	b.eventually("two routes", func() bool { return b.session("127.0.1.5").Routes["ipv4-unicast"] == 2 })
	if d := cmp.Diff(before, digests("127.0.1.5")); d != "" {
		t.Errorf("its own routes are in the digest of a session:\n%s", d)
	}
	six, seven := digests("127.0.1.6"), digests("127.0.1.7")
	if n := six["ipv4-unicast"].Prefixes; n != 3 || six["ipv4-unicast"] == before["ipv4-unicast"] {
		t.Errorf("%v is of the two routes of the group and the one that is originated", six)
	}
	if d := cmp.Diff(six, seven); d != "" {
		t.Errorf("two sessions with the same routes differ:\n%s", d)
	}
}

// What a session writes down is what both sides know.
func TestCapture(t *testing.T) {
	t.Parallel()
	b := newBench(t, acme("acme", "127.0.1.0/24"))
	b.put(true)
	l := b.router("127.0.1.5", 65001).must(t)
	b.established(1)
	part := announce(65001, "10.0.0.1", "10.0.0.0/8")[:30]
	before := b.session("127.0.1.5").Received.Bytes
	l.send(part)
	var st *State
	b.eventually("half a message", func() bool {
		var err error
		if st, err = b.Capture(t.Context(), "bulk,127.0.0.10,127.0.1.5"); err != nil {
			t.Fatal(err)
		}
		return len(st.Input) == len(part)
	})
	m, _, err := bgp.Next(st.OpenSent, bgp.MaxMessage)
	if err != nil || m.Type != bgp.TypeOpen {
		t.Errorf("our OPEN: %v, %v", m.Type, err)
	}
	theirs, err := bgp.DecodeOpen(st.OpenReceived)
	if err != nil || theirs.AS != 65001 {
		t.Errorf("their OPEN: %+v, %v", theirs, err)
	}
	want := *st
	want.Phase, want.Input, want.Output = "established", part, nil
	want.Agreed = Agreed{65001, netip.MustParseAddr("10.9.9.9"), 90 * time.Second, []string{"ipv4-unicast", "ipv6-unicast"}, true, true, true, true}
	want.Received = control.MessageCount{Keepalives: 1, Bytes: before}
	if d := cmp.Diff(&want, st, addresses); d != "" {
		t.Error(d)
	}
	if st.HoldLeft <= 80*time.Second || st.KeepaliveIn <= 0 || st.KeepaliveIn > 30*time.Second {
		t.Errorf("hold time left %v, keepalive in %v", st.HoldLeft, st.KeepaliveIn)
	}
	l.send(announce(65001, "10.0.0.1", "10.0.0.0/8")[30:])
	l.alive()
	if _, err := b.Capture(t.Context(), "bulk,127.0.0.10,127.0.1.6"); err == nil {
		t.Error("a session that is not there was captured")
	}
}
