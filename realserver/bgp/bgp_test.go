package bgp

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var compareAddr = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

// one takes the single message out of b.
func one(t *testing.T, b []byte, want Type) []byte {
	t.Helper()
	m, n, err := Next(b, MaxMessage)
	if err != nil || n != len(b) || m.Type != want {
		t.Fatalf("Next = %v of %d bytes, %v; want one %v of %d bytes", m.Type, n, err, want, len(b))
	}
	return m.Body
}

func TestOpenRoundTrip(t *testing.T) {
	many := make([]Capability, 40)
	for i := range many {
		many[i] = Capability{CapabilityCode(128 + i), bytes.Repeat([]byte{byte(i)}, 10)}
	}
	tests := map[string]*Open{
		"two-octet AS":              {AS: 65001, HoldTime: 90 * time.Second, Identifier: netip.MustParseAddr("192.0.2.1")},
		"four-octet AS":             {AS: 4200000000, HoldTime: 0, Identifier: netip.MustParseAddr("0.0.0.1")},
		"families":                  {AS: 1, HoldTime: 3 * time.Second, Identifier: netip.MustParseAddr("255.255.255.255"), Capabilities: []Capability{Multiprotocol(IPv4Unicast), Multiprotocol(IPv6Unicast), {CapRouteRefresh, nil}}},
		"extended parameters":       {AS: 70000, HoldTime: time.Minute, Identifier: netip.MustParseAddr("10.0.0.1"), Capabilities: many},
		"capabilities nobody knows": {AS: 5, HoldTime: time.Minute, Identifier: netip.MustParseAddr("10.0.0.1"), Capabilities: []Capability{{200, []byte{1, 2, 3}}}},
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := DecodeOpen(one(t, want.Append(nil), TypeOpen))
			if err != nil {
				t.Fatal(err)
			}
			// Encoding puts the AS capability first.
			got.Capabilities = slices.DeleteFunc(got.Capabilities, func(c Capability) bool { return c.Code == CapFourOctetAS })
			if diff := cmp.Diff(want, got, compareAddr, cmp.Transformer("bytes", func(b []byte) string { return string(b) }), cmp.Transformer("nil", func(c []Capability) []Capability {
				return append([]Capability{}, c...)
			})); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestOpenRefused(t *testing.T) {
	good := (&Open{AS: 65001, HoldTime: 90 * time.Second, Identifier: netip.MustParseAddr("192.0.2.1")}).Append(nil)[HeaderLen:]
	tests := map[string]struct {
		change  func([]byte) []byte
		code    Code
		subcode uint8
	}{
		"version 3":           {func(b []byte) []byte { b[0] = 3; return b }, CodeOpen, SubUnsupportedVersion},
		"hold time 2":         {func(b []byte) []byte { b[3], b[4] = 0, 2; return b }, CodeOpen, SubUnacceptableHoldTime},
		"identifier 0":        {func(b []byte) []byte { clear(b[5:9]); return b }, CodeOpen, SubBadBGPIdentifier},
		"AS 0":                {func(b []byte) []byte { clear(b[len(b)-4:]); return b }, CodeOpen, SubBadPeerAS},
		"parameters too long": {func(b []byte) []byte { b[9]++; return b }, CodeOpen, 0},
		"unknown parameter":   {func(b []byte) []byte { b[10] = 1; return b }, CodeOpen, SubUnsupportedParameter},
		"capability too long": {func(b []byte) []byte { b[13]++; return b }, CodeOpen, 0},
		"short capability":    {func(b []byte) []byte { b[13]--; b[11]--; b[9]--; return b[:len(b)-1] }, CodeOpen, 0},
		"cut short":           {func(b []byte) []byte { return b[:9] }, CodeHeader, SubBadMessageLength},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := DecodeOpen(tt.change(bytes.Clone(good)))
			wantError(t, err, tt.code, tt.subcode)
		})
	}
}

func wantError(t *testing.T, err error, code Code, subcode uint8) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Notification.Code != code || e.Notification.Subcode != subcode {
		t.Errorf("error is %v; want code %d subcode %d", err, code, subcode)
	}
}

func TestNext(t *testing.T) {
	keepalive := AppendKeepalive(nil)
	long := Notification{CodeCease, 2, make([]byte, 4000)}.Append(nil)
	tests := map[string]struct {
		buf     []byte
		n       int
		subcode uint8 // of CodeHeader; 0: no error
	}{
		"nothing":           {nil, 0, 0},
		"half a header":     {keepalive[:10], 0, 0},
		"half a message":    {long[:100], 0, 0},
		"a message":         {keepalive, 19, 0},
		"and a half":        {append(slices.Clone(keepalive), long[:50]...), 19, 0},
		"marker":            {append([]byte{0xfe}, keepalive[1:]...), 0, SubConnectionNotSynchronized},
		"type 0":            {with(keepalive, 18, 0), 0, SubBadMessageType},
		"type 6":            {with(keepalive, 18, 6), 0, SubBadMessageType},
		"keepalive of 20":   {with(append(slices.Clone(keepalive), 0), 17, 20), 0, SubBadMessageLength},
		"length 18":         {with(keepalive, 17, 18), 0, SubBadMessageLength},
		"update of 22":      {with(with(keepalive, 18, byte(TypeUpdate)), 17, 22), 0, SubBadMessageLength},
		"4097 bytes":        {with(with(keepalive, 18, byte(TypeUpdate)), 16, 0x10, 0x01), 0, SubBadMessageLength},
		"4096 bytes, to go": {with(with(keepalive, 18, byte(TypeUpdate)), 16, 0x10, 0x00), 0, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, n, err := Next(tt.buf, MaxMessage)
			if n != tt.n {
				t.Errorf("took %d bytes, want %d", n, tt.n)
			}
			if tt.subcode != 0 {
				wantError(t, err, CodeHeader, tt.subcode)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	if _, n, err := Next(append(with(with(keepalive, 18, byte(TypeUpdate)), 16, 0x10, 0x01), make([]byte, 4097-19)...), MaxExtendedMessage); n != 4097 || err != nil {
		t.Errorf("extended message: %d bytes, %v", n, err)
	}
}

func with(b []byte, at int, values ...byte) []byte {
	b = slices.Clone(b)
	copy(b[at:], values)
	return b
}

func TestNotification(t *testing.T) {
	long := strings.Repeat("ä", 200)
	tests := map[string]struct {
		n    Notification
		want string
	}{
		"plain":          {Notification{CodeHoldTimer, 0, nil}, "hold timer expired"},
		"subcode":        {Notification{CodeCease, SubMaxPrefixes, nil}, "cease: maximum number of prefixes reached"},
		"unknown":        {Notification{42, 7, nil}, "code 42: subcode 7"},
		"communication":  {Shutdown(SubAdministrativeShutdown, "moved to rs-2"), `cease: administrative shutdown "moved to rs-2"`},
		"screen control": {Shutdown(SubAdministrativeShutdown, "\x1b[2Jhi"), `cease: administrative shutdown ".[2Jhi"`},
		"too long":       {Shutdown(SubAdministrativeReset, long), `cease: administrative reset "` + strings.Repeat("ä", 127) + `"`},
		"length lies":    {Notification{CodeCease, SubAdministrativeShutdown, []byte{9, 'x'}}, "cease: administrative shutdown"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := DecodeNotification(one(t, tt.n.Append(nil), TypeNotification))
			if err != nil || got.String() != tt.want {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func TestUpdateRoundTrip(t *testing.T) {
	v4 := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.128/25")}
	v6 := []netip.Prefix{netip.MustParsePrefix("::/0"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("2001:db8::1/128")}
	var enc4, enc6 []byte
	for i := range v4 {
		enc4, enc6 = AppendPrefix(enc4, v4[i]), AppendPrefix(enc6, v6[i])
	}
	attrs := AppendOrigin(nil, 0)
	attrs = AppendASPath(attrs, 65001, 4200000000)
	attrs = AppendNextHop(attrs, netip.MustParseAddr("192.0.2.1"))
	attrs = AppendReach(attrs, netip.MustParseAddr("2001:db8::1"), enc6)
	attrs = AppendUnreach(attrs, IPv6Unicast, enc6)
	attrs = AppendCommunities(attrs, 65535<<16|666)

	u, err := DecodeUpdate(one(t, AppendUpdate(nil, enc4, attrs, enc4), TypeUpdate))
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string][]byte{"withdrawn": u.Withdrawn, "nlri": u.NLRI} {
		if n, err := CountPrefixes(AFIIPv4, got); n != 3 || err != nil {
			t.Errorf("%s: %d prefixes, %v", name, n, err)
		}
		if ps := collect(t, AFIIPv4, got); !slices.Equal(ps, v4) {
			t.Errorf("%s: %v", name, ps)
		}
	}
	if ps := collect(t, AFIIPv6, u.Reach.NLRI); !slices.Equal(ps, v6) || u.Reach.Family != IPv6Unicast {
		t.Errorf("reach: %v %v", u.Reach.Family, ps)
	}
	if ps := collect(t, AFIIPv6, u.Unreach.NLRI); !slices.Equal(ps, v6) {
		t.Errorf("unreach: %v", ps)
	}
	if f, ok := u.EndOfRIB(); ok {
		t.Errorf("taken for End-of-RIB of %v", f)
	}
	if announced, withdrawn, err := u.Count(); announced != 6 || withdrawn != 6 || err != nil {
		t.Errorf("counted %d announced, %d withdrawn, %v", announced, withdrawn, err)
	}
}

func collect(t *testing.T, afi AFI, b []byte) (ps []netip.Prefix) {
	t.Helper()
	for p, err := range Prefixes(afi, b) {
		if err != nil {
			t.Fatal(err)
		}
		ps = append(ps, p)
	}
	return ps
}

func TestEndOfRIB(t *testing.T) {
	for _, want := range []Family{IPv4Unicast, IPv6Unicast} {
		u, err := DecodeUpdate(one(t, AppendEndOfRIB(nil, want), TypeUpdate))
		if err != nil {
			t.Fatal(err)
		}
		if f, ok := u.EndOfRIB(); f != want || !ok {
			t.Errorf("got %v, %v; want %v", f, ok, want)
		}
	}
}

func TestUpdateRefused(t *testing.T) {
	reach := AppendReach(nil, netip.MustParseAddr("2001:db8::1"), nil)
	tests := map[string]struct {
		body    []byte
		subcode uint8
	}{
		"withdrawn too long":  {[]byte{0, 9, 0, 0}, SubMalformedAttributeList},
		"attributes too long": {[]byte{0, 0, 0, 1}, SubMalformedAttributeList},
		"attribute too long":  {[]byte{0, 0, 0, 3, 0x40, 1, 1}, SubMalformedAttributeList},
		"extended, cut":       {[]byte{0, 0, 0, 3, 0x50, 1, 1}, SubMalformedAttributeList},
		"reach cut short":     {[]byte{0, 0, 0, 7, 0x80, 14, 4, 0, 2, 1, 16}, SubOptionalAttribute},
		"unreach cut short":   {[]byte{0, 0, 0, 5, 0x80, 15, 2, 0, 2}, SubOptionalAttribute},
		"reach twice":         {AppendUpdate(nil, nil, append(slices.Clone(reach), reach...), nil)[HeaderLen:], SubMalformedAttributeList},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := DecodeUpdate(tt.body)
			wantError(t, err, CodeUpdate, tt.subcode)
		})
	}
	for name, b := range map[string][]byte{"33 bits": {33, 1, 2, 3, 4, 5}, "cut short": {24, 1, 2}} {
		if _, err := CountPrefixes(AFIIPv4, b); err == nil {
			t.Errorf("prefix %s: counted", name)
		}
	}
}

// FuzzDecode feeds every decoder: nothing panics, every error carries a
// NOTIFICATION, and what was decoded survives an encoding.
func FuzzDecode(f *testing.F) {
	f.Add((&Open{AS: 70000, HoldTime: time.Minute, Identifier: netip.MustParseAddr("10.0.0.1"), Capabilities: []Capability{Multiprotocol(IPv6Unicast)}}).Append(nil))
	f.Add(Shutdown(SubAdministrativeShutdown, "bye").Append(nil))
	f.Add(AppendUpdate(nil, []byte{8, 10}, AppendASPath(AppendOrigin(nil, 2), 1, 2), []byte{24, 192, 0, 2}))
	f.Add(AppendEndOfRIB(nil, IPv6Unicast))
	f.Add(RouteRefresh{IPv4Unicast, RefreshRequest}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, n, err := Next(b, MaxExtendedMessage)
		if err == nil && n > 0 {
			err = decodeBody(t, m)
		}
		var e *Error
		if err != nil && (!errors.As(err, &e) || e.Notification.Code == 0) {
			t.Errorf("error without a notification: %v", err)
		}
	})
}

func decodeBody(t *testing.T, m Message) error {
	switch m.Type {
	case TypeOpen:
		o, err := DecodeOpen(m.Body)
		if err != nil {
			return err
		}
		again, err := DecodeOpen(o.Append(nil)[HeaderLen:])
		if err != nil || again.AS != o.AS || again.HoldTime != o.HoldTime || len(again.Capabilities) < len(o.Capabilities) {
			t.Errorf("%+v became %+v, %v", o, again, err)
		}
	case TypeNotification:
		n, err := DecodeNotification(m.Body)
		if err != nil {
			return err
		}
		_ = n.String()
	case TypeRouteRefresh:
		_, err := DecodeRouteRefresh(m.Body)
		return err
	case TypeUpdate:
		return decodeUpdateBody(t, m.Body)
	case TypeKeepalive:
	}
	return nil
}

func decodeUpdateBody(t *testing.T, body []byte) error {
	u, err := DecodeUpdate(body)
	if err != nil {
		return err
	}
	for _, nlri := range [][]byte{u.Withdrawn, u.NLRI} {
		count, countErr := CountPrefixes(AFIIPv4, nlri)
		n := 0
		for p, err := range Prefixes(AFIIPv4, nlri) {
			if err != nil {
				if countErr == nil {
					t.Errorf("counted what cannot be decoded: %v", err)
				}
				return err
			}
			if again := collect(t, AFIIPv4, AppendPrefix(nil, p)); len(again) != 1 || again[0] != p {
				t.Errorf("%v became %v", p, again)
			}
			n++
		}
		if n != count {
			t.Errorf("counted %d prefixes, decoded %d", count, n)
		}
	}
	return nil
}
