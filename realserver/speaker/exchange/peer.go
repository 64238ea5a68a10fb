package exchange

import (
	"context"
	"net/netip"

	"github.com/peerage/peerage/realserver/bgp"
	"github.com/peerage/peerage/realserver/rib"
)

// PeerConfig is what the exchange must know of an established session.
type PeerConfig struct {
	// Name identifies the session in Filter, Route and Stats.
	Name, Customer, Pool string
	// Group is the reflect group; empty in mode collect.
	Group string
	// Client is an RFC 4456 client; it counts in a group only.
	Client bool
	// LocalID is the own BGP identifier and the cluster id; PeerID the peer's.
	LocalID, PeerID     netip.Addr
	LocalAddr, PeerAddr netip.Addr
	LocalAS, AS         uint32
	Families            bgp.FamilySet
	// What both sides offered.
	FourOctetAS, ExtendedMessage, EnhancedRefresh bool
	// Session counts routes and Customer bytes; nil for no bound. Both are
	// charged by the shards: look at Exceeded after Flush, or now and then.
	Session, CustomerQuota *rib.Quota
	// Wake is called when there is something to send after Next said that
	// there was no more; once until Next is called again. It must not block
	// and may be called from any goroutine, also before Join returns.
	Wake func()
}

// Counts are what a peer has, by family.
type Counts struct {
	// Routes are those held of the peer.
	Routes map[bgp.Family]int64
	// Dropped are those refused beyond a quota.
	Dropped int64
	// Advertised counts prefixes announced to it since it joined.
	Advertised int64
}

// Peer is one established session in the exchange. Update, Flush,
// RefreshBegin, RefreshEnd and Leave are for the session's reader: one
// goroutine at a time. Next is for its writer: one goroutine at a time.
// Refresh and Counts are for anybody.
type Peer struct {
	config PeerConfig
}

// Update takes the routes of one UPDATE. They are gathered and handed over in
// batches: call Flush when there is no further message to read at once. It
// blocks while the shards are behind, and fails only with ctx.
func (p *Peer) Update(ctx context.Context, r *bgp.Routes) error { return ctx.Err() }

// Flush hands over what Update gathered.
func (p *Peer) Flush(ctx context.Context) error { return ctx.Err() }

// Next returns whole messages of max bytes together, or one message if that
// alone is longer. They are shared and must not be changed; they are valid
// until the next call. more tells that there is more at once: call again.
// Otherwise Wake will tell.
func (p *Peer) Next(max int) (messages [][]byte, more bool) { return nil, false }

// Refresh sends the routes of a family again (RFC 2918), between
// Begin-of-RR and End-of-RR when that was negotiated (RFC 7313).
func (p *Peer) Refresh(f bgp.Family) {}

// RefreshBegin is the peer's Begin-of-RR: what it does not announce again
// until RefreshEnd is withdrawn then (RFC 7313 section 4).
func (p *Peer) RefreshBegin(ctx context.Context, f bgp.Family) error { return ctx.Err() }

// RefreshEnd is the peer's End-of-RR.
func (p *Peer) RefreshEnd(ctx context.Context, f bgp.Family) error { return ctx.Err() }

// Leave ends the peer: its routes are withdrawn from the others and Wake is
// not called any more. It returns when the shards have dropped the routes, or
// with ctx while they still do. It may be called again.
func (p *Peer) Leave(ctx context.Context) error { return ctx.Err() }

// Counts are the peer's counters now.
func (p *Peer) Counts() Counts { return Counts{} }
