package mrt_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/peerage/peerage/hack/swarm/mrt"
	"github.com/peerage/peerage/hack/swarm/mrt/mrttest"
)

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func sample() []byte {
	b := mrttest.AppendPeers(nil, "a view", []uint32{65001, 4200000000}, netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1"))
	b = mrttest.AppendRIB(b, prefix("0.0.0.0/0"), mrttest.Entry{Peer: 1, Attributes: []byte{0x40, 1, 1, 0}})
	b = mrttest.AppendRecord(b, 16, 4, []byte("an update that is skipped"))
	b = mrttest.AppendRIB(b, prefix("198.51.100.0/25"), mrttest.Entry{Peer: 0}, mrttest.Entry{Peer: 1, Attributes: []byte{0x40, 1, 1, 2}})
	b = mrttest.AppendRIB(b, prefix("203.0.113.0/24"))
	return mrttest.AppendRIB(b, prefix("2001:db8::/33"), mrttest.Entry{Peer: 0, Attributes: []byte{1}})
}

// read lists the routes as text.
func read(in io.Reader) (lines []string, peers []mrt.Peer, err error) {
	r, err := mrt.NewReader(in)
	if err != nil {
		return nil, nil, err
	}
	for {
		route, err := r.Next()
		if errors.Is(err, io.EOF) {
			return lines, r.Peers(), nil
		}
		if err != nil {
			return lines, r.Peers(), err
		}
		lines = append(lines, fmt.Sprintf("%v %x %d %x", route.IPv6, route.Prefix, route.Peer, route.Attributes))
	}
}

func TestRead(t *testing.T) {
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write(sample()); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	want := []string{"false 00 1 40010100", "false 19c6336400 0 ", "false 19c6336400 1 40010102", "true 2120010db800 0 01"}
	for name, b := range map[string][]byte{"plain": sample(), "gzip": zipped.Bytes()} {
		got, peers, err := read(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
		if !slices.Equal(peers, []mrt.Peer{{netip.MustParseAddr("192.0.2.1"), 65001}, {netip.MustParseAddr("2001:db8::1"), 4200000000}}) {
			t.Errorf("%s: peers are %v", name, peers)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	peers := mrttest.AppendPeers(nil, "", []uint32{1}, netip.MustParseAddr("192.0.2.1"))
	tests := map[string]struct {
		b    []byte
		want string
	}{
		"text":                 {[]byte("this is no MRT file, but it is long enough"), "mrt: record at byte 0: a length of"},
		"cut header":           {peers[:7], "the file ends inside a header"},
		"cut record":           {peers[:20], "the file ends inside a record"},
		"cut skipped record":   {mrttest.AppendRecord(nil, 16, 4, make([]byte, 100))[:50], "the file ends inside a record"},
		"RIB first":            {mrttest.AppendRIB(nil, prefix("10.0.0.0/8")), "a RIB record before the table of peers"},
		"unknown peer":         {mrttest.AppendRIB(slices.Clone(peers), prefix("10.0.0.0/8"), mrttest.Entry{Peer: 1}), "peer 1 is not among the 1 of the file"},
		"prefix too long":      {mrttest.AppendRecord(slices.Clone(peers), 13, 2, []byte{0, 0, 0, 0, 33, 1, 2, 3, 4, 5, 0, 0}), "a prefix of 33 bits"},
		"no count":             {mrttest.AppendRecord(slices.Clone(peers), 13, 2, []byte{0, 0, 0, 0, 8, 10}), "a prefix of 8 bits in 1 bytes"},
		"entries that lack":    {mrttest.AppendRecord(slices.Clone(peers), 13, 2, []byte{0, 0, 0, 0, 8, 10, 0, 3}), "a field is longer than the record"},
		"peer table too short": {mrttest.AppendRecord(nil, 13, 1, []byte{1, 2, 3, 4, 0, 9, 0}), "a field is longer than the record"},
		"bad gzip":             {[]byte{0x1f, 0x8b, 9, 9}, "mrt: "},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, _, err := read(bytes.NewReader(tt.b)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error is %v, want %q", err, tt.want)
			}
		})
	}
}

// FuzzRead: nothing panics, hangs, or hands out more than the file has.
func FuzzRead(f *testing.F) {
	f.Add(sample())
	f.Add(mrttest.AppendRecord(nil, 13, 1, []byte{0, 0, 0, 0, 0, 0, 0, 1}))
	f.Add([]byte("BZh91AY&SY"))
	f.Add([]byte{0x1f, 0x8b, 8, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if bytes.HasPrefix(b, []byte("BZh")) || bytes.HasPrefix(b, []byte{0x1f, 0x8b}) {
			b = b[:min(len(b), 1<<10)] // they may grow a lot
		}
		in, err := mrt.NewReader(bytes.NewReader(b))
		if err != nil {
			return
		}
		for range 1 << 16 {
			r, err := in.Next()
			if err != nil {
				return
			}
			if len(r.Prefix) == 0 || len(r.Prefix) != 1+(int(r.Prefix[0])+7)/8 || r.Peer >= len(in.Peers()) {
				t.Fatalf("%+v", r)
			}
		}
	})
}
