package swarm

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/peerage/peerage/hack/swarm/mrt/mrttest"
	"github.com/peerage/peerage/realserver/bgp"
)

// dump is a collector's table: peer 1 has most IPv4 routes, peer 0 the IPv6 one.
func dump(t *testing.T) string {
	t.Helper()
	attrs := func(path ...uint32) []byte {
		b := bgp.AppendOrigin(nil, 2)
		b = bgp.AppendASPath(b, path...)
		b = bgp.AppendNextHop(b, netip.MustParseAddr("198.51.100.1"))
		b = bgp.AppendMED(b, 7)
		b = bgp.AppendAttribute(b, bgp.FlagTransitive, bgp.AttrLocalPref, []byte{0, 0, 0, 100})
		b = bgp.AppendCommunities(b, 65001<<16|5)
		b = bgp.AppendAttribute(b, bgp.FlagOptional, 10, []byte{1, 2, 3, 4}) // CLUSTER_LIST
		return bgp.AppendAttribute(b, bgp.FlagOptional|bgp.FlagTransitive, bgp.AttrAggregator, []byte{1, 2, 3, 4, 5, 6})
	}
	b := mrttest.AppendPeers(nil, "", []uint32{65001, 65002}, netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"))
	for _, p := range []string{"20.0.0.0/24", "20.0.1.0/24", "20.0.2.0/23"} {
		b = mrttest.AppendRIB(b, netip.MustParsePrefix(p), mrttest.Entry{Peer: 1, Attributes: attrs(65002, 3356, 64500)})
	}
	b = mrttest.AppendRIB(b, netip.MustParsePrefix("21.0.0.0/8"), mrttest.Entry{Peer: 0, Attributes: attrs(65001)}, mrttest.Entry{Peer: 1, Attributes: attrs(65002)})
	// The short form of MP_REACH_NLRI: a next hop and no more.
	six := append(attrs(65001, 6939), 0x80, 14, 17, 16)
	six = append(six, netip.MustParseAddr("2001:db8::1").AsSlice()...)
	b = mrttest.AppendRIB(b, netip.MustParsePrefix("2001:db8:77::/48"), mrttest.Entry{Peer: 0, Attributes: six})
	path := filepath.Join(t.TempDir(), "rib.mrt")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestMRTTable(t *testing.T) {
	table, err := NewMRTTable(dump(t))
	if err != nil {
		t.Fatal(err)
	}
	if table.Prefixes() != 5 || table.messages != 3 || len(table.v4.chunks) != 1 || len(table.v6.chunks) != 1 {
		t.Fatalf("%d prefixes in %d messages", table.Prefixes(), table.messages)
	}
	r := &Record{AS: 65077, Source: netip.MustParseAddr("192.0.2.77")}
	b := table.v4.chunks[0].render(nil, r)
	m, _, err := bgp.Next(b, bgp.MaxMessage)
	if err != nil {
		t.Fatal(err)
	}
	if ps := checkPatched(t, m, 65077, r.Source); len(ps) != 3 {
		t.Errorf("the first message announces %v", ps)
	}
	u, err := bgp.DecodeUpdate(m.Body)
	if err != nil {
		t.Fatal(err)
	}
	var types []bgp.AttrType
	for a := range bgp.Attributes(u.Attributes) {
		types = append(types, a.Type)
		if a.Type == bgp.AttrASPath && (len(a.Value) != 2+16 || a.Value[1] != 4) {
			t.Errorf("AS_PATH is %x", a.Value)
		}
		if a.Type == bgp.AttrOrigin && a.Value[0] != 2 {
			t.Errorf("ORIGIN is %x", a.Value)
		}
	}
	// Neither LOCAL_PREF, CLUSTER_LIST nor an AGGREGATOR of the wrong length.
	if want := []bgp.AttrType{bgp.AttrOrigin, bgp.AttrASPath, bgp.AttrNextHop, bgp.AttrMED, bgp.AttrCommunities}; !slices.Equal(types, want) {
		t.Errorf("attributes are %v", types)
	}
}

func TestMRTTableRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{path: "has no unicast routes", "/nonexistent": "no such file"} {
		if _, err := NewMRTTable(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %q", err, want)
		}
	}
}

func TestPrepend(t *testing.T) {
	long := append([]byte{2, 255}, make([]byte, 4*255)...)
	for name, tt := range map[string]struct {
		path []byte
		want string
	}{
		"empty":    {nil, "\x02\x01\x00\x00\x00\x00"},
		"sequence": {[]byte{2, 1, 0, 0, 0, 9}, "\x02\x02\x00\x00\x00\x00\x00\x00\x00\x09"},
		"set":      {[]byte{1, 1, 0, 0, 0, 9}, "\x02\x01\x00\x00\x00\x00\x01\x01\x00\x00\x00\x09"},
		"full":     {long, "\x02\x01\x00\x00\x00\x00" + string(long)},
	} {
		if got := string(prepend(tt.path)); got != tt.want {
			t.Errorf("%s: %x", name, got)
		}
	}
}
