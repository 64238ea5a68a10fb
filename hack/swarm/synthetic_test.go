package swarm

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/peerage/peerage/realserver/bgp"
)

// TestSyntheticShape compares a generated table with what is known of today's
// Internet: see docs/swarm.md for the sources.
func TestSyntheticShape(t *testing.T) {
	for name, want := range map[string]struct {
		v4     bool
		length float64
	}{"IPv4": {true, 22.93}, "IPv6": {false, 42.87}} {
		t.Run(name, func(t *testing.T) {
			g := generator{shape: internetShape(), v4: want.v4, random: rand.New(rand.NewPCG(1, 1)), seen: map[netip.Prefix]struct{}{}}
			const n = 100_000
			var bits, path, sets int
			for left := n; left > 0; sets++ {
				set := g.next(left)
				left -= len(set.Prefixes)
				for _, p := range set.Prefixes {
					bits += p.Bits()
					path += len(set.Path) + 1
				}
			}
			if mean := float64(bits) / n; math.Abs(mean-want.length) > 0.15 {
				t.Errorf("the mean prefix length is %.2f, not %.2f", mean, want.length)
			}
			if mean := float64(path) / n; math.Abs(mean-4.5) > 0.2 {
				t.Errorf("the mean path length is %.2f, not 4.5", mean)
			}
			if mean := float64(n) / float64(sets); mean < 3.5 || mean > 5.5 {
				t.Errorf("%.2f prefixes share an attribute set, not about 4.4", mean)
			}
		})
	}
}

func TestSyntheticTableIsRepeatable(t *testing.T) {
	a, err := NewSyntheticTable(5000, 3, bgp.IPv4Unicast)
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewSyntheticTable(5000, 3, bgp.IPv4Unicast)
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewSyntheticTable(5000, 4, bgp.IPv4Unicast)
	if err != nil {
		t.Fatal(err)
	}
	if a.Prefixes() != 5000 || a.Bytes() != b.Bytes() || a.Bytes() == c.Bytes() || len(a.v6.chunks) != 0 {
		t.Errorf("%d prefixes in %d, %d, %d bytes, %d IPv6 chunks", a.Prefixes(), a.Bytes(), b.Bytes(), c.Bytes(), len(a.v6.chunks))
	}
}

func BenchmarkSyntheticTable(b *testing.B) {
	for b.Loop() {
		table, err := NewSyntheticTable(100_000, 1, bgp.IPv4Unicast)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(table.Bytes())/100_000, "bytes/route")
		b.ReportMetric(100_000/float64(table.messages), "routes/message")
	}
}

// BenchmarkRender measures what a session adds to a shared table: the copy
// with its own values.
func BenchmarkRender(b *testing.B) {
	table, err := NewSyntheticTable(100_000, 1, bgp.IPv4Unicast)
	if err != nil {
		b.Fatal(err)
	}
	r := &Record{AS: 65001, Source: netip.MustParseAddr("192.0.2.1")}
	buf := make([]byte, 0, bgp.MaxExtendedMessage)
	b.SetBytes(int64(table.Bytes()))
	b.ReportAllocs()
	for b.Loop() {
		for i := range table.v4.chunks {
			buf = table.v4.chunks[i].render(buf, r)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100_000, "ns/route")
}
