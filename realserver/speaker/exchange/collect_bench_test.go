package exchange

import (
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/peerage/peerage/realserver/bgp"
)

// load joins feeds in mode collect and loads their tables.
func load(b testing.TB, x *Exchange, d *tableData, feeds int) []*Peer {
	var peers []*Peer
	var wg sync.WaitGroup
	slots := make(chan struct{}, 4) // as many at once
	for f := range feeds {
		p := joinPeer(b, x, f, PeerConfig{AS: 64999, Customer: "c"})
		peers = append(peers, p)
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			dec := &bgp.Decoder{Peer: bgp.Peer{FourOctetAS: true, LocalAS: localAS, AS: 64999, LocalID: localID, Families: bothFamilies}}
			feed(b, p, d.encode(f, false), dec)
		})
	}
	wg.Wait()
	settled(x, nil)
	return peers
}

// BenchmarkCollect holds many feeds with the same prefixes. The bytes of a
// route include its attributes, of which one set in four routes is new.
func BenchmarkCollect(b *testing.B) {
	feeds, prefixes := environment("FEEDS", 100), environment("PREFIXES", 20_000)
	d := newTableData(prefixes, feeds)
	base := heap()
	for b.Loop() {
		x := startExchange(b)
		start := time.Now()
		began := cpu()
		peers := load(b, x, d, feeds)
		routes := float64(feeds * prefixes)
		b.ReportMetric(float64(cpu()-began)/routes, "cpu-ns/route")
		b.ReportMetric(routes/time.Since(start).Seconds(), "routes/s")
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.HeapSys)/routes, "peak-B/route")
		b.ReportMetric(float64(heap()-base)/routes, "B/route")
		st := x.Stats()
		b.ReportMetric(float64(st.AttributeBytes)/routes, "set-B/route")
		b.ReportMetric(float64(st.AttributeBytes)/float64(st.AttributeSets), "B/set")
		var bytes int64
		for _, s := range st.Shards {
			bytes += s.Bytes
		}
		b.ReportMetric(float64(bytes)/routes, "table-B/route")
		runtime.KeepAlive(peers)
	}
}

// BenchmarkLookup looks addresses up in many feeds with the same prefixes.
func BenchmarkLookup(b *testing.B) {
	feeds, prefixes := environment("FEEDS", 10), environment("PREFIXES", 100_000)
	d := newTableData(prefixes, feeds)
	x := startExchange(b)
	load(b, x, d, feeds)
	var addrs []netip.Addr
	for i := range 1 << 16 {
		addrs = append(addrs, d.prefixes[i*7919%len(d.prefixes)].Addr().Next())
	}
	for name, f := range map[string]Filter{"session": {Session: "peer-3"}, "customer": {Customer: "c"}, "all": {}} {
		b.Run(name, func(b *testing.B) {
			i, found, began := 0, 0, cpu()
			for b.Loop() {
				found += len(x.Lookup(addrs[i&(1<<16-1)], f))
				i++
			}
			b.ReportMetric(float64(found)/float64(i), "routes/op")
			b.ReportMetric(float64(cpu()-began)/float64(i), "cpu-ns/op")
		})
	}
}
