package exchange

import (
	"maps"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peerage/peerage/realserver/bgp"
	"github.com/peerage/peerage/realserver/rib"
)

// domain is a reflect group, with number 0 that of all peers in mode collect:
// the peers among which routes move.
type domain struct {
	x      *Exchange
	name   string
	number rib.Domain
	worker *worker
	queued atomic.Bool // by its worker
	// retired is the worker's: the number may be another domain's now.
	retired bool

	mu       sync.Mutex // guards the fields below and the output of each peer
	members  map[rib.PeerID]*Peer
	sources  map[rib.PeerID]source // members, and former ones that may still be named
	snapshot map[rib.PeerID]source // of sources, never changed; nil when it is out of date
	departed []rib.PeerID          // to be forgotten after the next full round
	groups   map[groupKey]*group
	laggards map[*Peer]struct{}
	recheck  bool // somebody lags behind no more
	// stalled since: all that read are behind, so that nothing is packed and
	// states go on to replace one another.
	stalled time.Time
}

// source is what packing must know of whom a route is from.
type source struct {
	id     [4]byte // its BGP identifier
	client bool
	group  *group
}

// groupKey is what decides the bytes that a peer is sent.
type groupKey struct {
	local                         netip.Addr
	client, fourOctetAS, extended bool
	families                      bgp.FamilySet
}

// group is an update group: peers that are sent the same bytes.
type group struct {
	groupKey
	members map[*Peer]struct{}
	tail    *segment // the last one packed
	total   int64    // bytes packed so far
}

func newDomain(x *Exchange, name string, number rib.Domain) *domain {
	return &domain{
		x: x, name: name, number: number,
		worker:   x.workers[int(number)%len(x.workers)],
		members:  map[rib.PeerID]*Peer{},
		sources:  map[rib.PeerID]source{},
		groups:   map[groupKey]*group{},
		laggards: map[*Peer]struct{}{},
	}
}

// kick has the worker look at the domain.
func (d *domain) kick() {
	if d.number != 0 && d.queued.CompareAndSwap(false, true) {
		d.worker.queue(d)
	}
}

// join adds a member, which has everything yet to be sent.
func (d *domain) join(p *Peer) {
	d.mu.Lock()
	d.members[p.id] = p
	if d.number != 0 {
		g := d.groupOf(p)
		g.members[p] = struct{}{}
		d.sources[p.id] = source{p.config.PeerID.As4(), p.config.Client, g}
		d.snapshot = nil
		p.out.group = g
		p.out.at, p.out.until = g.tail, g.tail
		p.out.sent = g.total
	}
	for _, f := range p.config.Families.List() {
		p.startPass(f, passInitial)
	}
	d.mu.Unlock()
}

func (d *domain) groupOf(p *Peer) *group {
	k := groupKey{p.config.LocalID, p.config.Client, p.config.FourOctetAS, p.config.ExtendedMessage, p.config.Families}
	g := d.groups[k]
	if g == nil {
		g = &group{groupKey: k, members: map[*Peer]struct{}{}, tail: new(segment)}
		d.groups[k] = g
		d.x.groups.Add(1)
	}
	return g
}

// leave removes a member's output; its routes are still there.
func (d *domain) leave(p *Peer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.members, p.id)
	delete(d.laggards, p)
	p.out.closed = true
	if g := p.out.group; g != nil {
		delete(g.members, p)
		if len(g.members) == 0 {
			delete(d.groups, g.groupKey)
			d.x.groups.Add(-1)
		}
	}
	if p.out.lag != nil {
		p.out.lag = nil
		d.recheck = true
		d.kick()
	}
	p.out.keys, p.out.at, p.out.until, p.out.pieces = nil, nil, nil, nil
}

// left is called when no shard has routes of the peer any more. In a reflect
// group its number may stand in changes that were not collected yet.
func (d *domain) left(p *Peer) {
	if d.number == 0 {
		d.x.forget([]rib.PeerID{p.id})
	} else {
		d.mu.Lock()
		d.departed = append(d.departed, p.id)
		d.mu.Unlock()
		d.kick()
	}
	close(p.gone)
}

// takeRecheck tells whether slots may be free that were not.
func (d *domain) takeRecheck() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	was := d.recheck
	d.recheck = false
	return was
}

// idle tells whether there is nobody in the domain and nothing to tell.
func (d *domain) idle() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.members) == 0 && len(d.sources) == 0 && len(d.departed) == 0
}

// busy tells whether packing would only pile up bytes: too few of those who
// follow have read what there is. States go on to replace one another then.
func (d *domain) busy(now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, g := range d.groups {
		following, ready := 0, 0
		for p := range g.members {
			if p.out.lag == nil {
				following++
				if g.total-p.out.sent < d.x.limits.low {
					ready++
				}
			}
		}
		if following == 0 || ready*4 >= following*3 {
			continue
		}
		if d.stalled.IsZero() {
			d.stalled = now
		}
		if now.Sub(d.stalled) < d.x.limits.stall {
			return true
		}
	}
	d.stalled = time.Time{}
	return false
}

// publish gives a group's bytes to its members: by following the segments, or
// by marking what has changed for those who lag behind. It returns whom to
// wake. The caller holds mu.
func (d *domain) publish(g *group, segments []*segment, changed *changed) (wake []*Peer) {
	var size int64
	for _, s := range segments {
		size += int64(len(s.data))
	}
	most := d.x.limits.of(d.x.groups.Load())
	for p := range g.members {
		if p.out.lag == nil && g.total-p.out.sent > 0 && g.total-p.out.sent+size > most {
			p.out.until = g.tail
			p.fallBehind(changed.bound)
		}
	}
	for _, s := range segments {
		g.tail.next = s
		g.tail = s
		g.total += int64(len(s.data))
	}
	for p := range g.members {
		if p.out.lag != nil {
			p.out.lag.mark(changed)
		} else {
			p.override(changed)
		}
		if p.out.waiting && p.pending() {
			p.out.waiting = false
			wake = append(wake, p)
		}
	}
	return wake
}

// unneeded splits slots of prefixes without routes into those that may be
// freed and those that a peer which lags behind was sent and not yet told of.
func (d *domain) unneeded(family, shard int, slots []uint32) (free, kept []uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.laggards) == 0 {
		return slots, nil
	}
	for _, slot := range slots {
		held := false
		for p := range d.laggards {
			if p.out.lag.tables[family][shard].held.has(slot) {
				held, p.out.lag.waited = true, true
			}
		}
		if held {
			kept = append(kept, slot)
		} else {
			free = append(free, slot)
		}
	}
	return free, kept
}

// takeDeparted returns those who left before the round that begins now.
func (d *domain) takeDeparted() []rib.PeerID {
	d.mu.Lock()
	defer d.mu.Unlock()
	ids := d.departed
	d.departed = nil
	return ids
}

// forget forgets those whom no change can name any more.
func (d *domain) forget(ids []rib.PeerID) {
	if len(ids) == 0 {
		return
	}
	d.mu.Lock()
	for _, id := range ids {
		delete(d.sources, id)
	}
	d.snapshot = nil
	d.mu.Unlock()
	d.x.forget(ids)
	d.x.retire(d)
}

// audience appends the groups, and returns the sources of routes.
func (d *domain) audience(dst []*group) ([]*group, map[rib.PeerID]source) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, g := range d.groups {
		dst = append(dst, g)
	}
	return dst, d.known()
}

// known returns the sources of routes, which do not change any more. The
// caller holds mu.
func (d *domain) known() map[rib.PeerID]source {
	if d.snapshot == nil {
		d.snapshot = maps.Clone(d.sources)
	}
	return d.snapshot
}
