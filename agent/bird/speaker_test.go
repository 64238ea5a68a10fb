package bird

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/node/birdc"
	"github.com/peerage/peerage/api/node/birdc/birdtest"
)

var (
	vip4 = netip.MustParseAddr("203.0.113.179")
	vip6 = netip.MustParseAddr("2001:db8::179")
)

// counting counts what is asked of BIRD.
type counting struct {
	*birdc.Client
	configured int
	deaf       bool // says OK and does nothing
}

func (c *counting) Configure(ctx context.Context) error {
	c.configured++
	if c.deaf {
		return nil
	}
	return c.Client.Configure(ctx)
}

// rig is a real BIRD with a speaker. Its peer is on loopback, which BIRD
// refuses to talk to: no packet leaves.
type rig struct {
	*Speaker
	control *counting
	bird    *birdtest.Bird
	include string
	failed  int
}

const mainHead = "router id 192.0.2.1;\nprotocol device {}\n"

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{include: filepath.Join(t.TempDir(), "peerage.conf")}
	if err := os.WriteFile(r.include, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.bird = birdtest.Start(t, mainHead+`include "`+r.include+`";`+"\n")
	r.control = &counting{Client: r.bird.Client}
	r.Speaker = New(Options{
		Control: r.control, Include: r.include, MainConfig: r.bird.File, Binary: birdtest.Binary(t),
		Secret: secret, Wait: 2 * time.Second, Failed: func() { r.failed++ },
	})
	return r
}

func config(routes map[netip.Addr]uint32) Config {
	peer := api.FabricPeer{Name: "rt-1", Address: netip.MustParseAddr("127.0.0.1"), AS: 65000, BFD: off(), MD5Secret: "rt-key"}
	return Config{Addresses: addrs("127.0.0.2"), Fabric: api.Fabric{LocalAS: 65010, Peers: []api.FabricPeer{peer}}, Routes: routes}
}

func (r *rig) set(t *testing.T, routes map[netip.Addr]uint32) State {
	t.Helper()
	st, err := r.Set(t.Context(), config(routes))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(routes, st.Routes, cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("routes (-want +got):\n%s", diff)
	}
	return st
}

func TestSpeaker(t *testing.T) {
	r := newRig(t)
	if st, err := r.Read(t.Context()); err != nil || len(st.Routes) != 0 {
		t.Fatalf("an empty BIRD reads as %v, %v", st, err)
	}
	both := map[netip.Addr]uint32{vip4: 100, vip6: 4294967295}
	st := r.set(t, both)
	if r.control.configured != 1 {
		t.Errorf("configured %d times", r.control.configured)
	}
	if st.Peers["rt-1"].State == "" || st.Peers["rt-1"].State == "Established" || len(st.Exported) != 0 {
		t.Errorf("peers %v, exported %v: the peer cannot be up", st.Peers, st.Exported)
	}
	before, err := os.Stat(r.include)
	if err != nil {
		t.Fatal(err)
	}
	if before.Mode().Perm()&0o007 != 0 {
		t.Errorf("the file with the key has mode %v", before.Mode())
	}

	r.set(t, both)
	if after, _ := os.Stat(r.include); r.control.configured != 1 || !os.SameFile(before, after) {
		t.Error("the same again was written or configured")
	}
	r.set(t, map[netip.Addr]uint32{vip4: 50})
	r.set(t, nil)
	if r.control.configured != 3 {
		t.Errorf("configured %d times", r.control.configured)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(r.include), ".peerage*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if r.failed != 0 {
		t.Errorf("%d failures were counted", r.failed)
	}
}

// TestKilledBetweenWriteAndConfigure is an agent that died after it wrote the
// file: the next one finds the file as it wants it, and BIRD elsewhere.
func TestKilledBetweenWriteAndConfigure(t *testing.T) {
	r := newRig(t)
	r.set(t, map[netip.Addr]uint32{vip4: 100})
	rendered, err := Render(config(map[netip.Addr]uint32{vip4: 100, vip6: 100}), secret)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.include, rendered.Text, 0o600); err != nil {
		t.Fatal(err)
	}
	r.set(t, map[netip.Addr]uint32{vip4: 100, vip6: 100})
	if r.control.configured != 2 {
		t.Errorf("configured %d times", r.control.configured)
	}
}

func TestRefused(t *testing.T) {
	r := newRig(t)
	r.set(t, map[netip.Addr]uint32{vip4: 100})
	before, err := os.ReadFile(r.include)
	if err != nil {
		t.Fatal(err)
	}
	r.bird.Write(t, mainHead+"protocol static peerage4 { ipv4; }\n"+`include "`+r.include+`";`+"\n")
	st, err := r.Set(t.Context(), config(map[netip.Addr]uint32{vip4: 100, vip6: 100}))
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "peerage4") {
		t.Errorf("error %v", err)
	}
	if len(st.Routes) != 1 || r.failed != 1 {
		t.Errorf("BIRD holds %v, %d failures", st.Routes, r.failed)
	}
	if after, _ := os.ReadFile(r.include); string(after) != string(before) {
		t.Error("the file changed")
	}
	// A BIRD that is broken by others is no reason to touch what is right.
	if _, err := r.Set(t.Context(), config(map[netip.Addr]uint32{vip4: 100})); err != nil {
		t.Errorf("what runs is what is wanted: %v", err)
	}

	r.bird.Write(t, mainHead)
	_, err = r.Set(t.Context(), config(nil))
	want := "bird: " + r.bird.File + " does not include " + r.include + "; add the line `include \"" + r.include + "\";`"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// TestWithdrawWhatever: a withdrawal does not wait for a configuration that
// cannot be had.
func TestWithdrawWhatever(t *testing.T) {
	r := newRig(t)
	r.set(t, map[netip.Addr]uint32{vip4: 100, vip6: 100})
	missing := config(map[netip.Addr]uint32{vip6: 200})
	missing.Fabric.Peers[0].MD5Secret = "lost"
	st, err := r.Set(t.Context(), missing)
	if err == nil || !strings.Contains(err.Error(), "no such secret") {
		t.Errorf("error %v", err)
	}
	if diff := cmp.Diff(map[netip.Addr]uint32{vip6: 100}, st.Routes, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
	refused := config(nil)
	refused.Fabric.Peers = append(refused.Fabric.Peers, refused.Fabric.Peers[0])
	st, err = r.Set(t.Context(), refused)
	if !errors.Is(err, ErrRefused) || len(st.Routes) != 0 {
		t.Errorf("error %v, routes %v", err, st.Routes)
	}
	if n := r.control.configured; n != 3 {
		t.Errorf("configured %d times", n)
	}
	r.set(t, map[netip.Addr]uint32{vip4: 100})
}

func TestPrune(t *testing.T) {
	c := config(map[netip.Addr]uint32{vip4: 100, vip6: 7})
	all, err := Render(c, secret)
	if err != nil {
		t.Fatal(err)
	}
	c.Routes = map[netip.Addr]uint32{vip6: 7}
	want, err := Render(c, secret)
	if err != nil {
		t.Fatal(err)
	}
	got, changed := prune(string(all.Text), map[netip.Addr]uint32{vip6: 999})
	if diff := cmp.Diff(string(want.Text), string(got.Text)); diff != "" || !changed || got.Revision != want.Revision {
		t.Errorf("changed %t, revision %d (-want +got):\n%s", changed, got.Revision, diff)
	}
	if _, changed := prune(string(got.Text), c.Routes); changed {
		t.Error("pruned twice")
	}
	if _, changed := prune("protocol device {}\n", nil); changed {
		t.Error("a file that is not ours was pruned")
	}
}

// TestSaidOK is a BIRD that says OK and does not do it.
func TestSaidOK(t *testing.T) {
	r := newRig(t)
	r.o.Wait = 100 * time.Millisecond
	r.control.deaf = true
	_, err := r.Set(t.Context(), config(map[netip.Addr]uint32{vip4: 100}))
	if err == nil || !strings.Contains(err.Error(), "after `configure`") {
		t.Errorf("error %v", err)
	}
}

func TestNotRunning(t *testing.T) {
	dir := t.TempDir()
	include := filepath.Join(dir, "peerage.conf")
	s := New(Options{
		Control: &birdc.Client{Socket: filepath.Join(dir, "ctl")}, Include: include,
		MainConfig: writeMain(t, dir, include), Binary: birdtest.Binary(t), Secret: secret,
	})
	if _, err := s.Read(t.Context()); !errors.Is(err, ErrNotRunning) {
		t.Errorf("read: %v", err)
	}
	_, err := s.Set(t.Context(), config(map[netip.Addr]uint32{vip4: 100}))
	if !errors.Is(err, ErrNotRunning) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("set: %v", err)
	}
	if text, _ := os.ReadFile(include); !strings.Contains(string(text), vip4.String()) {
		t.Error("the file is not in place for BIRD's start")
	}
}

// answers is a BIRD whose session is up, for what cannot be had without a peer.
type answers struct {
	counting
	routes, exported map[netip.Addr]uint32
	keeps            int // how many times a withdrawn route is still exported
}

func (a *answers) Eval(context.Context, string) (string, error) {
	r, err := Render(config(a.routes), secret)
	if err != nil {
		return "", err
	}
	return strconv.FormatUint(uint64(r.Revision), 10), nil
}

func (a *answers) Configure(context.Context) error { return nil }

func (a *answers) Routes(_ context.Context, table string) ([]birdc.Route, error) {
	var all []birdc.Route
	for vip, med := range a.routes {
		if vip.Is4() == (table == tableV4) {
			all = append(all, birdc.Route{Prefix: netip.PrefixFrom(vip, vip.BitLen()), Attributes: map[string]string{medAttribute: strconv.FormatUint(uint64(med), 10)}})
		}
	}
	return all, nil
}

func (a *answers) Exported(context.Context, string, string) ([]birdc.Route, error) {
	if a.keeps > 0 {
		a.keeps--
	} else {
		a.exported = a.routes
	}
	var all []birdc.Route
	for vip := range a.exported {
		all = append(all, birdc.Route{Prefix: netip.PrefixFrom(vip, vip.BitLen())})
	}
	return all, nil
}

func (a *answers) Protocols(context.Context) ([]birdc.Protocol, error) {
	return []birdc.Protocol{
		{Name: staticV4}, {Name: staticV6}, {Name: "site_own", Description: description + "impostor", BGP: &birdc.BGP{}},
		{Name: protocolName("rt-1"), Description: description + "rt-1",
			BGP: &birdc.BGP{State: "Established", Neighbor: netip.MustParseAddr("10.0.0.1")}, Channels: []birdc.Channel{{Table: tableV4}}},
	}, nil
}

func (a *answers) BFDSessions(context.Context) ([]birdc.BFDSession, error) {
	return []birdc.BFDSession{{Neighbor: netip.MustParseAddr("10.0.0.1"), State: "Up"}}, nil
}

// TestReadBack waits until the peers were told, and no longer than allowed.
func TestReadBack(t *testing.T) {
	dir := t.TempDir()
	include := filepath.Join(dir, "peerage.conf")
	a := &answers{routes: map[netip.Addr]uint32{}, exported: map[netip.Addr]uint32{vip4: 1}, keeps: 3}
	s := New(Options{Control: a, Include: include, MainConfig: writeMain(t, dir, include), Binary: birdtest.Binary(t), Secret: secret, Wait: 5 * time.Second})
	st, err := s.Set(t.Context(), config(maps.Clone(a.routes)))
	if err != nil || len(st.Exported) != 0 || a.keeps != 0 {
		t.Errorf("state %v, error %v, %d looks left", st, err, a.keeps)
	}
	if diff := cmp.Diff(map[string]api.FabricState{"rt-1": {State: "Established", BFD: "Up"}}, st.Peers); diff != "" {
		t.Errorf("peers (-want +got):\n%s", diff)
	}
	a.exported, a.keeps, s.o.Wait = map[netip.Addr]uint32{vip4: 1}, 1<<20, 50*time.Millisecond
	st, err = s.Set(t.Context(), config(maps.Clone(a.routes)))
	if err == nil || !strings.Contains(err.Error(), vip4.String()+" is still exported") || !st.Exported[vip4] {
		t.Errorf("state %v, error %v", st, err)
	}
}

func TestScrub(t *testing.T) {
	if got := scrub(`x.conf:3:12 syntax error near "s3cr3t~key"`, []string{"", "s3cr3t~key"}); strings.Contains(got, "s3cr3t") {
		t.Errorf("got %s", got)
	}
}

func TestSubstitute(t *testing.T) {
	dir := t.TempDir()
	main, include := filepath.Join(dir, "bird.conf"), filepath.Join(dir, "peerage.conf")
	other := filepath.Join(dir, "other.conf")
	for _, f := range []string{main, include, other} {
		if err := os.WriteFile(f, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ name, text, want string }{
		{"by name", `include "` + include + `";`, `include "/new";`},
		{"relative", `include "peerage.conf";`, `include "/new";`},
		{"spaced", "  include  \"" + include + "\" ;\nrouter id 1;", "  include  \"/new\" ;\nrouter id 1;"},
		{"by a pattern", `include "` + dir + `/p*.conf";`, `include "/new";`},
		{"with others", `include "` + dir + `/*r*.conf";`, "include \"/new\";\ninclude \"" + main + "\";\ninclude \"" + other + `";`},
		{"not at all", `include "/elsewhere/*.conf";`, ""},
		{"in a comment", `# include "` + include + `";`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, found := substitute(tt.text, main, include, "/new")
			if found != (tt.want != "") || found && got != tt.want {
				t.Errorf("found %t, got %s", found, got)
			}
		})
	}
}
