package router

import (
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// answer is as BIRD 2.0.12, FRR 8.4.4 and GoBGP 4.8.0 gave it, shortened; the
// far end's capabilities were made fewer.
func answer(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var peering = Peering{
	Dir: "/run/x", Bin: "/opt", ID: netip.MustParseAddr("192.0.2.1"), Local: netip.MustParseAddr("fd64::1"), Remote: netip.MustParseAddr("2001:db8::179"),
	AS: 64601, RemoteAS: 65001, Hold: 15 * time.Second, NextHop4: netip.MustParseAddr("192.0.2.1"), NextHop6: netip.MustParseAddr("2001:db8:2::1"),
}

func TestCapabilities(t *testing.T) {
	for name, test := range map[string]struct {
		router Make
		want   []string
	}{
		"bird-protocol":  {BIRD, []string{capEnhanced, capAS4, capIPv4, capRefresh}},
		"frr-neighbor":   {FRR, []string{capEnhanced, capAS4, capIPv4, capRefresh}},
		"gobgp-neighbor": {GoBGP, []string{capAS4, capIPv4, capRefresh}}, // GoBGP does not offer enhanced refresh
	} {
		t.Run(name, func(t *testing.T) {
			got, err := test.router.Router().Capabilities(peering).Read([]string{answer(t, name)})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLearned(t *testing.T) {
	four, six := netip.MustParsePrefix("192.0.2.66/32"), netip.MustParsePrefix("2001:db8:66::/48")
	for name, test := range map[string]struct {
		router  Make
		answers []string
		want    []netip.Prefix
	}{
		"BIRD":                {BIRD, []string{answer(t, "bird-routes")}, []netip.Prefix{four, six}},
		"BIRD without routes": {BIRD, []string{"BIRD 2.0.12 ready.\n"}, nil},
		"FRR":                 {FRR, []string{answer(t, "frr-routes") + answer(t, "frr-nothing")}, []netip.Prefix{four}},
		"FRR without routes":  {FRR, []string{answer(t, "frr-nothing") + answer(t, "frr-nothing")}, nil},
		"GoBGP":               {GoBGP, []string{"{}", answer(t, "gobgp-routes")}, []netip.Prefix{six}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := test.router.Router().Learned(peering).Read(test.answers)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What is no answer is an error, and not "nothing".
func TestNoAnswer(t *testing.T) {
	for _, m := range Makes() {
		const text = "connection refused"
		if got, err := m.Router().Capabilities(peering).Read([]string{text}); err == nil {
			t.Errorf("%s: capabilities %q", m, got)
		}
		if got, err := m.Router().Learned(peering).Read([]string{text, text}); err == nil {
			t.Errorf("%s: routes %v", m, got)
		}
	}
}

func TestRead(t *testing.T) {
	at := func(nanosecond int) time.Time { return time.Date(2026, 11, 26, 0, 1, 17, nanosecond, time.Local) }
	for name, test := range map[string]struct {
		router Make
		line   string
		want   Event
		not    bool
	}{
		"BIRD up":     {BIRD, "2026-11-26 00:01:17.181 <TRACE> vip: BGP session established", Event{At: at(181e6), Kind: Up}, false},
		"BIRD down":   {BIRD, "2026-11-26 00:01:17.957 <TRACE> vip: BGP session closed", Event{At: at(957e6), Kind: Down}, false},
		"BIRD reason": {BIRD, `2026-11-26 00:01:17.957 <RMT> vip: Received: Administrative reset: "noon"`, Event{At: at(957e6), Kind: Reason, Text: `Received: Administrative reset: "noon"`}, false},
		"BIRD packet": {BIRD, "2026-11-26 00:01:17.182 <TRACE> vip: Got UPDATE", Event{}, true},
		"BIRD route":  {BIRD, "2026-11-26 00:01:17.182 <TRACE> vip.ipv4 > added [best] 192.0.2.66/32 0L 4G unreachable", Event{}, true},
		"FRR up":      {FRR, "2026/11/26 00:01:17.541 BGP: [N9HHH-F8H1M] %ADJCHANGE: neighbor 203.0.113.179(Unknown) in vrf default Up", Event{At: at(541e6), Kind: Up}, false},
		"FRR down": {FRR, "2026/11/26 00:01:17.554 BGP: [PXVXG-TFNNT] %ADJCHANGE: neighbor 203.0.113.179(Unknown) in vrf default Down BGP Notification received",
			Event{At: at(554e6), Kind: Down, Text: "BGP Notification received"}, false},
		"FRR reason": {FRR, `2026/11/26 00:01:17.554 BGP: [H7QV4-WR3ZD] %NOTIFICATION: received from neighbor 203.0.113.179 6/4 (Cease/Administrative Reset) "noon"`,
			Event{At: at(554e6), Kind: Reason, Text: `received from neighbor 203.0.113.179 6/4 (Cease/Administrative Reset) "noon"`}, false},
		"FRR start": {FRR, "2026/11/26 00:01:16 BGP: [T83RR-8SM5G] bgpd 8.4.4 starting: vty@0, bgp@<all>:0", Event{}, true},
		"GoBGP up": {GoBGP, `{"time":"2026-11-26T00:04:18.804076748Z","level":"INFO","msg":"Peer Up","Topic":"Peer","Key":"203.0.113.179"}`,
			Event{At: time.Date(2026, 11, 26, 0, 4, 18, 804076748, time.UTC), Kind: Up}, false},
		"GoBGP down": {GoBGP, `{"time":"2026-11-26T00:04:34Z","level":"INFO","msg":"Peer Down","State":"BGP_FSM_ESTABLISHED","Reason":"hold-timer-expired"}`,
			Event{At: time.Date(2026, 11, 26, 0, 4, 34, 0, time.UTC), Kind: Down, Text: "hold-timer-expired"}, false},
		"GoBGP other":   {GoBGP, `{"time":"2026-11-26T00:04:34Z","level":"DEBUG","msg":"EOR received"}`, Event{}, true},
		"GoBGP no JSON": {GoBGP, "panic: no", Event{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := test.router.Router().Read(test.line)
			if ok == test.not {
				t.Fatalf("%v, %t", got, ok)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
