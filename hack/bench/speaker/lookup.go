package speaker

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"github.com/peerage/peerage/hack/bench/result"
	"github.com/peerage/peerage/realserver/rib"
	"github.com/peerage/peerage/realserver/speaker/control"
)

// lookups is a table in this process, made as the speaker makes it, from which
// every session announced every prefix.
type lookups struct {
	load   Load
	table  *table
	sets   *rib.Sets
	layout rib.Layout
	shards []*rib.Shard
	// addrs are addresses that random prefixes of the table hold.
	addrs []netip.Addr
	space []rib.Found[rib.K4]
}

const (
	// lookupBatch is how many lookups are timed together; the median of so many
	// batches is what counts, or a busy machine would be measured.
	lookupBatch, lookupBatches = 1000, 201
	// perCustomer is how many sessions are one customer's.
	perCustomer = 10
	// asked is how often a running speaker is asked.
	asked = 501
	// pieceSize is how many sets of attributes a session announces in a row.
	pieceSize = 128
)

// lookup measures longest matches in the table, without asking for them.
func (b *bencher) lookup(ctx context.Context, _ engine, l Load) (m Measures, err error) {
	defer debug.FreeOSMemory()
	k, err := newLookups(ctx, l, b.seed)
	if err != nil {
		return m, err
	}
	if err := k.check(); err != nil {
		return m, err
	}
	runtime.GC()
	m.LookupSession = k.time(func(i int) rib.Wanted { return rib.Wanted{Peer: k.session(i)} })
	var customers []rib.Wanted
	for first := 1; first <= l.Feeds; first += perCustomer {
		customers = append(customers, rib.Wanted{Filter: func(id rib.PeerID) bool { return int(id) >= first && int(id) < first+perCustomer }})
	}
	m.LookupCustomer = k.time(func(i int) rib.Wanted { return customers[i%len(customers)] })
	m.LookupAll = k.time(func(int) rib.Wanted { return rib.Wanted{} })
	return m, ctx.Err()
}

// session is another one for each lookup.
func (k *lookups) session(i int) rib.PeerID { return rib.PeerID(1 + i*7%k.load.Feeds) }

func newLookups(ctx context.Context, l Load, seed uint64) (*lookups, error) {
	t, err := newTable(l.Prefixes, l.Feeds, seed, false)
	if err != nil {
		return nil, err
	}
	shards := runtime.GOMAXPROCS(0)
	k := &lookups{load: l, table: t, sets: rib.NewSets(), layout: rib.NewLayout(shards, seed), space: make([]rib.Found[rib.K4], 0, l.Feeds)}
	for range shards {
		k.shards = append(k.shards, rib.NewShard(k.sets, k.layout))
	}
	for feed := range l.Feeds {
		for _, s := range k.shards {
			s.Join(rib.PeerID(feed+1), rib.PeerInfo{})
		}
	}
	// Sessions announce at the same time, each from another place on.
	pieces := (len(t.groups) + pieceSize - 1) / pieceSize
	for piece := range pieces {
		for feed := range l.Feeds {
			if err := k.announce(feed, (piece+feed*7)%pieces*pieceSize); err != nil {
				return nil, err
			}
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	k.addrs = t.hits(64*lookupBatch, seed)
	return k, nil
}

// hits are so many random addresses that random prefixes hold.
func (t *table) hits(n int, seed uint64) (addrs []netip.Addr) {
	r := rand.New(rand.NewPCG(seed, 3))
	for range n {
		addr, length := t.plan.prefix(r.IntN(t.n))
		addrs = append(addrs, address(addr|r.Uint32N(1<<(32-length))))
	}
	return addrs
}

func address(a uint32) netip.Addr {
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, a)))
}

// announce puts the prefixes of some groups into the shards.
func (k *lookups) announce(feed, from int) error {
	ops := make([][]rib.Op[rib.K4], len(k.shards))
	var set []byte
	for g := from; g < min(from+pieceSize, len(k.table.groups)); g++ {
		set = k.table.attributes(set[:0], g, feed)
		part := k.table.groups[g]
		attr, err := k.sets.Intern(set, &rib.Rank{}, false, part.n)
		if err != nil {
			return err
		}
		for i := range part.n {
			addr, length := k.table.plan.prefix(part.at + i)
			key := rib.Key4(netip.PrefixFrom(address(addr), int(length)))
			to := k.layout.Of4(key)
			ops[to] = append(ops[to], rib.Op[rib.K4]{Key: key, Attr: attr})
		}
	}
	for i, s := range k.shards {
		s.Lock()
		s.Apply4(rib.PeerID(feed+1), ops[i])
		s.Unlock()
	}
	return nil
}

// check compares what is found with a naive search.
func (k *lookups) check() error {
	for i, addr := range k.addrs[:4*lookupBatch] {
		want := k.table.longest(addr)
		var got netip.Prefix
		k.layout.Lookup4(k.shards, rib.Wanted{Peer: k.session(i)}, addr, k.space, func(_ *rib.Shard, f []rib.Found[rib.K4]) { got = f[0].Key.Prefix() })
		if got != want {
			return fmt.Errorf("the longest prefix of %s is %s, not %s", addr, want, got)
		}
	}
	return nil
}

// longest asks the plan for one length after the other.
func (t *table) longest(addr netip.Addr) netip.Prefix {
	for length := 32; length > 0; length-- {
		p, _ := addr.Prefix(length)
		a := p.Addr().As4()
		if i := t.plan.index(binary.BigEndian.Uint32(a[:]), uint8(length)); i >= 0 && i < t.n {
			return p
		}
	}
	return netip.Prefix{}
}

// time is the nanoseconds that a lookup takes.
func (k *lookups) time(wanted func(i int) rib.Wanted) float64 {
	found := 0
	take := func(_ *rib.Shard, f []rib.Found[rib.K4]) { found += len(f) }
	var batches []float64
	for batch := range lookupBatches {
		addrs := k.addrs[batch%64*lookupBatch:][:lookupBatch]
		began := time.Now()
		for i, addr := range addrs {
			k.layout.Lookup4(k.shards, wanted(i), addr, k.space, take)
		}
		batches = append(batches, float64(time.Since(began).Nanoseconds())/lookupBatch)
	}
	return result.Median(batches)
}

// asker is a speaker that can be asked for routes.
type asker interface {
	// ask takes the median of the times that an answer takes, in seconds.
	ask(ctx context.Context, dir string, l layout, addrs []netip.Addr) (float64, error)
}

// ask implements asker, over the socket that operators' programs use.
func (peerage) ask(ctx context.Context, dir string, l layout, addrs []netip.Addr) (float64, error) {
	client := control.NewClient(socketOf(dir))
	defer client.Close()
	var times []float64
	for i, addr := range addrs {
		id := fmt.Sprintf("%s,%s,%s", pool, l.target.Addr(), feedAddr(i%l.feeds))
		began := time.Now()
		routes, err := client.Lookup(ctx, addr, control.LookupFilter{Session: id})
		if err != nil {
			return 0, err
		}
		times = append(times, time.Since(began).Seconds())
		if len(routes) != 1 || !routes[0].Prefix.Contains(addr) {
			return 0, fmt.Errorf("the speaker was asked for %s of session %s and answers %v", addr, id, routes)
		}
	}
	slices.Sort(times)
	return times[len(times)/2], nil
}
