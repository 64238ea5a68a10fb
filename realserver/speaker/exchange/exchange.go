package exchange

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/peerage/peerage/realserver/bgp"
	"github.com/peerage/peerage/realserver/rib"
)

// Config sizes an Exchange.
type Config struct {
	// Shards and Workers default to the number of processors that Go uses.
	Shards, Workers int
	Logger          hclog.Logger
}

// Exchange holds the routes of all peers.
type Exchange struct {
	logger  hclog.Logger
	sets    *rib.Sets
	layout  rib.Layout
	shards  []*shard
	tables  []*rib.Shard // of the shards
	workers []*worker
	limits  limits
	origins atomic.Pointer[origins]
	view    atomic.Pointer[view] // of the fields below; nil when it is out of date

	groups atomic.Int64 // update groups of all domains

	ends [families][]byte // the End-of-RIB markers

	batches, buffers, drainers sync.Pool
	done                       chan struct{} // closed when Run ends

	mu      sync.Mutex // guards the fields below
	ids     numbers    // of peers
	peers   map[rib.PeerID]*Peer
	names   map[string]*Peer // the latest of each name
	numbers numbers          // of domains
	domains map[string]*domain
}

// limits are what a peer may have to read before it is treated as slow.
type limits struct {
	// With more than lag bytes, a peer gets a state of its own. Bytes are
	// shared by an update group, however many are in it, and kept for the one
	// that is furthest behind: where there are many groups it is less, so that
	// all of them together do not hold more than total, but not less than
	// least.
	lag, total, least int64
	// As long as too few have less than low, nothing is packed; but those who
	// do not read must not hold up the rest for longer than stall. A state of
	// its own costs processor time, and who has none to spare only needs time
	// to read: on a busy machine all would get one, and it would stay busy.
	low   int64
	stall time.Duration
}

func defaultLimits() limits {
	return limits{lag: 16 << 20, total: 256 << 20, least: 256 << 10, low: 128 << 10, stall: 250 * time.Millisecond}
}

// of is the bound where there are so many update groups.
func (l limits) of(groups int64) int64 {
	return min(l.lag, max(l.total/max(groups, 1), l.least))
}

// maxPeers is the number of peers at once, and of domains.
const maxPeers = 1<<16 - 1

// New makes an Exchange. Nothing moves before Run.
func New(c Config) *Exchange {
	if c.Logger == nil {
		c.Logger = hclog.NewNullLogger()
	}
	procs := runtime.GOMAXPROCS(0)
	if c.Shards < 1 {
		c.Shards = procs
	}
	if c.Workers < 1 {
		c.Workers = procs
	}
	x := &Exchange{
		logger:  c.Logger,
		sets:    rib.NewSets(),
		layout:  rib.NewLayout(c.Shards, rand.Uint64()),
		limits:  defaultLimits(),
		done:    make(chan struct{}),
		peers:   map[rib.PeerID]*Peer{},
		names:   map[string]*Peer{},
		domains: map[string]*domain{},
	}
	x.origins.Store(new(origins))
	for f := range x.ends {
		x.ends[f] = bgp.AppendEndOfRIB(nil, familyOf[f])
	}
	x.batches.New = func() any { return &batch{v4: make([]rib.Op[rib.K4], 0, batchSize)} }
	for range c.Shards {
		s := newShard(x)
		x.shards = append(x.shards, s)
		x.tables = append(x.tables, s.rib)
	}
	for range c.Workers {
		x.workers = append(x.workers, newWorker(x))
	}
	x.domains[""] = newDomain(x, "", 0)
	return x
}

// Run runs the shards and workers until ctx ends. Peers that are still there
// get nothing any more then, and their methods do not block.
func (x *Exchange) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, s := range x.shards {
		wg.Go(func() { s.run(ctx) })
	}
	for _, w := range x.workers {
		wg.Go(func() { w.run(ctx) })
	}
	<-ctx.Done()
	close(x.done)
	wg.Wait()
	return nil
}

// errStopped is returned when Run has ended.
var errStopped = errors.New("exchange: it has stopped")

// errEnded is returned when a peer has left.
var errEnded = errors.New("exchange: the session has ended")

// Join adds a peer. What is originated for it, its group's best routes, and
// End-of-RIB for each family are there for Next, in this order.
func (x *Exchange) Join(ctx context.Context, c PeerConfig) (*Peer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if c.Group != "" && c.LocalAS != c.AS {
		return nil, fmt.Errorf("join session %s: routes of group %s are reflected among internal peers, and AS %d is not %d; set the customer's mode to collect", c.Name, c.Group, c.AS, c.LocalAS)
	}
	if !c.LocalID.Is4() || !c.PeerID.Is4() {
		return nil, fmt.Errorf("join session %s: BGP identifiers %s and %s must be IPv4 addresses", c.Name, c.LocalID, c.PeerID)
	}
	p, err := x.join(c)
	if err != nil {
		return nil, fmt.Errorf("join session %s: %w", c.Name, err)
	}
	p.config.Wake()
	return p, nil
}

func (x *Exchange) join(c PeerConfig) (*Peer, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	id, ok := x.ids.take()
	if !ok {
		return nil, fmt.Errorf("there are %d sessions, which is the most that one speaker can have", maxPeers)
	}
	d, err := x.domainOf(c.Group)
	if err != nil {
		x.ids.give(id)
		return nil, err
	}
	p := newPeer(x, d, rib.PeerID(id), c)
	for _, s := range x.shards {
		s.rib.Lock()
		s.rib.Join(p.id, p.info())
		s.rib.Unlock()
	}
	x.peers[p.id] = p
	x.names[c.Name] = p
	x.view.Store(nil)
	d.join(p)
	return p, nil
}

// domainOf finds or makes the domain of a group.
func (x *Exchange) domainOf(group string) (*domain, error) {
	if d := x.domains[group]; d != nil {
		return d, nil
	}
	number, ok := x.numbers.take()
	if !ok {
		return nil, fmt.Errorf("there are %d groups, which is the most that one speaker can have", maxPeers)
	}
	d := newDomain(x, group, rib.Domain(number))
	x.domains[group] = d
	return d, nil
}

// forget gives a peer's number back. Nothing names it any more.
func (x *Exchange) forget(ids []rib.PeerID) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, id := range ids {
		delete(x.peers, id)
		x.ids.give(uint16(id))
	}
	x.view.Store(nil)
}

// retire removes a domain that has no peers and nothing to tell.
func (x *Exchange) retire(d *domain) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.domains[d.name] != d || d.number == 0 || !d.idle() {
		return
	}
	for _, s := range x.shards {
		s.rib.Lock()
		s.rib.Drop(d.number)
		s.rib.Unlock()
	}
	d.retired = true
	delete(x.domains, d.name)
	x.numbers.give(uint16(d.number))
}

// numbers gives out numbers from 1 on, and those given back again.
type numbers struct {
	last uint16
	free []uint16
}

func (n *numbers) take() (uint16, bool) {
	if k := len(n.free); k > 0 {
		i := n.free[k-1]
		n.free = n.free[:k-1]
		return i, true
	}
	if n.last == maxPeers {
		return 0, false
	}
	n.last++
	return n.last, true
}

func (n *numbers) give(i uint16) { n.free = append(n.free, i) }
