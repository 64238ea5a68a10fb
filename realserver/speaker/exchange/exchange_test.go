package exchange

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/peerage/peerage/realserver/bgp"
	"github.com/peerage/peerage/realserver/rib"
)

// bubble runs a test in virtual time with an exchange that runs.
func bubble(t *testing.T, l limits, f func(t *testing.T, x *Exchange)) {
	bubbleOf(t, 2, l, f)
}

func bubbleOf(t *testing.T, shards int, l limits, f func(t *testing.T, x *Exchange)) {
	synctest.Test(t, func(t *testing.T) {
		x := New(Config{Shards: shards, Workers: 1})
		x.limits = l
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- x.Run(ctx) }()
		f(t, x)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func client(group, customer string) PeerConfig {
	return PeerConfig{Group: group, Client: true, FourOctetAS: true, Customer: customer}
}

// quiet lets everything happen that is due.
func quiet() {
	time.Sleep(100 * time.Millisecond)
	synctest.Wait()
}

// many are prefixes that no other test data has.
func many(n int) (prefixes []netip.Prefix) {
	for i := range n {
		prefixes = append(prefixes, netip.PrefixFrom(netip.AddrFrom4([4]byte{100, byte(i >> 16), byte(i >> 8), byte(i)}), 32))
	}
	return prefixes
}

// announceAll sends prefixes in UPDATEs of 50.
func (r *router) announceAll(prefixes []netip.Prefix, variant int) {
	for i := 0; i < len(prefixes); i += 50 {
		part := prefixes[i:min(i+50, len(prefixes))]
		r.send(update(bgp.IPv4Unicast, part, nil, attributes(variant+i, r.config.AS == localAS), hop(bgp.IPv4Unicast, variant)))
	}
}

func (r *router) withdrawAll(prefixes []netip.Prefix) {
	for i := 0; i < len(prefixes); i += 200 {
		r.send(update(bgp.IPv4Unicast, nil, prefixes[i:min(i+200, len(prefixes))], nil, netip.Addr{}))
	}
}

// A peer that does not read holds nobody up, costs no more than its bound, and
// has the same in the end as everybody else.
func TestStuckPeer(t *testing.T) {
	for name, read := range map[string]func(r *router){
		"never reads":               func(*router) {},
		"takes a message at a time": func(r *router) { r.receive(1, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			l := limits{lag: 20_000, total: 1 << 20, least: 10_000, low: 5_000, stall: 50 * time.Millisecond}
			bubble(t, l, func(t *testing.T, x *Exchange) {
				source, fast, stuck := newRouter(t, 1, client("g", "a")), newRouter(t, 2, client("g", "a")), newRouter(t, 3, client("g", "a"))
				for _, r := range []*router{source, fast, stuck} {
					r.join(x)
					r.receive(1<<20, 10)
				}
				prefixes := many(3000)
				worst := int64(0)
				for round := range 30 {
					if round%3 == 2 {
						source.withdrawAll(prefixes[:1000])
					} else {
						source.announceAll(prefixes, round)
					}
					quiet()
					fast.receive(1<<20, 1000)
					read(stuck)
					want := len(prefixes)
					if round%3 == 2 {
						want -= 1000
					}
					if len(fast.table) != want {
						t.Fatalf("round %d: the peer that reads has %d prefixes, not %d", round, len(fast.table), want)
					}
					worst = max(worst, stuck.peer.backlog())
				}
				if worst > l.lag+2*segmentSize {
					t.Errorf("%d bytes waited for the peer that does not read, more than %d", worst, l.lag)
				}
				stuck.receive(1<<20, 1<<20)
				fast.receive(1<<20, 1<<20)
				if diff := cmp.Diff(fast.table, stuck.table); diff != "" || stuck.problem != "" {
					t.Errorf("%s the slow peer differs (-fast +slow):\n%s", stuck.problem, diff)
				}
				if stuck.announced > fast.announced/3 {
					t.Errorf("the slow peer was announced %d prefixes, the fast one %d: states did not replace one another", stuck.announced, fast.announced)
				}
			})
		})
	}
}

// backlog is the bytes that are kept for a peer: all that can be reached.
func (p *Peer) backlog() (n int64) {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	for s := p.out.at; s != nil; s = s.next {
		if s.next != nil {
			n += int64(len(s.next.data))
		}
	}
	for _, b := range p.out.pieces {
		n += int64(len(b))
	}
	return n
}

// Prefixes that come and go while nobody drains do not make tables grow.
func TestChurnBehindStuckPeer(t *testing.T) {
	l := limits{lag: 1000, total: 1 << 20, least: 1000, low: 500, stall: 10 * time.Millisecond}
	bubble(t, l, func(t *testing.T, x *Exchange) {
		source, stuck := newRouter(t, 1, client("g", "a")), newRouter(t, 2, client("g", "a"))
		source.join(x)
		stuck.join(x)
		stuck.receive(1<<20, 10)
		all := many(100 * 500)
		for i := range 100 {
			fresh := all[i*500 : i*500+500]
			source.announceAll(fresh, i)
			quiet()
			source.withdrawAll(fresh)
			quiet()
		}
		var slots uint32
		for _, s := range x.shards {
			slots += s.rib.Slots4(1)
		}
		if slots > 4*500 {
			t.Errorf("%d slots are in use after 100 times 500 prefixes came and went", slots)
		}
		stuck.receive(1<<20, 1<<20)
		if len(stuck.table) != 0 {
			t.Errorf("the peer is left with %d prefixes", len(stuck.table))
		}
	})
}

// A pass that ends together with what is drained at once does not end those
// after it.
func TestPassOfDrainSize(t *testing.T) {
	for _, n := range []int{drainSize - 1, drainSize, drainSize + 1, 2 * drainSize} {
		t.Run(fmt.Sprintf("%d prefixes", n), func(t *testing.T) {
			bubbleOf(t, 1, defaultLimits(), func(t *testing.T, x *Exchange) {
				source := newRouter(t, 1, client("g", "a"))
				source.join(x)
				source.announceAll(many(n), 1)
				six := netip.MustParsePrefix("2001:db8:7::/48")
				source.send(update(bgp.IPv6Unicast, []netip.Prefix{six}, nil, attributes(1, true), hop(bgp.IPv6Unicast, 1)))
				quiet()
				r := newRouter(t, 2, client("g", "a"))
				r.join(x)
				for range n + 10 { // message by message
					if r.receive(1, 1); r.ended[bgp.IPv6Unicast] > 0 {
						break
					}
				}
				if r.ended[bgp.IPv4Unicast] != 1 || r.ended[bgp.IPv6Unicast] != 1 || r.problem != "" {
					t.Errorf("End-of-RIB came %v times %s", r.ended, r.problem)
				}
				if _, ok := r.table[six]; !ok || len(r.table) != n+1 {
					t.Errorf("%d prefixes came before End-of-RIB, not %d; that of IPv6 among them: %v", len(r.table), n+1, ok)
				}
			})
		})
	}
}

// What is originated, and then what the group has, comes before End-of-RIB.
func TestJoinOrder(t *testing.T) {
	bubble(t, defaultLimits(), func(t *testing.T, x *Exchange) {
		own := netip.MustParsePrefix("192.0.2.66/32")
		x.Originate([]Origin{{Customer: "a", Prefix: own, NextHop: hop(bgp.IPv4Unicast, 1), Communities: []uint32{65535<<16 | 666}}})
		source := newRouter(t, 1, client("g", "b"))
		source.join(x)
		source.announceAll(many(10_000), 1)
		quiet()
		late := newRouter(t, 2, client("g", "a"))
		late.join(x)
		first := true
		for more := true; more; {
			var messages [][]byte
			messages, more = late.peer.Next(1)
			for _, m := range messages {
				late.replay(m)
			}
			if _, ok := late.table[own]; first && !ok {
				t.Error("the originated route is not the first message")
			}
			first = false
			if late.ended[bgp.IPv4Unicast] > 0 && len(late.table) != 10_001 {
				t.Fatalf("End-of-RIB after %d prefixes", len(late.table))
			}
		}
		if diff := cmp.Diff(map[bgp.Family]int{bgp.IPv4Unicast: 1, bgp.IPv6Unicast: 1}, late.ended); diff != "" {
			t.Errorf("End-of-RIB (-want +got):\n%s", diff)
		}
	})
}

// End-of-RIB comes although prefixes go on changing.
func TestEndOfRIBUnderChurn(t *testing.T) {
	bubble(t, defaultLimits(), func(t *testing.T, x *Exchange) {
		source, late := newRouter(t, 1, client("g", "a")), newRouter(t, 2, client("g", "a"))
		source.join(x)
		prefixes := many(2 * drainSize)
		source.announceAll(prefixes, 0)
		quiet()
		late.join(x)
		for i := 1; late.ended[bgp.IPv4Unicast] == 0 || late.ended[bgp.IPv6Unicast] == 0; i++ {
			if i > 50 {
				t.Fatal("no End-of-RIB after 50 times a whole table of changes")
			}
			source.announceAll(prefixes, i)
			quiet()
			late.receive(16<<10, 3)
		}
	})
}

// Quotas bound routes and bytes, and only what is beyond them is refused.
func TestQuotas(t *testing.T) {
	prefixes := many(1000)
	tests := map[string]struct {
		session, customer    *rib.Quota
		held, refused        int64
		exceeded, customerIs bool
	}{
		"none":                    {held: 1000},
		"routes dropped":          {session: rib.NewQuota(100, true), held: 100, refused: 900, exceeded: true},
		"routes only counted":     {session: rib.NewQuota(100, false), held: 1000, exceeded: true},
		"far from the limit":      {session: rib.NewQuota(1<<20, true), held: 1000},
		"bytes of the customer's": {session: rib.NewQuota(0, true), customer: rib.NewQuota(100*(rib.RouteBytes+1), true), customerIs: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, defaultLimits(), func(t *testing.T, x *Exchange) {
				c := PeerConfig{AS: 64999, FourOctetAS: true, Session: test.session, CustomerQuota: test.customer}
				r := newRouter(t, 1, c)
				r.join(x)
				for range 3 { // repeating is no new route
					r.announceAll(prefixes, 1)
				}
				quiet()
				got := r.peer.Counts()
				if test.customerIs {
					if n := got.Routes[bgp.IPv4Unicast]; n == 0 || n >= 100 || !test.customer.Exceeded() {
						t.Errorf("%d routes are held, exceeded %v", n, test.customer.Exceeded())
					}
				} else if got.Routes[bgp.IPv4Unicast] != test.held || got.Refused/3 != test.refused {
					t.Errorf("%d held and %d refused in three turns, want %d and %d in each", got.Routes[bgp.IPv4Unicast], got.Refused, test.held, test.refused)
				}
				if test.session != nil && test.session.Exceeded() != test.exceeded {
					t.Errorf("exceeded is %v", test.session.Exceeded())
				}
				r.leave()
				for _, q := range []*rib.Quota{test.session, test.customer} {
					if q != nil && q.Used() != 0 {
						t.Errorf("%d are charged after the end", q.Used())
					}
				}
			})
		})
	}
}

// Sessions that come and go leave nothing behind.
func TestJoinsAndLeaves(t *testing.T) {
	times := 10_000
	if testing.Short() {
		times = 500
	}
	bubble(t, defaultLimits(), func(t *testing.T, x *Exchange) {
		stays := newRouter(t, 1, client("group-0", "a"))
		stays.join(x)
		prefixes := many(20)
		var before runtime.MemStats
		for i := range times {
			if i == times/10 {
				runtime.GC()
				runtime.ReadMemStats(&before)
			}
			c := client(fmt.Sprint("group-", i%3), "a")
			if i%4 == 3 {
				c = PeerConfig{AS: 64999, FourOctetAS: true}
			}
			r := newRouter(t, 2+i%7, c)
			r.join(x)
			r.announceAll(prefixes, i)
			if i%2 == 0 {
				r.receive(1<<20, 3)
			}
			if i%5 == 0 {
				quiet()
			}
			r.leave()
			stays.receive(1<<20, 3)
		}
		quiet()
		stays.receive(1<<20, 10)
		if len(stays.table) != 0 || stays.problem != "" {
			t.Errorf("%s: %d prefixes are left", stays.problem, len(stays.table))
		}
		stays.leave()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if s := x.leftovers(); s != "" {
			t.Error(s)
		}
		var after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&after)
		if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
			t.Errorf("the heap has grown by %d KiB", grown>>10)
		}
	})
}

// Join refuses what could not work.
func TestJoinRefuses(t *testing.T) {
	x := New(Config{Shards: 1, Workers: 1})
	id := netip.MustParseAddr("192.0.2.1")
	for name, c := range map[string]PeerConfig{
		"an external peer in a group": {Group: "g", LocalID: id, PeerID: id, LocalAS: 1, AS: 2},
		"no identifier":               {LocalAS: 1, AS: 2, LocalID: id},
	} {
		if _, err := x.Join(t.Context(), c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// What a peer was sent before it has caught up is withdrawn from it too, also
// when the place in the table is another prefix's by then.
func TestWithdrawnWhileDraining(t *testing.T) {
	bubble(t, defaultLimits(), func(t *testing.T, x *Exchange) {
		source, late := newRouter(t, 1, client("g", "a")), newRouter(t, 2, client("g", "a"))
		source.join(x)
		prefixes := many(400)
		source.announceAll(prefixes[:200], 0)
		quiet()
		late.join(x)
		late.receive(1, 5)
		if len(late.table) == 0 {
			t.Fatal("nothing was sent yet")
		}
		source.withdrawAll(prefixes[:200])
		quiet()
		source.announceAll(prefixes[200:], 0)
		quiet()
		late.receive(1<<20, 100)
		for _, p := range prefixes[:200] {
			if _, ok := late.table[p]; ok {
				t.Fatalf("the peer is left with %s", p)
			}
		}
		if len(late.table) != 200 {
			t.Errorf("the peer has %d prefixes", len(late.table))
		}
	})
}

// However a peer cuts up what it is sent while it catches up, no more buffers
// are kept for it than the one that it is at.
func TestBuffersWhileCatchingUp(t *testing.T) {
	bubble(t, defaultLimits(), func(t *testing.T, x *Exchange) {
		source := newRouter(t, 1, client("g", "b"))
		source.join(x)
		prefixes := many(100_000)
		source.announceAll(prefixes, 1)
		quiet()
		late := newRouter(t, 2, client("g", "a"))
		late.join(x)
		most := 0
		for range 1000 {
			late.receive(10_000, 1)
			most = max(most, len(late.peer.out.lent))
		}
		if most > 3 {
			t.Errorf("%d buffers were kept for one peer", most)
		}
		late.receive(1<<20, 1000)
		if len(late.table) != len(prefixes) || late.problem != "" {
			t.Errorf("%s it has %d prefixes, not %d", late.problem, len(late.table), len(prefixes))
		}
	})
}

func TestLimits(t *testing.T) {
	l := limits{lag: 1000, total: 5000, least: 100}
	for groups, want := range map[int64]int64{0: 1000, 1: 1000, 10: 500, 1000: 100} {
		if got := l.of(groups); got != want {
			t.Errorf("%d groups: %d bytes, want %d", groups, got, want)
		}
	}
}

// What is originated while a round is packed is not overridden by the round:
// its routes were packed before.
func TestOriginateWhilePacking(t *testing.T) {
	bubble(t, defaultLimits(), func(t *testing.T, x *Exchange) {
		prefix := netip.MustParsePrefix("203.0.113.0/24")
		source, one, two := newRouter(t, 1, client("g", "a")), newRouter(t, 2, client("g", "a")), newRouter(t, 3, client("g", "a"))
		two.config.ExtendedMessage = true // another update group
		var meanwhile *router             // whose group is packed after the other one
		var originated string
		among := func(r, other *router) {
			r.config.Wake = func() {
				if meanwhile != nil {
					return
				}
				meanwhile = other
				x.Originate([]Origin{{All: true, Prefix: prefix, NextHop: hop(bgp.IPv4Unicast, 66)}})
				other.receive(1<<20, 10)
				originated = other.table[prefix]
			}
		}
		for _, r := range []*router{source, one, two} {
			r.join(x)
			r.receive(1<<20, 10)
		}
		quiet()
		among(one, two)
		among(two, one)
		one.peer.config.Wake, two.peer.config.Wake = one.config.Wake, two.config.Wake
		source.send(update(bgp.IPv4Unicast, []netip.Prefix{prefix}, nil, attributes(1, true), hop(bgp.IPv4Unicast, 1)))
		quiet()
		if meanwhile == nil || originated == "" {
			t.Fatal("nothing was originated while the round was packed: the test shows nothing")
		}
		for _, r := range []*router{one, two} {
			r.receive(1<<20, 10)
			if got := r.table[prefix]; got != originated || r.problem != "" {
				t.Errorf("%s has %q, not what is originated, %q; %s", r.config.Name, got, originated, r.problem)
			}
		}
	})
}
