package exchange

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/peerage/peerage/realserver/bgp"
	"github.com/peerage/peerage/realserver/rib"
)

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

// target is to whom a route is originated.
type target struct {
	customer string
	session  netip.Addr
}

func (o *Origin) target() target {
	switch {
	case o.Session.IsValid():
		return target{session: o.Session}
	case o.All:
		return target{}
	}
	return target{customer: o.Customer}
}

func (o *Origin) equal(other *Origin) bool {
	same := func(a, b *uint32) bool { return a == nil && b == nil || a != nil && b != nil && *a == *b }
	return o.NextHop == other.NextHop && slices.Equal(o.Communities, other.Communities) &&
		slices.Equal(o.LargeCommunities, other.LargeCommunities) && same(o.MED, other.MED) && same(o.LocalPref, other.LocalPref)
}

// origins are all originated routes. They do not change.
type origins struct {
	routes map[target]map[netip.Prefix]*Origin
}

func newOrigins(all []Origin) *origins {
	o := &origins{routes: map[target]map[netip.Prefix]*Origin{}}
	for _, r := range all {
		r.Prefix = r.Prefix.Masked()
		if !r.Prefix.IsValid() || !r.NextHop.IsValid() || r.NextHop.Is4() != r.Prefix.Addr().Is4() || !r.All && r.Customer == "" && !r.Session.IsValid() {
			continue
		}
		t := r.target()
		if o.routes[t] == nil {
			o.routes[t] = map[netip.Prefix]*Origin{}
		}
		o.routes[t][r.Prefix] = &r
	}
	return o
}

func (o *origins) any() bool { return len(o.routes) > 0 }

// targets are those that hold a peer, the most specific first.
func (p *Peer) targets() [3]target {
	return [3]target{{session: p.config.PeerAddr}, {customer: p.config.Customer}, {}}
}

// of is what a peer gets for a prefix; nil for nothing.
func (o *origins) of(p *Peer, prefix netip.Prefix) *Origin {
	for _, t := range p.targets() {
		if r := o.routes[t][prefix]; r != nil {
			return r
		}
	}
	return nil
}

// Originate replaces all originated routes. Peers get the difference. Routes
// whose next hop is not of the prefix's family, or without target, are left
// out.
func (x *Exchange) Originate(all []Origin) {
	for _, p := range x.originate(newOrigins(all)) {
		p.config.Wake()
	}
}

// originate returns whom to wake.
func (x *Exchange) originate(now *origins) (wake []*Peer) {
	x.mu.Lock()
	defer x.mu.Unlock()
	before := x.origins.Swap(now)
	changed := map[target][]netip.Prefix{}
	for t, routes := range now.routes {
		for prefix, r := range routes {
			if old := before.routes[t][prefix]; old == nil || !old.equal(r) {
				changed[t] = append(changed[t], prefix)
			}
		}
	}
	for t, routes := range before.routes {
		for prefix := range routes {
			if now.routes[t][prefix] == nil {
				changed[t] = append(changed[t], prefix)
			}
		}
	}
	if len(changed) == 0 {
		return nil
	}
	for _, p := range x.peers {
		if p.originate(changed) {
			wake = append(wake, p)
		}
	}
	return wake
}

func (p *Peer) originate(changed map[target][]netip.Prefix) (wake bool) {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	for _, t := range p.targets() {
		for _, prefix := range changed[t] {
			p.key(prefix)
		}
	}
	return p.toWake()
}

// key has a prefix sent for which there is, or was, an originated route. The
// caller holds d.mu.
func (p *Peer) key(prefix netip.Prefix) {
	f := bgp.IPv4Unicast
	if prefix.Addr().Is6() {
		f = bgp.IPv6Unicast
	}
	if p.out.closed || !p.config.Families.Has(f) {
		return
	}
	if p.out.keys == nil {
		p.out.keys = map[netip.Prefix]struct{}{}
	}
	p.out.keys[prefix] = struct{}{}
}

// keysOf has all originated routes of a family sent.
func (p *Peer) keysOf(f bgp.Family) {
	o := p.x.origins.Load()
	for _, t := range p.targets() {
		for prefix := range o.routes[t] {
			if prefix.Addr().Is6() == (f == bgp.IPv6Unicast) {
				p.key(prefix)
			}
		}
	}
}

// override is a change of a prefix that is originated to somebody.
type override = netip.Prefix

func overrides[K rib.Key[K]](o *origins, r *round[K], dst []override) []override {
	for i := range r.changes {
		prefix := r.changes[i].Key.Prefix()
		for _, routes := range o.routes {
			if routes[prefix] != nil {
				dst = append(dst, prefix)
				break
			}
		}
	}
	return dst
}

// override has the originated route sent again after what the group was sent.
// The caller holds d.mu.
func (p *Peer) override(c *changed) {
	if len(c.overridden) == 0 {
		return
	}
	o := p.x.origins.Load()
	for _, prefix := range c.overridden {
		if o.of(p, prefix) != nil {
			p.key(prefix)
		}
	}
}

// sendOriginated sends originated routes, and for those that are not any more
// what there is else. The caller holds d.mu.
func (p *Peer) sendOriginated() {
	o := p.x.origins.Load()
	prefixes := make([]netip.Prefix, 0, len(p.out.keys))
	for prefix := range p.out.keys {
		prefixes = append(prefixes, prefix)
	}
	p.out.keys = nil
	slices.SortFunc(prefixes, func(a, b netip.Prefix) int {
		if c := a.Addr().Compare(b.Addr()); c != 0 {
			return c
		}
		return a.Bits() - b.Bits()
	})
	k := packer{sets: p.x.sets, buf: p.x.buffer()}
	for _, prefix := range prefixes {
		r := o.of(p, prefix)
		if prefix.Addr().Is4() {
			sendOne(p, &k, rib.Key4(prefix), v4, r, p.best4)
		} else {
			sendOne(p, &k, rib.Key6(prefix), v6, r, p.best6)
		}
	}
	p.advertised.Add(k.total)
	p.lend(k.buf)
}

func (p *Peer) best4(k rib.K4) (int, rib.Change[rib.K4]) {
	i := p.x.layout.Of4(k)
	s := p.x.shards[i].rib
	s.RLock()
	defer s.RUnlock()
	return i, s.Best4(p.d.number, k)
}

func (p *Peer) best6(k rib.K6) (int, rib.Change[rib.K6]) {
	i := p.x.layout.Of6(k)
	s := p.x.shards[i].rib
	s.RLock()
	defer s.RUnlock()
	return i, s.Best6(p.d.number, k)
}

// sendOne sends the originated route r of a prefix, or if it is nil what the
// group has, or a withdrawal.
func sendOne[K rib.Key[K]](p *Peer, k *packer, key K, family int, r *Origin, best func(K) (int, rib.Change[K])) {
	f := p.form(familyOf[family])
	only := []rib.Change[K]{{Key: key}}
	if r != nil {
		announce(k, f, hopBytes(r.NextHop), p.attributes(r), only)
		return
	}
	if p.d.number != 0 {
		shard, c := best(key)
		goes := c.Attr != 0 && p.gets(c.Peer)
		if goes && p.out.lag != nil {
			// It is sent in its turn, and is known to be held from then on.
			t := &p.out.lag.tables[family][shard]
			t.marked.set(c.Slot)
			t.held.set(c.Slot)
		} else if goes {
			reflect(k, f, c.Attr, p.d.sources[c.Peer].id, only)
		}
		p.x.drop(c.Attr)
		if goes {
			return
		}
	}
	withdraw(k, f, only, func(*rib.Change[K]) bool { return true })
}

func (p *Peer) form(f bgp.Family) form {
	k := groupKey{local: p.config.LocalID, fourOctetAS: p.config.FourOctetAS, extended: p.config.ExtendedMessage}
	return k.form(f)
}

func hopBytes(a netip.Addr) []byte {
	if a.Is4() {
		b := a.As4()
		return b[:]
	}
	b := a.As16()
	return b[:]
}

// attributes are those of an originated route as the peer is sent them, in
// canonical order.
func (p *Peer) attributes(r *Origin) []byte {
	internal := p.config.LocalAS == p.config.AS
	b := bgp.AppendOrigin(nil, 0)
	if internal {
		b = bgp.AppendASPath(b)
	} else {
		b = bgp.AppendASPath(b, p.config.LocalAS)
	}
	if r.MED != nil {
		b = bgp.AppendMED(b, *r.MED)
	}
	if internal {
		pref := uint32(bgp.DefaultLocalPref)
		if r.LocalPref != nil {
			pref = *r.LocalPref
		}
		b = bgp.AppendAttribute(b, bgp.FlagTransitive, bgp.AttrLocalPref, binary.BigEndian.AppendUint32(nil, pref))
	}
	if len(r.Communities) > 0 {
		b = bgp.AppendCommunities(b, r.Communities...)
	}
	if len(r.LargeCommunities) > 0 {
		var v []byte
		for _, c := range r.LargeCommunities {
			for _, x := range c {
				v = binary.BigEndian.AppendUint32(v, x)
			}
		}
		b = bgp.AppendAttribute(b, bgp.FlagOptional|bgp.FlagTransitive, bgp.AttrLargeCommunities, v)
	}
	return b
}
