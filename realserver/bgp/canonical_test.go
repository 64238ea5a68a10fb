package bgp

import (
	"bytes"
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// RFC 6793 section 4.2.3. Numbers above 65535 stand for what AS_PATH has as
// AS_TRANS.
func TestMergePath(t *testing.T) {
	tests := map[string]struct {
		path, as4  string // values
		aggregator string // whole attributes
		want       string
		length     uint32
		aggregated string
	}{
		"no AS4_PATH":              {"02 02 0001 5ba0", "", "", "1 23456", 2, ""},
		"as long":                  {"02 02 5ba0 0002", "02 02 00010001 00000002", "", "65537 2", 2, ""},
		"longer":                   {"02 03 0001 5ba0 0002", "02 02 00010001 00000002", "", "1 65537 2", 3, ""},
		"shorter is ignored":       {"02 01 5ba0", "02 02 00010001 00000002", "", "23456", 1, ""},
		"set counts one":           {"02 01 0001 01 02 5ba0 0003", "01 02 00010001 00000003", "", "1 {65537,3}", 2, ""},
		"lead within a set":        {"01 02 0001 0002 02 01 5ba0", "02 01 00010001", "", "{1,2} 65537", 2, ""},
		"lead over two segments":   {"02 02 0001 0002 02 02 0003 5ba0", "02 01 00010001", "", "1 2 3 65537", 4, ""},
		"leading confederation":    {"03 01 0009 02 01 5ba0", "02 01 00010001", "", "(9) 65537", 1, ""},
		"adjacent confederation":   {"02 01 0001 03 01 0009 02 01 5ba0", "02 01 00010001", "", "1 (9) 65537", 2, ""},
		"confederation not beside": {"02 02 0001 5ba0 03 01 0009", "02 01 00010001", "", "1 65537", 2, ""},
		"confederation in AS4":     {"02 02 0001 5ba0", "03 01 00000009 02 01 00010001", "", "1 65537", 2, ""},
		"aggregator":               {"02 01 5ba0", "02 01 00010001", "c0 07 06 5ba0 c0000201 c0 12 08 00010002 c0000202", "65537", 1, "65538 192.0.2.2"},
		"aggregator knows better":  {"02 01 5ba0", "02 01 00010001", "c0 07 06 0005 c0000201 c0 12 08 00010002 c0000202", "23456", 1, "5 192.0.2.1"},
		"aggregator alone":         {"02 01 5ba0", "02 01 00010001", "c0 07 06 0005 c0000201", "65537", 1, "5 192.0.2.1"},
		"AS4_AGGREGATOR alone":     {"02 01 5ba0", "02 01 00010001", "c0 12 08 00010002 c0000202", "65537", 1, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			attributes := AppendOrigin(nil, 0)
			attributes = AppendAttribute(attributes, FlagTransitive, AttrASPath, unhex(t, tt.path))
			attributes = AppendNextHop(attributes, netip.MustParseAddr("192.0.2.1"))
			if tt.as4 != "" {
				attributes = AppendAttribute(attributes, transitive, AttrAS4Path, unhex(t, tt.as4))
			}
			attributes = append(attributes, unhex(t, tt.aggregator)...)
			var r Routes
			if err := (&Decoder{Peer: oldPeer}).Decode(AppendUpdate(nil, nil, attributes, unhex(t, nlri))[HeaderLen:], &r); err != nil {
				t.Fatal(err)
			}
			got := Describe(r.Attributes)
			if got.ASPath != tt.want || r.PathLen != tt.length || got.Aggregator != tt.aggregated || len(got.Unknown) > 0 {
				t.Errorf("path %q of length %d, aggregator %q, unknown %q; want %q, %d, %q, none",
					got.ASPath, r.PathLen, got.Aggregator, got.Unknown, tt.want, tt.length, tt.aggregated)
			}
		})
	}
}

// The own AS is found where only AS4_PATH shows it.
func TestMergedLoop(t *testing.T) {
	peer := oldPeer
	peer.LocalAS = 65537
	attributes := origin + "40 02 06 02 02 0001 5ba0 " + hop + pref + "c0 11 06 02 01 00010001"
	got, _ := decodeOutcome(t, peer, message{"", attributes, nlri}.body(t))
	if diff := cmp.Diff(looped(), got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestRank(t *testing.T) {
	tests := map[string]struct {
		attributes string
		want       Rank
	}{
		"defaults": {origin + "40 02 00" + hop, Rank{LocalPref: DefaultLocalPref}},
		"all": {"40 01 01 02 40 02 1a 03 01 00000009 02 02 00000005 00000006 01 02 00000007 00000008 " + hop + "80 04 04 00000000" + pref + "80 09 04 01020304 80 0a 08 00000001 00000002",
			Rank{LocalPref: 200, HasMED: true, PathLen: 3, FirstAS: 5, OriginatorID: 0x01020304, ClusterLen: 2, Origin: 2}},
		"set first": {origin + "40 02 0c 01 01 00000005 02 01 00000006" + hop + pref, Rank{LocalPref: 200, PathLen: 2}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var r Routes
			if err := (&Decoder{Peer: testPeer}).Decode(message{"", tt.attributes, nlri}.body(t), &r); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, r.Rank); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// However a router writes a set of attributes, it is one canonical set.
func TestCanonicalIsOne(t *testing.T) {
	want := base + "80 04 04 00000007 c0 08 08 00010002 00030004 c0 20 18 000000010000000100000001 000000020000000200000002 e0 63 01 07"
	for name, attributes := range map[string]string{
		"sorted":     want,
		"backwards":  "c0 63 01 07 c0 20 18 000000010000000100000001 000000020000000200000002 c0 08 08 00010002 00030004" + pref + "80 04 04 00000007" + hop + path + origin,
		"large":      "c0 63 01 07 " + base + "c0 20 24 000000020000000200000002 000000010000000100000001 000000020000000200000002 c0 08 08 00010002 00030004 80 04 04 00000007",
		"extended":   base + "d0 63 0001 07 d0 20 0018 000000010000000100000001 000000020000000200000002 d0 08 0008 00010002 00030004 90 04 0004 00000007",
		"flags":      base + "80 04 04 00000007 cf 08 08 00010002 00030004 c0 20 18 000000010000000100000001 000000020000000200000002 e7 63 01 07",
		"duplicates": base + "80 04 04 00000007 80 04 04 00000008 c0 08 08 00010002 00030004 c0 20 18 000000010000000100000001 000000020000000200000002 c0 63 01 07 c0 63 01 08",
	} {
		t.Run(name, func(t *testing.T) {
			got, reason := decodeOutcome(t, testPeer, message{"", attributes, nlri}.body(t))
			sorted := origin + path + "80 04 04 00000007" + pref + want[len(base)+len("80 04 04 00000007 "):]
			if diff := cmp.Diff(strings.ReplaceAll(sorted, " ", ""), got.Set); diff != "" {
				t.Errorf("reason %q (-want +got)\n%s", reason, diff)
			}
		})
	}
}

// RFC 4456 section 8.
func TestAppendReflected(t *testing.T) {
	originator, cluster := netip.MustParseAddr("1.2.3.4"), netip.MustParseAddr("192.0.2.255")
	long := strings.Repeat("0a0b0c0d", 63)
	tests := map[string]struct{ canonical, want string }{
		"first":          {baseSet, baseSet + "80 09 04 01020304 80 0a 04 c00002ff"},
		"in order":       {baseSet + "c0 08 04 00010002 c0 10 08 0002000100000002", baseSet + "c0 08 04 00010002 80 09 04 01020304 80 0a 04 c00002ff c0 10 08 0002000100000002"},
		"again":          {baseSet + "80 09 04 09090909 80 0a 04 08080808 e0 63 01 00", baseSet + "80 09 04 09090909 80 0a 08 c00002ff 08080808 e0 63 01 00"},
		"only clusters":  {baseSet + "80 0a 04 08080808", baseSet + "80 09 04 01020304 80 0a 08 c00002ff 08080808"},
		"only an origin": {baseSet + "80 09 04 09090909", baseSet + "80 09 04 09090909 80 0a 04 c00002ff"},
		"extended":       {baseSet + "80 0a fc " + long, baseSet + "80 09 04 01020304 90 0a 0100 c00002ff" + long},
		"nothing":        {"", "80 09 04 01020304 80 0a 04 c00002ff"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := AppendReflected([]byte{1, 2}, unhex(t, tt.canonical), originator, cluster)
			if diff := cmp.Diff("0102"+strings.ReplaceAll(tt.want, " ", ""), hex.EncodeToString(got)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// What is sent to a peer with 2-octet numbers comes back as it was.
func TestTwoOctet(t *testing.T) {
	tests := map[string]struct{ canonical, want string }{
		"fits":       {baseSet, origin + "40 02 04 02 01 fde9" + pref},
		"empty":      {origin + "40 02 00" + pref, origin + "40 02 00" + pref},
		"does not":   {origin + "40 02 0a 02 02 0000fde9 00010001" + pref, origin + "40 02 06 02 02 fde9 5ba0" + pref + "c0 11 0a 02 02 0000fde9 00010001"},
		"aggregator": {baseSet + "c0 07 08 00010001 c0000201 c0 08 04 00010002 e0 63 01 00", origin + "40 02 04 02 01 fde9" + pref + "c0 07 06 5ba0 c0000201 c0 08 04 00010002 c0 12 08 00010001 c0000201 e0 63 01 00"},
		"both":       {origin + "40 02 06 02 01 00010001" + pref + "c0 07 08 00010001 c0000201", origin + "40 02 04 02 01 5ba0" + pref + "c0 07 06 5ba0 c0000201 c0 11 06 02 01 00010001 c0 12 08 00010001 c0000201"},
		"set":        {origin + "40 02 10 02 01 00000001 01 02 00000002 00010001" + pref, origin + "40 02 0a 02 01 0001 01 02 0002 5ba0" + pref + "c0 11 10 02 01 00000001 01 02 00000002 00010001"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := AppendTwoOctet(nil, unhex(t, tt.canonical))
			if diff := cmp.Diff(strings.ReplaceAll(tt.want, " ", ""), hex.EncodeToString(got)); diff != "" {
				t.Fatalf("(-want +got)\n%s", diff)
			}
			p, err := NewPacker(nil, IPv4Unicast, got, []byte{192, 0, 2, 1}, MaxMessage)
			if err != nil {
				t.Fatal(err)
			}
			p.Add(unhex(t, nlri))
			back, reason := decodeOutcome(t, oldPeer, p.Finish()[HeaderLen:])
			if diff := cmp.Diff(good(tt.canonical), back); diff != "" {
				t.Errorf("back, reason %q (-want +got)\n%s", reason, diff)
			}
		})
	}
}

// A confederation's segments go into AS_PATH and never into AS4_PATH.
func TestTwoOctetConfederation(t *testing.T) {
	canonical := origin + "40 02 0c 03 01 00010009 02 01 00010001" + pref
	want := origin + "40 02 08 03 01 5ba0 02 01 5ba0" + pref + "c0 11 06 02 01 00010001"
	got := AppendTwoOctet(nil, unhex(t, canonical))
	if diff := cmp.Diff(strings.ReplaceAll(want, " ", ""), hex.EncodeToString(got)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestKey(t *testing.T) {
	for name, part := range map[string]Part{
		"IPv4":       {NextHop: netip.MustParseAddr("192.0.2.1")},
		"IPv6":       {NextHop: netip.MustParseAddr("2001:db8::1")},
		"link-local": {NextHop: netip.MustParseAddr("2001:db8::1"), LinkLocal: netip.MustParseAddr("fe80::1")},
	} {
		t.Run(name, func(t *testing.T) {
			encoded, attributes := SplitKey(AppendKey(nil, &part, []byte("set")))
			hop, local := NextHops(encoded)
			if hop != part.NextHop || local != part.LinkLocal || string(attributes) != "set" {
				t.Errorf("%v %v %q from %v", hop, local, attributes, part)
			}
		})
	}
	if hop, attributes := SplitKey([]byte{4, 1, 2}); hop != nil || attributes != nil {
		t.Error("split what is too short")
	}
}

func TestDescribe(t *testing.T) {
	med, localPref := uint32(7), uint32(200)
	attributes := "40 01 01 02 40 02 20 03 01 00000009 02 02 00000005 00010006 01 02 00000007 00000008 04 01 0000000a" +
		"80 04 04 00000007" + pref + "40 06 00 c0 07 08 00010001 c0000201 c0 08 08 fde9 0064 ffff 029a" +
		"80 09 04 01020304 80 0a 08 01010101 02020202 c0 10 20 0002 fde9 00000064 0102 c0000201 0007 4203 00010001 0005 0306 0000 00000001" +
		"c0 20 0c 00010001 00000002 00000003 e0 63 02 0708"
	want := Description{
		Origin: "incomplete", ASPath: "(9) 5 65542 {7,8} [10]", MED: &med, LocalPref: &localPref, AtomicAggregate: true,
		Aggregator: "65537 192.0.2.1", Communities: []string{"65001:100", "65535:666"},
		ExtendedCommunities: []string{"rt:65001:100", "rt:192.0.2.1:7", "ro:65537:5", "generic:03060000:00000001"},
		LargeCommunities:    []string{"65537:2:3"},
		OriginatorID:        "1.2.3.4", ClusterList: []string{"1.1.1.1", "2.2.2.2"}, Unknown: []string{"99:e0:0708"},
	}
	if diff := cmp.Diff(want, Describe(unhex(t, attributes))); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestParseCommunities(t *testing.T) {
	for text, want := range map[string]Community{"65535:666": 0xffff029a, "blackhole": 0xffff029a, "no-export": 0xffffff01, "0:0": 0} {
		if got, err := ParseCommunity(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "1", "1:65536", "65536:1", "1:2:3", "a:b", "-1:2", "no-such"} {
		if got, err := ParseCommunity(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
	if got, err := ParseLargeCommunity("4294967295:0:1"); err != nil || got.String() != "4294967295:0:1" {
		t.Errorf("large: %v, %v", got, err)
	}
	for _, text := range []string{"", "1:2", "1:2:4294967296", "1:2:3:4"} {
		if got, err := ParseLargeCommunity(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestFamilySet(t *testing.T) {
	both := Families(IPv6Unicast, IPv4Unicast, Family{25, 65})
	if got := both.String(); got != "ipv4-unicast,ipv6-unicast" || both.Has(Family{25, 65}) || !both.Has(IPv6Unicast) || Families(IPv4Unicast).Has(IPv6Unicast) {
		t.Errorf("set is %s", got)
	}
	for _, f := range both.List() {
		if got, ok := ParseFamily(f.String()); !ok || got != f {
			t.Errorf("%v became %v", f, got)
		}
	}
}

// Attributes that leave no room are told, not cut.
func TestPackTooLong(t *testing.T) {
	long := AppendAttribute(AppendOrigin(nil, 0), transitive, AttrCommunities, bytes.Repeat([]byte{1}, 4060))
	for _, tt := range []struct {
		family Family
		hop    []byte
	}{{IPv4Unicast, make([]byte, 4)}, {IPv6Unicast, make([]byte, 16)}} {
		if _, err := NewPacker(nil, tt.family, long, tt.hop, MaxMessage); !errors.Is(err, ErrTooLong) {
			t.Errorf("%v: %v", tt.family, err)
		}
		if _, err := NewPacker(nil, tt.family, long, tt.hop, MaxExtendedMessage); err != nil {
			t.Errorf("%v, extended: %v", tt.family, err)
		}
	}
}
