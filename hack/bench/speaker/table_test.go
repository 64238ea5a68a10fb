package speaker

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/peerage/peerage/realserver/bgp"
)

// Every number of the plan has a prefix of its own, and the way back.
func TestPlan(t *testing.T) {
	p := newPlan()
	lengths := map[uint8]int{}
	for i := range maxPrefixes {
		addr, length := p.prefix(i)
		if got := p.index(addr, length); got != i {
			t.Fatalf("prefix %d is %08x/%d, whose number is %d", i, addr, length, got)
		}
		if addr&(1<<(32-length)-1) != 0 || addr>>30 != 2 {
			t.Fatalf("prefix %d is %08x/%d", i, addr, length)
		}
		lengths[length]++
	}
	if share := float64(lengths[24]) / maxPrefixes; share < 0.6 || share > 0.65 || len(lengths) != 9 {
		t.Errorf("lengths are %v", lengths)
	}
	for _, c := range []struct {
		addr   uint32
		length uint8
	}{{0x01000000, 24}, {0x80000000, 15}, {0x80000000, 25}, {0xc0000000, 24}} {
		if got := p.index(c.addr, c.length); got != -1 {
			t.Errorf("%08x/%d has the number %d", c.addr, c.length, got)
		}
	}
}

// read decodes a stream: by prefix, the feed of its next hop, and the first AS.
func read(t *testing.T, tab *table, b []byte) (hops []uint8, firsts map[uint32]bool) {
	t.Helper()
	hops, firsts = make([]uint8, tab.n), map[uint32]bool{}
	for len(b) > 0 {
		m, n, err := bgp.Next(b, bgp.MaxMessage)
		if err != nil || n == 0 {
			t.Fatal(n, err)
		}
		b = b[n:]
		u, err := bgp.DecodeUpdate(m.Body)
		if err != nil {
			t.Fatal(err)
		}
		feed, err := whose(u.Attributes)
		if err != nil {
			t.Fatal(err)
		}
		for a, err := range bgp.Attributes(u.Attributes) {
			if err != nil {
				t.Fatal(err)
			}
			if a.Type == bgp.AttrASPath {
				firsts[uint32(a.Value[2])<<24|uint32(a.Value[3])<<16|uint32(a.Value[4])<<8|uint32(a.Value[5])] = true
			}
		}
		r := receiver{table: tab, have: hops, want: make([]uint8, tab.n)}
		if _, err := r.take(u.NLRI, feed); err != nil {
			t.Fatal(err)
		}
	}
	return hops, firsts
}

// Each feed announces every prefix, in chunks of whole messages.
func TestEncode(t *testing.T) {
	tab, err := newTable(3000, 3, 1, false)
	if err != nil {
		t.Fatal(err)
	}
	for feed := range 3 {
		s := tab.encode(feed)
		var joined []byte
		for i := range s.ends {
			c := s.chunk(i)
			if len(c) == 0 || len(c) > chunkSize {
				t.Errorf("a chunk has %d bytes", len(c))
			}
			read(t, tab, c)
			joined = append(joined, c...)
		}
		hops, _ := read(t, tab, joined)
		for i, h := range hops {
			if int(h) != feed+1 {
				t.Fatalf("prefix %d of feed %d has the next hop of %d", i, feed, int(h)-1)
			}
		}
	}
}

// What is patched is the next hop and the first AS, of every message.
func TestPatch(t *testing.T) {
	tab, err := newTable(3000, 3, 1, false)
	if err != nil {
		t.Fatal(err)
	}
	s := tab.collected()
	for _, c := range []struct {
		how sharing
		hop uint8
		as  uint32
	}{{shareAll, 1, collectAS}, {shareHop, 3, collectAS}, {shareAS, 3, collectAS + 2}} {
		b := append([]byte(nil), s.bytes...)
		patch(b, c.how.feedAS(2), c.how.feedHop(2))
		hops, firsts := read(t, tab, b)
		for i, h := range hops {
			if h != c.hop {
				t.Fatalf("%s: prefix %d has the next hop of %d", c.how, i, h)
			}
		}
		if diff := cmp.Diff(map[uint32]bool{c.as: true}, firsts); diff != "" {
			t.Errorf("%s: first AS %s", c.how, diff)
		}
	}
}

func TestBest(t *testing.T) {
	tab, err := newTable(5000, 4, 1, false)
	if err != nil {
		t.Fatal(err)
	}
	all, without := tab.best(-1), tab.best(2)
	won := make([]int, 5)
	for i, b := range all {
		won[b]++
		switch {
		case tab.rank(int(tab.groupOf[i]), int(b)-1) != 0:
			t.Fatalf("prefix %d: feed %d is not the best", i, b-1)
		case b == 3 && without[i] != 4, b != 3 && without[i] != b:
			t.Fatalf("prefix %d: best is feed %d, and %d without feed 2", i, b-1, without[i]-1)
		}
	}
	for feed, n := range won[1:] {
		if n < 800 {
			t.Errorf("feed %d is the best of %d prefixes: %v", feed, n, won)
		}
	}
	favourite, err := newTable(5000, 4, 1, true)
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range favourite.best(-1) {
		if b != 1 || favourite.best(0)[i] != 2 {
			t.Fatal("the first feed is not the best one")
		}
	}
}

// What a receiver spends on a prefix, from bytes to the check.
func BenchmarkReceive(b *testing.B) {
	tab, err := newTable(100_000, 10, 1, false)
	if err != nil {
		b.Fatal(err)
	}
	s := tab.encode(0)
	r := &receiver{table: tab, have: make([]uint8, tab.n), want: tab.best(-1), done: make(chan struct{})}
	for b.Loop() {
		for rest := s.bytes; len(rest) > 0; {
			m, n, err := bgp.Next(rest, bgp.MaxMessage)
			if err != nil {
				b.Fatal(err)
			}
			rest = rest[n:]
			if err := r.update(m.Body); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*tab.n), "ns/prefix")
}
