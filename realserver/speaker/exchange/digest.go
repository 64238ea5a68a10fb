package exchange

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"net/netip"

	"github.com/peerage/peerage/realserver/bgp"
	"github.com/peerage/peerage/realserver/rib"
)

// Digest sums up routes in any order: two that are equal are of the same
// routes with the same attributes.
type Digest struct {
	Prefixes int64
	sum      [4]uint64
}

// add adds a prefix, encoded, and the hash of its attributes.
func (d *Digest) add(nlri []byte, attributes *[sha256.Size]byte) {
	var text [17 + sha256.Size]byte
	n := copy(text[:], nlri)
	n += copy(text[n:], attributes[:])
	h := sha256.Sum256(text[:n])
	for i := range d.sum {
		d.sum[i] += binary.BigEndian.Uint64(h[8*i:])
	}
	d.Prefixes++
}

// String is the sum in hexadecimal.
func (d *Digest) String() string {
	var b []byte
	for _, word := range d.sum {
		b = binary.BigEndian.AppendUint64(b, word)
	}
	return hex.EncodeToString(b)
}

// Digests sum up, by family, what the peer has once everything that is due has
// been sent to it: nothing is kept of what was. It walks the table and is for
// anybody, but not for often.
func (p *Peer) Digests(ctx context.Context) (map[bgp.Family]Digest, error) {
	g := &digester{p: p, ctx: ctx, o: p.x.origins.Load(), k: packer{sets: p.x.sets}}
	p.d.mu.Lock()
	g.sources = p.d.known()
	p.d.mu.Unlock()
	all := map[bgp.Family]Digest{}
	for f, of := range familyOf {
		if !p.config.Families.Has(of) {
			continue
		}
		g.Digest, g.form = Digest{}, p.form(of)
		g.originated(of)
		if p.d.number == 0 { // nothing moves
			all[of] = g.Digest
			continue
		}
		var err error
		if f == v4 {
			err = reflected(g, (*rib.Shard).Slots4, (*rib.Shard).Peek4)
		} else {
			err = reflected(g, (*rib.Shard).Slots6, (*rib.Shard).Peek6)
		}
		if err != nil {
			return nil, err
		}
		all[of] = g.Digest
	}
	return all, nil
}

// digester walks what is for one peer and family.
type digester struct {
	Digest
	p       *Peer
	ctx     context.Context
	o       *origins
	sources map[rib.PeerID]source
	form    form
	k       packer
}

// originated adds the operators' own routes.
func (g *digester) originated(f bgp.Family) {
	for _, t := range g.p.targets() {
		for prefix, r := range g.o.routes[t] {
			if prefix.Addr().Is4() != (f == bgp.IPv4Unicast) || g.o.of(g.p, prefix) != r {
				continue
			}
			if h, ok := g.hash(hopBytes(r.NextHop), g.p.attributes(r)); ok {
				g.add(bgp.AppendPrefix(g.k.nlri[:0], prefix), &h)
			}
		}
	}
}

// hash is of attributes as they are sent, but for how long AS numbers are. It
// fails when no message can hold them: they are not sent then.
func (g *digester) hash(hop, set []byte) (h [sha256.Size]byte, ok bool) {
	sent := set
	if !g.form.fourOctets {
		sent = bgp.AppendTwoOctet(nil, set)
	}
	if _, err := bgp.NewPacker(nil, g.form.family, sent, hop, g.form.limit); err != nil {
		return h, false
	}
	text := append(append([]byte{byte(len(hop))}, hop...), set...)
	return sha256.Sum256(text), true
}

// reflected adds the best routes of the group, some at a time.
func reflected[K rib.Key[K]](g *digester, bound func(*rib.Shard, rib.Domain) uint32, peek func(*rib.Shard, rib.Domain, []uint32, []rib.Change[K]) []rib.Change[K]) error {
	var changes []rib.Change[K]
	slots := make([]uint32, 0, drainSize)
	for _, s := range g.p.x.shards {
		for next, end := uint32(0), uint32(1); next < end; {
			if err := g.ctx.Err(); err != nil {
				return err
			}
			s.rib.RLock()
			if g.p.ended.Load() { // the table may be another group's
				s.rib.RUnlock()
				return errEnded
			}
			end = bound(s.rib, g.p.d.number)
			for slots = slots[:0]; next < end && len(slots) < drainSize; next++ {
				slots = append(slots, next)
			}
			changes = peek(s.rib, g.p.d.number, slots, changes[:0])
			s.rib.RUnlock()
			addAll(g, changes)
		}
	}
	return nil
}

// addAll adds those of a part of the table that the peer is sent.
func addAll[K rib.Key[K]](g *digester, changes []rib.Change[K]) {
	type of struct {
		attr rib.AttrID
		peer rib.PeerID
	}
	type hashed struct {
		h  [sha256.Size]byte
		ok bool
	}
	known := map[of]hashed{} // numbers of sets name others when those are gone
	for i := range changes {
		c := &changes[i]
		from, ok := g.sources[c.Peer]
		if c.Attr == 0 || !ok || c.Peer == g.p.id || !g.p.out.group.mayGo(from) || g.o.any() && g.o.of(g.p, c.Key.Prefix()) != nil {
			continue
		}
		a, ok := known[of{c.Attr, c.Peer}]
		if !ok {
			hop, canonical := splitKey(nil, g.k.sets.Bytes(c.Attr))
			if len(hop) == 32 {
				hop = hop[:16]
			}
			a.h, a.ok = g.hash(hop, bgp.AppendReflected(nil, canonical, netip.AddrFrom4(from.id), g.form.local))
			known[of{c.Attr, c.Peer}] = a
		}
		if a.ok {
			g.add(c.Key.AppendNLRI(g.k.nlri[:0]), &a.h)
		}
	}
	for i := range changes {
		g.p.x.drop(changes[i].Attr)
	}
}
