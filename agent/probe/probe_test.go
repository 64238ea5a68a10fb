package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/node/bgpcheck"
)

var errDown = errors.New("connection refused")

func TestVerdict(t *testing.T) {
	check := api.HealthCheck{Fall: 3, Rise: 2}
	for _, tt := range []struct {
		name    string
		results string // + is a success, - a failure
		want    string // + good, - bad, ? not known yet
	}{
		{"the first success is believed", "+", "+"},
		{"the first failure is not", "-", "?"},
		{"fall", "+---", "+++-"},
		{"two failures are no fall", "+--+--+", "+++++++"},
		{"bad from the start", "----", "??--"},
		{"rise", "---++", "??--+"},
		{"one success is no rise", "---+-+-", "??-----"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var v verdict
			got := ""
			for _, r := range tt.results {
				var err error
				if r == '-' {
					err = errDown
				}
				v, _ = v.next(err, time.Millisecond, time.Now(), check)
				switch {
				case !v.known:
					got += "?"
				case v.ok:
					got += "+"
				default:
					got += "-"
				}
			}
			if got != tt.want {
				t.Errorf("%s is judged %s, want %s", tt.results, got, tt.want)
			}
			if v.known && (v.reason == "") != v.ok {
				t.Errorf("ok %t with reason %q", v.ok, v.reason)
			}
		})
	}
}

// TestVerdictProperties: a judgement changes exactly after enough results in a
// row, and tells so.
func TestVerdictProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		check := api.HealthCheck{Fall: rapid.IntRange(1, 5).Draw(t, "fall"), Rise: rapid.IntRange(1, 5).Draw(t, "rise")}
		var v verdict
		row, last := 0, false
		for i, ok := range rapid.SliceOf(rapid.Bool()).Draw(t, "results") {
			if i == 0 || ok != last {
				row, last = 0, ok
			}
			row++
			var err error
			need := check.Rise
			if !ok {
				err, need = errDown, check.Fall
			} else if !v.known {
				need = 1
			}
			before := v
			var changed bool
			v, changed = v.next(err, 0, time.Now(), check)
			if differs := v.known != before.known || v.ok != before.ok; changed != differs {
				t.Fatalf("changed %t, differs %t", changed, differs)
			}
			if changed && (row < need || v.ok != ok) {
				t.Fatalf("changed after %d of %d", row, need)
			}
			if row >= need && v.ok != ok {
				t.Fatalf("not changed after %d of %d", row, need)
			}
		}
	})
}

// fabric is what the prober sees of the servers, and what it publishes.
type fabric struct {
	mu    sync.Mutex // guards the fields below
	down  map[netip.Addr]bool
	asked map[netip.Addr]int
	put   []*api.PathObservation
	fail  bool
	slow  time.Duration
}

func (f *fabric) check(ctx context.Context, t bgpcheck.Target) (bgpcheck.Result, error) {
	f.mu.Lock()
	slow, down := f.slow, f.down[t.Addr.Addr()]
	f.asked[t.Addr.Addr()]++
	f.mu.Unlock()
	if slow > 0 && !sleep(ctx, slow) {
		return bgpcheck.Result{}, ctx.Err()
	}
	if down {
		return bgpcheck.Result{}, errDown
	}
	return bgpcheck.Result{RTT: time.Millisecond}, nil
}

func (f *fabric) PutPaths(_ context.Context, o *api.PathObservation) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail {
		return errors.New("no store")
	}
	f.put = append(f.put, o)
	return nil
}

func (f *fabric) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fabric) last() *api.PathObservation {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.put) == 0 {
		return nil
	}
	return f.put[len(f.put)-1]
}

func (f *fabric) puts() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.put)
}

func server(n int) Target {
	return Target{Pool: "edge", Server: fmt.Sprintf("rs-%d", n), Paths: []Path{{
		Addr: netip.AddrPortFrom(address(n), 179), Source: netip.MustParseAddr("10.0.0.11"),
	}}}
}

func address(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 1, byte(n)}) }

// start runs a prober in the bubble until the test ends.
func start(t *testing.T) (*Prober, *fabric) {
	f := &fabric{down: map[netip.Addr]bool{}, asked: map[netip.Addr]int{}}
	p := New(Config{LB: "lb-1", Check: f.check, Store: f})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return p, f
}

func TestProber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, f := start(t)
		f.down[address(2)] = true
		p.Set([]Target{server(1), server(2)}, 5*time.Second)

		// Half an observation is none.
		time.Sleep(1500 * time.Millisecond)
		if f.puts() != 0 {
			t.Fatalf("published before all were judged: %v", f.last().Paths)
		}
		time.Sleep(4 * time.Second)
		paths := f.last().Paths["edge"]
		if !paths["rs-1"].OK || paths["rs-2"].OK || paths["rs-2"].Reason == "" {
			t.Fatalf("paths %v", paths)
		}

		// Numbers alone go out once in an interval.
		before := f.puts()
		time.Sleep(20 * time.Second)
		if n := f.puts() - before; n < 3 || n > 5 {
			t.Errorf("%d observations in 20 s, want about 4", n)
		}

		// A change goes out at once: after the third failure.
		f.set(func() { f.down[address(1)] = true })
		time.Sleep(3500 * time.Millisecond)
		if f.last().Paths["edge"]["rs-1"].OK {
			t.Error("three failures in a row are not told")
		}

		// A newcomer holds nobody up.
		p.Set([]Target{server(1), server(2), server(3)}, 5*time.Second)
		f.set(func() { f.down[address(3)], f.down[address(1)] = true, false })
		time.Sleep(2500 * time.Millisecond)
		if paths := f.last().Paths["edge"]; !paths["rs-1"].OK {
			t.Errorf("paths %v", paths)
		}

		// Who is not asked for any more is forgotten.
		p.Set([]Target{server(3)}, 5*time.Second)
		time.Sleep(10 * time.Second)
		if paths := f.last().Paths["edge"]; len(paths) != 1 || paths["rs-3"].OK {
			t.Errorf("paths %v", paths)
		}
		f.set(func() { clear(f.asked) })
		time.Sleep(10 * time.Second)
		f.set(func() {
			if f.asked[address(1)] != 0 || f.asked[address(3)] < 8 || f.asked[address(3)] > 11 {
				t.Errorf("asked %v in 10 s", f.asked)
			}
		})
	})
}

// TestStoreAway: what changed while the store was away is told when it is back.
func TestStoreAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, f := start(t)
		f.set(func() { f.fail = true })
		p.Set([]Target{server(1)}, 5*time.Second)
		time.Sleep(time.Minute)
		f.set(func() { f.fail = false })
		time.Sleep(2 * time.Second)
		if o := f.last(); o == nil || !o.Paths["edge"]["rs-1"].OK || o.LB != "lb-1" || o.Schema != api.Schema {
			t.Errorf("observation %v", o)
		}
	})
}

// TestSlowServers: probes that hang are bounded by the time-out, and do not
// keep others from being probed.
func TestSlowServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, f := start(t)
		f.set(func() { f.slow = time.Hour })
		var targets []Target
		for n := range 2 * maxConcurrent {
			targets = append(targets, server(n))
		}
		p.Set(targets, 5*time.Second)
		time.Sleep(time.Minute)
		o := f.last()
		if o == nil || len(o.Paths["edge"]) != len(targets) {
			t.Fatal("not all were judged")
		}
		for name, path := range o.Paths["edge"] {
			if path.OK {
				t.Errorf("%s is good", name)
			}
		}
	})
}

// TestFamilies: all addresses of a server must answer.
func TestFamilies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, f := start(t)
		target := server(1)
		v6 := netip.MustParseAddr("fd00::1")
		target.Paths = append(target.Paths, Path{Addr: netip.AddrPortFrom(v6, 179), Source: netip.MustParseAddr("fd00::11")})
		f.down[v6] = true
		p.Set([]Target{target}, 5*time.Second)
		time.Sleep(10 * time.Second)
		if path := f.last().Paths["edge"]["rs-1"]; path.OK || path.Reason != "[fd00::1]:179: connection refused" {
			t.Errorf("path %v", path)
		}
		// A family that the LB does not have cannot be called good.
		target.Paths = []Path{target.Paths[0], {Addr: target.Paths[1].Addr}}
		p.Set([]Target{target}, 5*time.Second)
		time.Sleep(10 * time.Second)
		if path := f.last().Paths["edge"]["rs-1"]; path.OK || path.Reason == "[fd00::1]:179: connection refused" {
			t.Errorf("path %v", path)
		}
	})
}

// TestRealConnections probes real listeners with the real check.
func TestRealConnections(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	addr := netip.MustParseAddrPort(ln.Addr().String())
	p := New(Config{LB: "lb-1", Check: bgpcheck.Check})
	target := Target{Pool: "edge", Server: "rs-1", Paths: []Path{{Addr: addr, Source: addr.Addr()}}, Check: api.HealthCheck{Type: api.HealthCheckTCP}}
	if _, err := p.probe(t.Context(), target); err != nil {
		t.Errorf("tcp: %v", err)
	}
	target.Check.Type = api.HealthCheckBGP
	if _, err := p.probe(t.Context(), target); err == nil {
		t.Error("bgp: a listener that says nothing is called good")
	}
	ln.Close()
	target.Check.Type = api.HealthCheckTCP
	if _, err := p.probe(t.Context(), target); err == nil {
		t.Error("tcp: nobody listens, and it is called good")
	}
}
