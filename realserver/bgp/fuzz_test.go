package bgp

import (
	"errors"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fuzzPeer makes a peer of a byte.
func fuzzPeer(kind byte) Peer { return oraclePeer(kind&1 == 0, kind&2 == 0) }

func fuzzSeeds(f *testing.F) {
	f.Helper()
	four, two := oracleSeeds(f)
	for i, body := range four {
		f.Add(byte(i&1), body)
	}
	for i, body := range two {
		f.Add(byte(2+i&1), body)
	}
	for _, d := range differences {
		f.Add(byte(0), d.example.body(f))
	}
}

// FuzzRoundTrip decodes, packs again what was decoded and decodes that: it
// must be the same, and its canonical form must be itself.
func FuzzRoundTrip(f *testing.F) {
	fuzzSeeds(f)
	f.Fuzz(func(t *testing.T, kind byte, body []byte) {
		if len(body) > MaxExtendedMessage-HeaderLen {
			return
		}
		var r Routes
		peer := fuzzPeer(kind)
		err := (&Decoder{Peer: peer}).Decode(body, &r)
		var e *Error
		if err != nil && (!errors.As(err, &e) || e.Notification.Code != CodeUpdate || e.Notification.Subcode == 0) {
			t.Fatalf("error without a notification: %v", err)
		}
		unusedFlags(t, peer, body, &r, err)
		if err != nil {
			return
		}
		for _, part := range r.Parts {
			_ = collect(t, part.Family.AFI, part.Withdrawn)
			if len(part.Announced) > 0 {
				packAgain(t, peer, &r, part)
			}
		}
	})
}

// unusedFlags sets flags that have no meaning: nothing may change. It also
// shows that the short way for plain attributes and the long one agree.
func unusedFlags(t *testing.T, peer Peer, body []byte, r *Routes, err error) {
	t.Helper()
	body = slices.Clone(body)
	if _, attributes, frameErr := frame(body); frameErr == nil {
		b := body[:attributes]
		b = b[2+int(body[0])<<8+int(body[1])+2:]
		for len(b) > 0 {
			_, n, ok := cutAttribute(b)
			if !ok {
				break
			}
			b[0] |= 0x0f
			b = b[n:]
		}
	}
	var again Routes
	againErr := (&Decoder{Peer: peer}).Decode(body, &again)
	if (err == nil) != (againErr == nil) {
		t.Fatalf("error %v, and %v with unused flags", err, againErr)
	}
	if err != nil {
		return
	}
	if diff := cmp.Diff(r.Rank, again.Rank); diff != "" || r.Action != again.Action || r.Reason != again.Reason || r.Loop != again.Loop || !slices.Equal(r.Attributes, again.Attributes) {
		t.Errorf("%v %q %x, and with unused flags %v %q %x; rank (-want +got)\n%s", r.Action, r.Reason, r.Attributes, again.Action, again.Reason, again.Attributes, diff)
	}
}

func packAgain(t *testing.T, peer Peer, r *Routes, part Part) {
	t.Helper()
	attributes := r.Attributes
	if !peer.FourOctetAS {
		attributes = AppendTwoOctet(nil, attributes)
	}
	p, err := NewPacker(nil, part.Family, attributes, part.NextHopBytes(nil), MaxExtendedMessage)
	if err != nil {
		return // widened beyond what a message holds
	}
	want := collect(t, part.Family.AFI, part.Announced)
	for _, prefix := range want {
		p.Add(AppendPrefix(nil, prefix))
	}
	var got []netip.Prefix
	for b := p.Finish(); len(b) > 0; {
		m, n, err := Next(b, MaxExtendedMessage)
		if err != nil || n == 0 {
			t.Fatalf("packed %x: %v", b, err)
		}
		b = b[n:]
		var again Routes
		if err := (&Decoder{Peer: peer}).Decode(m.Body, &again); err != nil || again.Action != None || len(again.Parts) != 1 {
			t.Fatalf("packed %x: %v, %s", m.Body, err, again.Reason)
		}
		samePath(t, peer, r, &again)
		if back := again.Parts[0]; back.NextHop != part.NextHop || back.LinkLocal != part.LinkLocal {
			t.Errorf("next hop %v %v, was %v %v", back.NextHop, back.LinkLocal, part.NextHop, part.LinkLocal)
		}
		got = append(got, collect(t, part.Family.AFI, again.Parts[0].Announced)...)
	}
	if !slices.Equal(want, got) {
		t.Errorf("routes %v, were %v", got, want)
	}
}

// samePath compares all that was decoded. Between 2-octet peers a path with
// confederation segments may lose some of them (RFC 6793 section 4.2.3).
func samePath(t *testing.T, peer Peer, r, again *Routes) {
	t.Helper()
	if !peer.FourOctetAS && hasConfederation(r.Attributes) {
		return
	}
	if diff := cmp.Diff(r.Rank, again.Rank); diff != "" {
		t.Errorf("rank (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(r.Attributes, again.Attributes); diff != "" {
		t.Errorf("attributes (-want +got)\n%s", diff)
	}
}

func hasConfederation(canonical []byte) bool {
	var info pathInfo
	for a := range Attributes(canonical) {
		if a.Type == AttrASPath {
			info.walk(a.Value, 0)
		}
	}
	return info.confed
}

// FuzzOracle compares with GoBGP's codec; what differs must be in the table.
func FuzzOracle(f *testing.F) {
	fuzzSeeds(f)
	f.Fuzz(func(t *testing.T, kind byte, body []byte) {
		if len(body) >= 4 && len(body) <= MaxMessage-HeaderLen {
			compare(t, fuzzPeer(kind), body)
		}
	})
}
