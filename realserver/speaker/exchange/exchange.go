package exchange

import (
	"context"
	"iter"
	"net/netip"

	"github.com/hashicorp/go-hclog"

	"github.com/peerage/peerage/realserver/bgp"
)

// Config sizes an Exchange.
type Config struct {
	// Shards and Workers default to the number of processors that Go uses.
	Shards, Workers int
	Logger          hclog.Logger
}

// Exchange holds the routes of all peers.
type Exchange struct {
	config Config
}

// New makes an Exchange. Nothing moves before Run.
func New(c Config) *Exchange { return &Exchange{config: c} }

// Run runs the shards and workers until ctx ends. Peers that are still there
// get nothing any more then, and their methods do not block.
func (x *Exchange) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// Join adds a peer. What is originated for it, its group's best routes, and
// End-of-RIB for each family are there for Next, in this order.
func (x *Exchange) Join(ctx context.Context, c PeerConfig) (*Peer, error) {
	return &Peer{config: c}, ctx.Err()
}

// Origin is a route of the operators' own. The most specific target wins:
// session, customer, all. It wins over what the group has for the prefix.
type Origin struct {
	// All, Customer or Session, the peer's address: to whom.
	All      bool
	Customer string
	Session  netip.Addr

	Prefix           netip.Prefix
	NextHop          netip.Addr
	Communities      []uint32
	LargeCommunities [][3]uint32
	// MED is sent when set; LocalPref to internal peers, default 100.
	MED, LocalPref *uint32
}

// Originate replaces all originated routes. Peers get the difference.
func (x *Exchange) Originate(all []Origin) {}

// Filter restricts a lookup. Empty fields do not.
type Filter struct {
	Customer string
	// Session is the Name of a peer.
	Session string
}

// Route is one route that a peer announced.
type Route struct {
	Session, Customer, Pool string
	Prefix                  netip.Prefix
	NextHop, LinkLocal      netip.Addr
	// Attributes is the canonical set, a copy.
	Attributes []byte
	// Best: it is the best of its group.
	Best bool
}

// Lookup finds the routes with the longest prefix that holds addr, among those
// of the filter, sorted by session.
func (x *Exchange) Lookup(addr netip.Addr, f Filter) []Route { return nil }

// Routes iterates over the routes of the peer of that name, in no particular
// order. Routes that change meanwhile may be missing or be seen in either
// state. It ends early with the error of ctx.
func (x *Exchange) Routes(ctx context.Context, session string) iter.Seq2[Route, error] {
	return func(func(Route, error) bool) {}
}

// Stats are the exchange's counters, each shard and worker at about the same
// moment.
type Stats struct {
	Peers, Groups int
	// AttributeSets and AttributeBytes are the interned sets and the memory
	// that they take.
	AttributeSets, AttributeBytes int64
	Shards                        []ShardStats
	Workers                       []WorkerStats
}

// ShardStats are one shard's counters.
type ShardStats struct {
	Prefixes, Routes int64
	// Bytes is the memory of tables and routes.
	Bytes int64
	// Applied counts announcements and withdrawals, Changed those that changed
	// a best route.
	Applied, Changed int64
	// Queued are batches waiting now.
	Queued int
}

// WorkerStats are one update worker's counters.
type WorkerStats struct {
	// Packed counts prefixes packed once for a whole update group, Messages
	// and Bytes what came out.
	Packed, Messages, Bytes int64
	// Lagging are peers that take their own pace now.
	Lagging int
}

// Stats returns the counters.
func (x *Exchange) Stats() Stats { return Stats{} }

var _ = bgp.IPv4Unicast
