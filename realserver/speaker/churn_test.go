package speaker

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/realserver/bgp"
)

const churners = 1000

// TestChurn opens and resets sessions at random, some by the router, some by
// an operator, some in the middle of a message or without a word, while they
// announce, withdraw and ask for refreshes. Nothing is left of them at the end.
// PEERAGE_CHURN=10m runs it for longer.
func TestChurn(t *testing.T) {
	d := 3 * time.Second
	if text := os.Getenv("PEERAGE_CHURN"); text != "" {
		var err error
		if d, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	c := acme("acme", "127.2.0.0/16")
	r := acme("ring", "127.3.0.0/16")
	r.Mode = api.CustomerReflect
	b := newBench(t, c, r)
	b.log.discard()
	b.put(true)
	churn(t, b, time.Second) // what is made once is there
	before := leftovers(b)
	begin := time.Now()
	n := churn(t, b, d)
	t.Logf("%d sessions in %v", n, time.Since(begin))
	var after usageOf
	b.eventually("an end of all", func() bool {
		after = leftovers(b)
		return after.goroutines <= before.goroutines && after.files <= before.files
	})
	// Tables that grew to their size stay; what grows with every session does
	// not.
	if after.heap > before.heap+8<<20 {
		t.Errorf("%d MiB of memory, then %d MiB", before.heap>>20, after.heap>>20)
	}
	if st := b.Status(); st.Routes != 0 || st.Pools[pool].Sessions != 0 {
		t.Errorf("left: %+v", st)
	}
}

// usageOf is what a leak would show in.
type usageOf struct {
	goroutines, files int
	heap              uint64
}

func leftovers(b *bench) (u usageOf) {
	b.eventually("the end of sessions", func() bool {
		b.mu.RLock()
		defer b.mu.RUnlock()
		return b.conns == 0 && len(b.pending) == 0
	})
	for range 3 { // what pools hold goes with the second
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		b.t.Fatal(err)
	}
	return usageOf{runtime.NumGoroutine(), len(files), m.HeapAlloc}
}

// churn runs routers for a while.
func churn(t *testing.T, b *bench, d time.Duration) (sessions int) {
	t.Helper()
	deadline := time.Now().Add(d)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for worker := range 50 {
		wg.Go(func() {
			n := 0
			for time.Now().Before(deadline) {
				i := worker*(churners/50) + rand.N(churners/50)
				if err := life(b, i); err != nil {
					t.Errorf("router %d: %v", i, err)
					return
				}
				n++
			}
			mu.Lock()
			sessions += n
			mu.Unlock()
		})
	}
	wg.Wait()
	return sessions
}

// life is one session of a router, with an end of some kind.
func life(b *bench, i int) error {
	net2, as := byte(2), uint32(65001)
	if i%2 == 1 {
		net2, as = 3, localAS
	}
	from := netip.AddrFrom4([4]byte{127, net2, byte(i >> 8), byte(i)})
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: from.AsSlice()}, KeepAlive: -1}
	conn, err := d.DialContext(b.t.Context(), "tcp", b.router(vipA, as).to.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(200 * time.Millisecond))
	r := b.router(from.String(), as)
	r.open.Identifier = netip.AddrFrom4([4]byte{10, 200, byte(i >> 8), byte(i + 1)})
	m := bgp.AppendKeepalive(r.open.Append(nil))
	m = append(m, announceAs(as, i)...)
	if rand.N(2) == 0 {
		m = bgp.RouteRefresh{Family: bgp.IPv4Unicast}.Append(m)
	}
	end := rand.N(5)
	if end == 4 {
		m = m[:rand.N(len(m))] // anywhere
	}
	if _, err := conn.Write(m); err != nil {
		return nil // it was ended before
	}
	buf := make([]byte, 4096)
	for range rand.N(3) {
		if _, err := conn.Read(buf); err != nil {
			return nil
		}
	}
	switch end {
	case 0:
		_, _ = conn.Write(bgp.Shutdown(bgp.SubAdministrativeShutdown, "over").Append(nil))
	case 1:
		_ = b.Reset(fmt.Sprintf("%s,%s,%s", pool, vipA, from), "over")
	case 2:
		_ = conn.(*net.TCPConn).SetLinger(0) // a RST
	}
	return nil
}

// announceAs are some routes of a router.
func announceAs(as uint32, i int) []byte {
	attrs := bgp.AppendOrigin(nil, 0)
	if as == localAS {
		attrs = bgp.AppendASPath(attrs)
	} else {
		attrs = bgp.AppendASPath(attrs, as)
	}
	attrs = bgp.AppendNextHop(attrs, netip.MustParseAddr("10.9.9.9"))
	var nlri []byte
	for range 50 {
		nlri = bgp.AppendPrefix(nlri, netip.PrefixFrom(netip.AddrFrom4([4]byte{100, byte(i), byte(rand.N(256)), 0}), 24))
	}
	return bgp.AppendUpdate(nil, nil, attrs, nlri)
}
