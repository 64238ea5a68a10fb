package bgpcheck

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"
	"testing"
)

// message frames a body.
func message(kind byte, body ...byte) []byte {
	m := bytes.Repeat([]byte{0xff}, markerLen)
	m = binary.BigEndian.AppendUint16(m, uint16(headerLen+len(body)))
	return append(append(m, kind), body...)
}

// openBody is an OPEN of AS 64700, hold time 90, identifier 10.0.0.1.
func openBody(params ...byte) []byte {
	return append([]byte{4, 0xfc, 0xbc, 0, 90, 10, 0, 0, 1, byte(len(params))}, params...)
}

func as4(as uint32) []byte { return binary.BigEndian.AppendUint32([]byte{2, 6, 65, 4}, as) }

func TestParseOpen(t *testing.T) {
	id := netip.MustParseAddr("10.0.0.1")
	for name, tc := range map[string]struct {
		body []byte
		want open
		err  string
	}{
		"plain":             {openBody(), open{64700, 90, id}, ""},
		"four octets":       {openBody(as4(4200000000)...), open{4200000000, 90, id}, ""},
		"two parameters":    {openBody(append([]byte{2, 2, 2, 0}, as4(64700)...)...), open{64700, 90, id}, ""},
		"two capabilities":  {openBody(2, 8, 2, 0, 65, 4, 0, 0, 0xfc, 0xbc), open{64700, 90, id}, ""},
		"unknown parameter": {openBody(1, 3, 9, 9, 9), open{64700, 90, id}, ""},
		"extended": {append(openBody()[:9], 255, 255, 0, 9, 2, 0, 6, 65, 4, 0, 0, 0, 7),
			open{7, 90, id}, ""},
		"extended, empty":         {append(openBody()[:9], 255, 255, 0, 0), open{64700, 90, id}, ""},
		"hold 0":                  {[]byte{4, 0xfc, 0xbc, 0, 0, 10, 0, 0, 1, 0}, open{64700, 0, id}, ""},
		"short":                   {openBody()[:9], open{}, "the OPEN is cut short"},
		"version 3":               {[]byte{3, 0xfc, 0xbc, 0, 90, 10, 0, 0, 1, 0}, open{}, "BGP version 3"},
		"AS 0":                    {[]byte{4, 0, 0, 0, 90, 10, 0, 0, 1, 0}, open{}, "AS number 0"},
		"AS 0 in four octets":     {openBody(as4(0)...), open{}, "AS number 0"},
		"AS_TRANS alone":          {[]byte{4, 0x5b, 0xa0, 0, 90, 10, 0, 0, 1, 0}, open{}, "23456"},
		"hold 1":                  {[]byte{4, 0xfc, 0xbc, 0, 1, 10, 0, 0, 1, 0}, open{}, "hold time 1"},
		"hold 2":                  {[]byte{4, 0xfc, 0xbc, 0, 2, 10, 0, 0, 1, 0}, open{}, "hold time 2"},
		"no identifier":           {[]byte{4, 0xfc, 0xbc, 0, 90, 0, 0, 0, 0, 0}, open{}, "identifier 0.0.0.0"},
		"parameters too short":    {append(openBody(), 2), open{}, "has 1 bytes of optional parameters and says 0"},
		"parameters too long":     {openBody(2, 6, 65, 4)[:12], open{}, "has 2 bytes of optional parameters and says 4"},
		"parameter beyond":        {openBody(2, 9, 65), open{}, "an optional parameter of the OPEN is longer"},
		"parameter without size":  {openBody(2), open{}, "an optional parameter of the OPEN is longer"},
		"capability beyond":       {openBody(2, 2, 65, 4), open{}, "a capability of the OPEN is longer"},
		"capability of 3 bytes":   {openBody(2, 5, 65, 3, 0, 0, 1), open{}, "has 3 bytes"},
		"extended, cut":           {append(openBody()[:9], 255, 255, 0), open{}, "extended parameters are cut short"},
		"extended, wrong length":  {append(openBody()[:9], 255, 255, 0, 9, 2), open{}, "has 1 bytes of optional parameters and says 9"},
		"extended, param too big": {append(openBody()[:9], 255, 255, 0, 3, 2, 1, 0), open{}, "longer than what is left"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseOpen(tc.body)
			if tc.err == "" {
				if err != nil || got != tc.want {
					t.Errorf("%+v, %v, not %+v", got, err, tc.want)
				}
				return
			}
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Kind != KindOpen || !strings.Contains(e.Text, tc.err) {
				t.Errorf("%v, not %s", err, tc.err)
			}
		})
	}
}

func TestFarewell(t *testing.T) {
	_, err := readOpen(bytes.NewReader(farewell()))
	if want := `the speaker refused with Cease, Administrative Shutdown (6/2): health check`; err == nil || err.Error() != want {
		t.Errorf("%v, not %s", err, want)
	}
}

func TestNotification(t *testing.T) {
	for want, body := range map[string][]byte{
		"the speaker refused with Cease, Connection Rejected (6/5)":                      {6, 5},
		"the speaker refused with OPEN Message Error (2/2)":                              {2, 2, 0, 1},
		"the speaker refused with an unknown code (99/1)":                                {99, 1},
		"the speaker refused with Cease, Administrative Reset (6/4): a\\nb":              {6, 4, 3, 'a', '\n', 'b'},
		"the speaker refused with Cease, Administrative Shutdown (6/2)":                  {6, 2, 200, 'a'},
		"the speaker refused with Cease (6/77)":                                          {6, 77},
		"the speaker refused with Hold Timer Expired (4/0)":                              {4, 0},
		"the speaker refused with Cease, Administrative Shutdown (6/2): \\x1b[31m\u00e9": append([]byte{6, 2, 7}, "\x1b[31mé"...),
	} {
		if err := notification(body); err.Error() != want {
			t.Errorf("%v, not %s", err, want)
		}
	}
}

// FuzzOpen: no bytes make the decoder panic or accept what is not an OPEN.
func FuzzOpen(f *testing.F) {
	f.Add(message(typeOpen, openBody()...))
	f.Add(message(typeOpen, openBody(as4(4200000000)...)...))
	f.Add(message(typeOpen, append(openBody()[:9], 255, 255, 0, 9, 2, 0, 6, 65, 4, 0, 0, 0, 7)...))
	f.Add(message(typeNotification, 6, 5))
	f.Add(message(typeKeepalive))
	f.Add(farewell())
	f.Add([]byte("SSH-2.0-OpenSSH_9.2\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := readOpen(bytes.NewReader(data))
		if err != nil {
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Text == "" || len(e.Text) > 1200 || e.Kind == KindLocal {
				t.Fatalf("%#v", err)
			}
			return
		}
		if o.as == 0 || !o.id.Is4() || len(data) < minOpen || data[headerLen-1] != typeOpen {
			t.Fatalf("accepted %x as %+v", data, o)
		}
	})
}
