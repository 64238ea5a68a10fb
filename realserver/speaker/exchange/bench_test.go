package exchange

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/peerage/peerage/realserver/bgp"
)

// tableData is prefixes like those of a full table, in groups that share their
// attributes: about four of them, heavy-tailed.
type tableData struct {
	prefixes []netip.Prefix
	groups   [][2]int // from, to
	feeds    int
	rot      []int // which feed is the best for a group
}

func newTableData(n, feeds int) *tableData {
	r := rand.New(rand.NewPCG(1, 42))
	d := &tableData{feeds: feeds}
	seen := map[uint32]bool{}
	lengths := []int{24, 24, 24, 24, 24, 24, 24, 24, 24, 24, 24, 24, 23, 23, 22, 22, 21, 20, 19, 16}
	for len(d.prefixes) < n {
		a := 1<<24 + r.Uint32N(222<<24)
		l := lengths[r.IntN(len(lengths))]
		a &^= 1<<(32-l) - 1
		if seen[a>>8] {
			continue
		}
		seen[a>>8] = true
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], a)
		d.prefixes = append(d.prefixes, netip.PrefixFrom(netip.AddrFrom4(b), l))
	}
	for i := 0; i < n; {
		size := min(max(1, min(int(math.Pow(1-r.Float64(), -1/1.15)), 200)), n-i)
		d.groups = append(d.groups, [2]int{i, i + size})
		d.rot = append(d.rot, r.IntN(feeds))
		i += size
	}
	return d
}

// encode makes one feed's UPDATEs.
func (d *tableData) encode(feed int, internal bool) (messages [][]byte) {
	r := rand.New(rand.NewPCG(uint64(feed)+1, 7))
	var buf []byte
	for _, g := range r.Perm(len(d.groups)) {
		h := rand.New(rand.NewPCG(uint64(g), uint64(feed)))
		path := make([]uint32, 2+h.IntN(4))
		for i := range path {
			path[i] = 1 + h.Uint32N(60000)
		}
		a := bgp.AppendOrigin(nil, 0)
		a = bgp.AppendASPath(a, path...)
		a = bgp.AppendNextHop(a, netip.AddrFrom4([4]byte{10, 255, byte(feed >> 8), byte(feed + 1)}))
		a = bgp.AppendMED(a, 0)
		if internal {
			rank := (feed - d.rot[g] + d.feeds) % d.feeds
			a = bgp.AppendAttribute(a, bgp.FlagTransitive, bgp.AttrLocalPref, binary.BigEndian.AppendUint32(nil, uint32(400-rank)))
		}
		if n := rand.New(rand.NewPCG(uint64(g), 99)).IntN(6); n > 0 {
			c := make([]uint32, n)
			for i := range c {
				c[i] = h.Uint32N(1 << 31)
			}
			a = bgp.AppendCommunities(a, c...)
		}
		var nlri []byte
		for _, p := range d.prefixes[d.groups[g][0]:d.groups[g][1]] {
			nlri = bgp.AppendPrefix(nlri, p)
		}
		start := len(buf)
		buf = bgp.AppendUpdate(buf, nil, a, nlri)
		messages = append(messages, buf[start:len(buf):len(buf)])
	}
	return messages
}

// feed hands messages over as a session's reader does: 64 KiB at a time.
func feed(b testing.TB, p *Peer, messages [][]byte, dec *bgp.Decoder) {
	var routes bgp.Routes
	size := 0
	ctx := context.Background()
	for _, m := range messages {
		if err := dec.Decode(m[bgp.HeaderLen:], &routes); err != nil {
			b.Fatal(err)
		}
		if err := p.Update(ctx, &routes); err != nil {
			b.Fatal(err)
		}
		if size += len(m); size > 64<<10 {
			size = 0
			if err := p.Flush(ctx); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := p.Flush(ctx); err != nil {
		b.Fatal(err)
	}
}

// receiver takes messages as a session's writer does, and looks at no more of
// them than their number.
type receiver struct {
	peer  *Peer
	wake  chan struct{}
	bytes atomic.Int64
}

func (r *receiver) run(ctx context.Context) {
	for {
		for more := true; more; {
			var messages [][]byte
			messages, more = r.peer.Next(256 << 10)
			for _, m := range messages {
				r.bytes.Add(int64(len(m)))
			}
		}
		select {
		case <-r.wake:
		case <-ctx.Done():
			return
		}
	}
}

func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func environment(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

func startExchange(b testing.TB) *Exchange {
	x := New(Config{Shards: environment("SHARDS", 0), Workers: environment("WORKERS", 0)})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- x.Run(ctx) }()
	b.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
	return x
}

func joinPeer(b testing.TB, x *Exchange, i int, c PeerConfig) *Peer {
	c.Name, c.LocalID, c.LocalAddr = fmt.Sprint("peer-", i), localID, localID
	c.PeerID = netip.AddrFrom4([4]byte{10, 254, byte(i >> 8), byte(i)})
	c.PeerAddr = c.PeerID
	c.LocalAS, c.Families, c.FourOctetAS = localAS, bothFamilies, true
	if c.AS == 0 {
		c.AS = localAS
	}
	p, err := x.Join(context.Background(), c)
	if err != nil {
		b.Fatal(err)
	}
	return p
}

// settled waits until all that was handed over is applied, packed and taken.
func settled(x *Exchange, receivers []*receiver) {
	for began := time.Now(); time.Since(began) < time.Minute; {
		busy := false
		for _, s := range x.shards {
			busy = busy || len(s.in) > 0
		}
		for _, d := range x.domains {
			busy = busy || d.queued.Load()
		}
		for _, r := range receivers {
			r.peer.d.mu.Lock()
			busy = busy || r.peer.pending() || !r.peer.out.waiting
			r.peer.d.mu.Unlock()
		}
		if !busy {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// audience joins receivers that read as sessions do, until the end.
func audience(b testing.TB, x *Exchange, n int) (receivers []*receiver) {
	ctx, stop := context.WithCancel(context.Background())
	var done sync.WaitGroup
	for i := range n {
		r := &receiver{wake: make(chan struct{}, 1)}
		r.peer = joinPeer(b, x, i, PeerConfig{Group: "g", Client: true, Wake: func() { signal(r.wake) }})
		receivers = append(receivers, r)
		done.Go(func() { r.run(ctx) })
	}
	b.Cleanup(func() {
		stop()
		done.Wait()
	})
	return receivers
}

// BenchmarkFlap is the best feed that goes, and comes back.
func BenchmarkFlap(b *testing.B) {
	feeds, prefixes, receivers := environment("FEEDS", 3), environment("PREFIXES", 100_000), environment("RECEIVERS", 20)
	d := newTableData(prefixes, feeds)
	for i := range d.rot {
		d.rot[i] = 0 // the first feed is the best for all prefixes
	}
	x := startExchange(b)
	rs := audience(b, x, feeds+receivers)
	decoder := func() *bgp.Decoder {
		return &bgp.Decoder{Peer: bgp.Peer{FourOctetAS: true, Internal: true, LocalAS: localAS, AS: localAS, LocalID: localID, Families: bothFamilies}}
	}
	for f := 1; f < feeds; f++ {
		feed(b, rs[f].peer, d.encode(f, true), decoder())
	}
	best := d.encode(0, true)
	var down, up, downCPU, upCPU time.Duration
	for b.Loop() {
		p := joinPeer(b, x, 9000, PeerConfig{Group: "g", Client: true})
		settled(x, rs)
		start, began := time.Now(), cpu()
		feed(b, p, best, decoder())
		settled(x, rs)
		up, upCPU = up+time.Since(start), upCPU+cpu()-began
		start, began = time.Now(), cpu()
		if err := p.Leave(context.Background()); err != nil {
			b.Fatal(err)
		}
		settled(x, rs)
		down, downCPU = down+time.Since(start), downCPU+cpu()-began
	}
	per := float64(b.N) * float64(prefixes)
	b.ReportMetric(float64(down)/per, "down-ns/prefix")
	b.ReportMetric(float64(downCPU)/per, "down-cpu-ns/prefix")
	b.ReportMetric(float64(up)/per, "up-ns/prefix")
	b.ReportMetric(float64(upCPU)/per, "up-cpu-ns/prefix")
}

// BenchmarkReflect is the whole way but for sockets and framing: some feeds
// with the same prefixes, to some receivers of one update group.
func BenchmarkReflect(b *testing.B) {
	feeds, prefixes, receivers := environment("FEEDS", 10), environment("PREFIXES", 100_000), environment("RECEIVERS", 20)
	d := newTableData(prefixes, feeds)
	var messages [][][]byte
	for f := range feeds {
		messages = append(messages, d.encode(f, true))
	}
	base := heap()
	for b.Loop() {
		b.StopTimer()
		x := startExchange(b)
		ctx, stop := context.WithCancel(context.Background())
		var rs []*receiver
		var done sync.WaitGroup
		for i := range receivers {
			r := &receiver{wake: make(chan struct{}, 1)}
			r.peer = joinPeer(b, x, 100+i, PeerConfig{Group: "g", Client: true, Wake: func() { signal(r.wake) }})
			rs = append(rs, r)
			done.Go(func() { r.run(ctx) })
		}
		var peers []*Peer
		for f := range feeds {
			r := &receiver{wake: make(chan struct{}, 1)}
			r.peer = joinPeer(b, x, f, PeerConfig{Group: "g", Client: true, Wake: func() { signal(r.wake) }})
			peers = append(peers, r.peer)
			rs = append(rs, r)
			done.Go(func() { r.run(ctx) })
		}
		began := cpu()
		b.StartTimer()
		start := time.Now()
		var wg sync.WaitGroup
		for f := range feeds {
			wg.Go(func() {
				dec := &bgp.Decoder{Peer: bgp.Peer{FourOctetAS: true, Internal: true, LocalAS: localAS, AS: localAS, LocalID: localID, Families: bothFamilies}}
				feed(b, peers[f], messages[f], dec)
			})
		}
		wg.Wait()
		settled(x, rs)
		took := time.Since(start)
		b.StopTimer()
		routes := float64(feeds * prefixes)
		b.ReportMetric(float64(cpu()-began)/routes, "cpu-ns/route")
		b.ReportMetric(routes/took.Seconds(), "routes/s")
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.HeapSys-m.HeapReleased-base)/routes, "peak-B/route")
		b.ReportMetric(float64(m.NumGC), "collections")
		b.ReportMetric(float64(heap()-base)/routes, "B/route")
		st := x.Stats()
		b.ReportMetric(float64(st.AttributeBytes)/routes, "set-B/route")
		var packed, out int64
		for _, w := range st.Workers {
			packed += w.Packed
			out += w.Messages
		}
		b.ReportMetric(float64(packed)/float64(prefixes), "packed/prefix")
		b.ReportMetric(float64(packed)/float64(out), "prefixes/message")
		stop()
		done.Wait()
		b.StartTimer()
	}
}
