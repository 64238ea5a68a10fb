package exchange

import (
	"bytes"
	"slices"
	"testing"

	"github.com/peerage/peerage/realserver/bgp"
)

// Whatever the bytes are, they come back.
func FuzzSqueeze(f *testing.F) {
	f.Add([]byte{})
	for i := range 13 {
		f.Add(attributes(i, i%2 == 0))
	}
	long := bgp.AppendAttribute(attributes(1, true), bgp.FlagOptional|bgp.FlagTransitive, bgp.AttrCommunities, bytes.Repeat([]byte{1, 2, 3, 4}, 100))
	f.Add(long)
	f.Add(bgp.AppendAttribute(nil, bgp.FlagOptional|bgp.FlagTransitive|bgp.FlagPartial, 99, []byte("unknown")))
	f.Add(bgp.AppendASPath(nil, 4_200_000_000, 1))
	f.Add([]byte{bgp.FlagTransitive, 2, 200, 1})
	f.Add([]byte{bgp.FlagTransitive | bgp.FlagExtended, 1, 0, 1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 65535 {
			return
		}
		if got := expand(nil, squeeze(nil, b)); !bytes.Equal(got, b) {
			t.Errorf("%x became %x", b, got)
		}
	})
}

func TestSqueezeSaves(t *testing.T) {
	b := attributes(1, true)
	if got := squeeze(nil, b); len(got)*10 > len(b)*8 {
		t.Errorf("%d bytes became %d", len(b), len(got))
	}
	part := bgp.Part{NextHop: hop(bgp.IPv6Unicast, 3), LinkLocal: localID}
	key := appendKey(nil, &part, b)
	if h, a := splitKey(nil, key); !bytes.Equal(a, b) || !slices.Equal(h, part.NextHopBytes(nil)) {
		t.Errorf("the key became %x and %x", h, a)
	}
}
