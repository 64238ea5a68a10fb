package exchange

import (
	"context"
	"encoding/binary"
	"net/netip"
	"sync/atomic"

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
	// Session counts routes and CustomerQuota bytes; nil for no bound. Both are
	// charged by the shards: look at Exceeded after Flush, or now and then.
	Session, CustomerQuota *rib.Quota
	// Wake is called when there is something to send after Next said that
	// there was no more; once until Next is called again. It must not block
	// and may be called from any goroutine, also before Join returns.
	Wake func()
}

// Peer is one established session in the exchange. Update, Flush,
// RefreshBegin, RefreshEnd and Leave are for the session's reader: one
// goroutine at a time. Next is for its writer: one goroutine at a time.
// Refresh and Counts are for anybody.
type Peer struct {
	x      *Exchange
	d      *domain
	id     rib.PeerID
	config PeerConfig

	// For the reader.
	gathered []*batch // by shard; nil when there is nothing
	set      []byte
	done     bool // Leave was called

	// ended is set before the first shard drops its routes: what stands under
	// its number from then on may be another session's. Who holds a shard's
	// lock and does not see it set, has read this one's.
	ended   atomic.Bool
	leaving atomic.Int32  // shards that still hold its routes
	gone    chan struct{} // closed when none does; made by Leave

	advertised atomic.Int64

	out output // guarded by d.mu
}

func newPeer(x *Exchange, d *domain, id rib.PeerID, c PeerConfig) *Peer {
	p := &Peer{x: x, d: d, id: id, config: c}
	if p.config.Wake == nil {
		p.config.Wake = func() {}
	}
	return p
}

func (p *Peer) info() rib.PeerInfo {
	info := rib.PeerInfo{Domain: p.d.number, Session: p.config.Session, Customer: p.config.CustomerQuota}
	if p.config.PeerID.Is4() {
		a := p.config.PeerID.As4()
		info.RouterID = binary.BigEndian.Uint32(a[:])
	}
	far, near := p.config.PeerAddr.As16(), p.config.LocalAddr.As16()
	copy(info.Order[:16], far[:])
	copy(info.Order[16:], near[:])
	return info
}

// Update takes the routes of one UPDATE. They are gathered and handed over in
// batches: call Flush when there is no further message to read at once. It
// blocks while the shards are behind, and fails with ctx, when Run has ended,
// and when there is no room for attributes.
func (p *Peer) Update(ctx context.Context, r *bgp.Routes) error {
	for i := range r.Parts {
		if err := p.part(ctx, r, &r.Parts[i]); err != nil {
			return err
		}
	}
	return nil
}

func (p *Peer) part(ctx context.Context, r *bgp.Routes, part *bgp.Part) error {
	v6 := part.Family == bgp.IPv6Unicast
	if len(part.Withdrawn) > 0 {
		if err := p.split(ctx, part.Withdrawn, v6, 0, 0); err != nil {
			return err
		}
	}
	n := count(part.Announced)
	if n == 0 {
		return nil
	}
	p.set = appendKey(p.set[:0], part, r.Attributes)
	rank := rib.Rank(r.Rank)
	attr, err := p.x.sets.Intern(p.set, &rank, p.d.number != 0, n)
	if err != nil {
		return err
	}
	if cap(p.set) > 1024 {
		p.set = nil
	}
	return p.split(ctx, part.Announced, v6, attr, rank.Hint())
}

// count counts encoded prefixes.
func count(nlri []byte) (n int) {
	for i := 0; i < len(nlri); n++ {
		i += 1 + (int(nlri[i])+7)>>3
	}
	return n
}

// split gathers prefixes by shard. Each takes one reference to the set.
func (p *Peer) split(ctx context.Context, nlri []byte, v6 bool, attr rib.AttrID, h rib.Hint) error {
	for len(nlri) > 0 {
		var i, n int
		if v6 {
			var k rib.K6
			k, nlri = rib.Next6(nlri)
			i = p.x.layout.Of6(k)
			b := p.batch(i)
			b.v6 = append(b.v6, rib.Op[rib.K6]{Key: k, Attr: attr, Hint: h})
			n = len(b.v6)
		} else {
			var k rib.K4
			k, nlri = rib.Next4(nlri)
			i = p.x.layout.Of4(k)
			b := p.batch(i)
			b.v4 = append(b.v4, rib.Op[rib.K4]{Key: k, Attr: attr, Hint: h})
			n = len(b.v4)
		}
		if n >= batchSize {
			if err := p.hand(ctx, i); err != nil {
				if left := count(nlri); attr != 0 && left > 0 {
					p.x.sets.Release(attr, left)
				}
				return err
			}
		}
	}
	return nil
}

func (p *Peer) batch(i int) *batch {
	if p.gathered == nil {
		p.gathered = make([]*batch, len(p.x.shards))
	}
	b := p.gathered[i]
	if b == nil {
		b = p.x.batches.Get().(*batch)
		b.peer = p
		p.gathered[i] = b
	}
	return b
}

// hand hands a batch over to its shard. On failure it stays gathered.
func (p *Peer) hand(ctx context.Context, i int) error {
	select {
	case p.x.shards[i].in <- p.gathered[i]:
		p.gathered[i] = nil
		return nil
	default:
	}
	select {
	case p.x.shards[i].in <- p.gathered[i]:
		p.gathered[i] = nil
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-p.x.done:
		return errStopped
	}
}

// Flush hands over what Update gathered.
func (p *Peer) Flush(ctx context.Context) error {
	for i, b := range p.gathered {
		if b == nil {
			continue
		}
		if err := p.hand(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// RefreshBegin is the peer's Begin-of-RR: what it does not announce again
// until RefreshEnd is withdrawn then (RFC 7313 section 4).
func (p *Peer) RefreshBegin(ctx context.Context, f bgp.Family) error {
	return p.mark(ctx, refreshBegin, f)
}

// RefreshEnd is the peer's End-of-RR.
func (p *Peer) RefreshEnd(ctx context.Context, f bgp.Family) error {
	return p.mark(ctx, refreshEnd, f)
}

func (p *Peer) mark(ctx context.Context, m mark, f bgp.Family) error {
	if !p.config.Families.Has(f) {
		return nil
	}
	if err := p.Flush(ctx); err != nil {
		return err
	}
	for i := range p.x.shards {
		b := p.batch(i)
		b.mark, b.of = m, f
	}
	return p.Flush(ctx)
}

// Leave ends the peer: its routes are withdrawn from the others and Wake is
// not called any more. It returns when the shards have dropped the routes, or
// with ctx while they still do. It may be called again.
func (p *Peer) Leave(ctx context.Context) error {
	if !p.done {
		p.done = true
		p.gone = make(chan struct{})
		p.ended.Store(true)
		p.drop()
		p.x.mu.Lock()
		if p.x.names[p.config.Name] == p {
			delete(p.x.names, p.config.Name)
			p.x.view.Store(nil)
		}
		p.x.mu.Unlock()
		p.d.leave(p)
		p.leaving.Store(int32(len(p.x.shards)))
		for _, s := range p.x.shards {
			s.leave(p)
		}
	}
	select {
	case <-p.gone:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-p.x.done:
		return errStopped
	}
}

// drop drops what is gathered: it would be withdrawn at once.
func (p *Peer) drop() {
	for _, b := range p.gathered {
		if b == nil {
			continue
		}
		for _, op := range b.v4 {
			if op.Attr != 0 {
				p.x.sets.Release(op.Attr, 1)
			}
		}
		for _, op := range b.v6 {
			if op.Attr != 0 {
				p.x.sets.Release(op.Attr, 1)
			}
		}
		p.x.reuse(b)
	}
	p.gathered = nil
}

// Counts are what a peer has.
type Counts struct {
	// Routes are those held of the peer, by family.
	Routes map[bgp.Family]int64
	// Refused are those beyond the session's quota, of all families.
	Refused int64
	// Advertised counts prefixes announced to it since it joined.
	Advertised int64
}

// Counts are the peer's counters now.
func (p *Peer) Counts() Counts {
	c := Counts{Routes: map[bgp.Family]int64{}, Advertised: p.advertised.Load()}
	if p.config.Session != nil {
		c.Refused = p.config.Session.Refused()
	}
	for _, s := range p.x.shards {
		s.rib.RLock()
		var v4, v6 int64
		if !p.ended.Load() {
			v4, v6 = s.rib.Routes(p.id)
		}
		s.rib.RUnlock()
		c.Routes[bgp.IPv4Unicast] += v4
		c.Routes[bgp.IPv6Unicast] += v6
	}
	return c
}
