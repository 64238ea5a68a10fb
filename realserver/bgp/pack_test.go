package bgp

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var testPeer = Peer{FourOctetAS: true, Internal: true, LocalAS: 65000, AS: 65000,
	LocalID: netip.MustParseAddr("192.0.2.255"), Families: Families(IPv4Unicast, IPv6Unicast)}

// Whatever is packed is decoded as the same routes with the same attributes.
func TestPackRoundTrip(t *testing.T) {
	attrs := AppendASPath(AppendOrigin(nil, 1), 65001, 4200000000)
	attrs = AppendLocalPref(AppendMED(attrs, 7), 200)
	attrs = AppendCommunities(attrs, 65535<<16|666)
	hop4, hop6 := []byte{192, 0, 2, 1}, netip.MustParseAddr("2001:db8::1").AsSlice()
	linkLocal := append(append([]byte{}, hop6...), netip.MustParseAddr("fe80::1").AsSlice()...)
	tests := map[string]struct {
		family Family
		hop    []byte // nil: withdrawals
		limit  int
	}{
		"v4":               {IPv4Unicast, hop4, MaxMessage},
		"v4 extended":      {IPv4Unicast, hop4, MaxExtendedMessage},
		"v4 withdrawn":     {IPv4Unicast, nil, MaxMessage},
		"v6":               {IPv6Unicast, hop6, MaxMessage},
		"v6 link-local":    {IPv6Unicast, linkLocal, MaxMessage},
		"v6 extended":      {IPv6Unicast, hop6, MaxExtendedMessage},
		"v6 withdrawn":     {IPv6Unicast, nil, MaxMessage},
		"v6 withdrawn 64k": {IPv6Unicast, nil, MaxExtendedMessage},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := NewWithdrawer(nil, tt.family, tt.limit)
			if tt.hop != nil {
				var err error
				if p, err = NewPacker(nil, tt.family, attrs, tt.hop, tt.limit); err != nil {
					t.Fatal(err)
				}
			}
			want := addMany(&p, tt.family, 20000)
			got, messages := decodeAll(t, p.Finish(), tt.limit, func(r *Routes, part Part) {
				if tt.hop == nil {
					return
				}
				if diff := cmp.Diff(attrs, r.Attributes); diff != "" {
					t.Fatalf("attributes (-want +got)\n%s", diff)
				}
				if diff := cmp.Diff(tt.hop, part.NextHopBytes(nil)); diff != "" {
					t.Fatalf("next hop (-want +got)\n%s", diff)
				}
			})
			if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
				t.Errorf("routes (-want +got)\n%s", diff)
			}
			if most := len(p.buf)/(tt.limit-maxPrefixLen-p.head-len(p.tail)-2) + 1; messages > most {
				t.Errorf("%d messages for what fits in %d", messages, most)
			}
		})
	}
}

// addMany adds prefixes of all lengths, by all of the methods.
func addMany(p *Packer, f Family, n int) (added []netip.Prefix) {
	for i := range n {
		var prefix netip.Prefix
		if f == IPv4Unicast {
			var a [4]byte
			binary.BigEndian.PutUint32(a[:], uint32(i)*2654435761)
			prefix = netip.PrefixFrom(netip.AddrFrom4(a), i%33).Masked()
		} else {
			a := [16]byte{0x20, 1}
			binary.BigEndian.PutUint64(a[3:], uint64(i)*0x9e3779b97f4a7c15)
			binary.BigEndian.PutUint32(a[12:], uint32(i))
			prefix = netip.PrefixFrom(netip.AddrFrom16(a), i%129).Masked()
		}
		switch a := prefix.Addr().AsSlice(); {
		case i%2 == 0:
			p.Add(AppendPrefix(nil, prefix))
		case f == IPv4Unicast:
			p.Add4(binary.BigEndian.Uint32(a), uint8(prefix.Bits()))
		default:
			p.Add6(binary.BigEndian.Uint64(a), binary.BigEndian.Uint64(a[8:]), uint8(prefix.Bits()))
		}
		added = append(added, prefix)
	}
	return added
}

func decodeAll(t *testing.T, b []byte, limit int, see func(*Routes, Part)) (all []netip.Prefix, messages int) {
	t.Helper()
	d, r := Decoder{Peer: testPeer}, Routes{}
	for len(b) > 0 {
		m, n, err := Next(b, limit)
		if err != nil || n == 0 {
			t.Fatalf("Next = %d, %v", n, err)
		}
		if err := d.Decode(m.Body, &r); err != nil || r.Action != None || r.Loop {
			t.Fatalf("Decode: %v, %v, %s", err, r.Action, r.Reason)
		}
		for _, part := range r.Parts {
			see(&r, part)
			all = append(all, collect(t, part.Family.AFI, part.Withdrawn)...)
			all = append(all, collect(t, part.Family.AFI, part.Announced)...)
		}
		b = b[n:]
		messages++
	}
	return all, messages
}

// A packer to which nothing was added leaves no message, and what was in the
// buffer before stays.
func TestPackNothing(t *testing.T) {
	before := AppendKeepalive(nil)
	for _, f := range []Family{IPv4Unicast, IPv6Unicast} {
		p, err := NewPacker(before, f, AppendOrigin(nil, 0), make([]byte, 16), MaxMessage)
		if err != nil {
			t.Fatal(err)
		}
		w := NewWithdrawer(p.Finish(), f, MaxMessage)
		if diff := cmp.Diff(before, w.Finish()); diff != "" {
			t.Errorf("%v (-want +got)\n%s", f, diff)
		}
		w = NewWithdrawer(before, f, MaxMessage)
		w.Add([]byte{0})
		if m, n, err := Next(w.Finish()[len(before):], MaxMessage); err != nil || m.Type != TypeUpdate || n == 0 {
			t.Errorf("%v after a keepalive: %v of %d bytes, %v", f, m.Type, n, err)
		}
	}
}
