package exchange

import (
	"github.com/peerage/peerage/realserver/bgp"
	"github.com/peerage/peerage/realserver/rib"
)

// lag is the state of a peer that does not follow its group: because it reads
// too slowly, or because it has yet to be sent everything. It takes two bits a
// prefix, however much changes.
type lag struct {
	tables [families][]lagTable // by shard
	has    [families]bool       // negotiated
	waited bool                 // slots were kept because of it
}

// lagTable is the state for one family in one shard.
type lagTable struct {
	// marked are slots whose prefix the peer has to be sent, or to be told of
	// that it is gone.
	marked bitset
	// held are slots whose prefix the peer may have: only those need to be
	// withdrawn, and only those must not be used for another prefix meanwhile.
	held bitset
	// cursor goes round, so that no prefix waits for ever behind those that
	// change all the time. passing, until it has reached end.
	cursor  uint32
	end     uint32
	passing bool
}

// lagBehind begins without anything sent. The caller holds d.mu and has set
// until.
func (p *Peer) lagBehind() {
	p.out.detach()
	l := new(lag)
	for f := range l.tables {
		l.tables[f] = make([]lagTable, len(p.x.shards))
		l.has[f] = p.config.Families.Has(familyOf[f])
	}
	p.out.lag = l
	p.d.laggards[p] = struct{}{}
}

// detach gives the peer a list of its own of the segments that it has yet to
// take, which share their bytes with the group's. Those know what comes after
// them: who kept one and did not move on would keep all that is published from
// then on.
func (o *output) detach() {
	if o.at == nil || o.until == nil {
		return
	}
	own := new(segment)
	last := own
	for s := o.at; s != o.until; {
		s = s.next
		last.next = &segment{data: s.data, spans: s.spans, announced: s.announced}
		last = last.next
	}
	o.at, o.until = own, last
}

// fallBehind begins with everything sent. The caller holds d.mu.
func (p *Peer) fallBehind(bounds [families][]uint32) {
	p.lagBehind()
	for f := range families {
		if !p.out.lag.has[f] {
			continue
		}
		for i := range p.out.lag.tables[f] {
			p.out.lag.tables[f][i].held.fill(bounds[f][i])
		}
	}
}

// begin marks all prefixes of a family.
func (l *lag) begin(family int, bounds [families][]uint32) {
	for i := range l.tables[family] {
		t := &l.tables[family][i]
		t.end = bounds[family][i]
		t.marked.fill(t.end)
		t.cursor, t.passing = 0, t.end > 0
	}
}

// mark marks what has changed.
func (l *lag) mark(c *changed) {
	for f := range l.tables {
		if !l.has[f] {
			continue
		}
		for i := range l.tables[f] {
			t := &l.tables[f][i]
			for _, slot := range c.slots[f][i] {
				t.marked.set(slot)
			}
		}
	}
}

// marked tells whether there is something to drain.
func (l *lag) marked() bool {
	for f := range l.tables {
		for i := range l.tables[f] {
			if l.tables[f][i].marked.n > 0 {
				return true
			}
		}
	}
	return false
}

// passing tells whether a pass has not seen every prefix yet. Its end does not
// wait for prefixes that change meanwhile, and a table without marks was seen
// to its end, whether or not somebody looked for more there.
func (l *lag) passing(family int) bool {
	for i := range l.tables[family] {
		if t := &l.tables[family][i]; t.passing && t.marked.n > 0 {
			return true
		}
	}
	return false
}

// take takes marked slots from the cursor on, at most so many. They count as
// held from now on, until it is known what was sent for them; had tells of
// which that was so before.
func (t *lagTable) take(most int, slots []uint32, had []bool) ([]uint32, []bool) {
	for range most {
		slot, ok := t.marked.next(t.cursor)
		if t.passing && (!ok || slot >= t.end) {
			t.passing = false
		}
		if !ok {
			if t.marked.n == 0 || t.cursor == 0 {
				t.cursor = 0
				break
			}
			t.cursor = 0
			continue
		}
		t.marked.unset(slot)
		t.cursor = slot + 1
		slots, had = append(slots, slot), append(had, t.held.has(slot))
		t.held.set(slot)
	}
	return slots, had
}

// drainSize is about how many prefixes are drained at once.
const drainSize = 4096

// drainer is what draining needs of memory. It is used again.
type drainer struct {
	packer packer
	v4     round[rib.K4]
	v6     round[rib.K6]
	slots  [][]uint32 // by shard
	had    [][]bool
}

func (x *Exchange) drainer() *drainer {
	if dr, ok := x.drainers.Get().(*drainer); ok {
		return dr
	}
	return &drainer{packer: packer{sets: x.sets}, slots: make([][]uint32, len(x.shards)), had: make([][]bool, len(x.shards))}
}

// drain sends the present state of marked prefixes. The caller holds d.mu,
// which is given up meanwhile: what changes then is marked again.
func (p *Peer) drain() {
	dr := p.x.drainer()
	defer p.x.drainers.Put(dr)
	f := p.out.lag.family(p.out.passes)
	if f == v4 {
		drain(p, dr, &dr.v4, f, (*rib.Shard).Peek4)
	} else {
		drain(p, dr, &dr.v6, f, (*rib.Shard).Peek6)
	}
}

// family chooses what to drain: that of the pass, if any.
func (l *lag) family(passes []pass) int {
	if len(passes) > 0 && passes[0].begun {
		return index(passes[0].family)
	}
	for i := range l.tables[v4] {
		if l.tables[v4][i].marked.n > 0 {
			return v4
		}
	}
	return v6
}

func drain[K rib.Key[K]](p *Peer, dr *drainer, r *round[K], family int, peek func(*rib.Shard, rib.Domain, []uint32, []rib.Change[K]) []rib.Change[K]) {
	d := p.d
	most := max(drainSize/len(p.x.shards), 64)
	for i := range p.x.shards {
		dr.slots[i], dr.had[i] = p.out.lag.tables[family][i].take(most, dr.slots[i][:0], dr.had[i][:0])
	}
	d.mu.Unlock()
	r.reset()
	for i, s := range p.x.shards {
		s.rib.RLock()
		r.changes = peek(s.rib, d.number, dr.slots[i], r.changes)
		s.rib.RUnlock()
		r.ends = append(r.ends, len(r.changes))
	}
	d.mu.Lock()
	if p.out.closed {
		r.giveBack(p.x.sets)
		return
	}
	settle(p, dr, r, family)
	sources := d.known()
	key := p.out.group.groupKey
	d.mu.Unlock()
	n := packPrivate(dr, key, sources, r, familyOf[family], p.x.buffer())
	r.release(p.x.sets)
	d.mu.Lock()
	p.advertised.Add(n)
	p.lend(dr.packer.buf)
	dr.packer.buf = nil
}

// giveBack gives the references of unsorted changes back.
func (r *round[K]) giveBack(sets *rib.Sets) {
	for i := range r.changes {
		if r.changes[i].Attr != 0 {
			sets.Release(r.changes[i].Attr, 1)
		}
	}
	r.reset()
}

// settle decides for each slot what the peer is to be sent, and notes what it
// has then. What is left in the round is to be announced, or to be withdrawn
// when it has no set.
func settle[K rib.Key[K]](p *Peer, dr *drainer, r *round[K], family int) {
	o := p.x.origins.Load()
	left := r.changes[:0]
	at := 0
	for i := range p.x.shards {
		t := &p.out.lag.tables[family][i]
		for j, slot := range dr.slots[i] {
			if at == r.ends[i] || r.changes[at].Slot != slot { // not in use any more
				t.held.unset(slot)
				continue
			}
			c := r.changes[at]
			at++
			switch {
			case o.any() && o.of(p, c.Key.Prefix()) != nil:
				// What is originated wins, and was sent.
				p.x.drop(c.Attr)
			case c.Attr != 0 && p.gets(c.Peer):
				left = append(left, c)
			default:
				p.x.drop(c.Attr)
				t.held.unset(slot)
				if dr.had[i][j] {
					c.Attr, c.Peer, c.Seen = 0, 0, true
					left = append(left, c)
				}
			}
		}
	}
	r.changes = left
}

// gets tells whether a peer is sent the routes of another one. The caller holds
// d.mu. A source that is not known any more has left, and its prefixes are
// marked again.
func (p *Peer) gets(from rib.PeerID) bool {
	s, ok := p.d.sources[from]
	return ok && from != p.id && p.out.group.mayGo(s)
}

func (x *Exchange) drop(attr rib.AttrID) {
	if attr != 0 {
		x.sets.Release(attr, 1)
	}
}

// packPrivate packs what is for one peer alone, and counts the prefixes.
func packPrivate[K rib.Key[K]](dr *drainer, key groupKey, sources map[rib.PeerID]source, r *round[K], f bgp.Family, buf []byte) int64 {
	k := &dr.packer
	k.buf, k.total = buf[:0], 0
	form := key.form(f)
	r.sort()
	for i := range r.runs {
		run := &r.runs[i]
		if run.attr == 0 {
			withdraw(k, form, r.sorted[run.start:run.end], func(*rib.Change[K]) bool { return true })
		} else {
			reflect(k, form, run.attr, sources[run.peer].id, r.sorted[run.start:run.end])
		}
	}
	return k.total
}

// catchUp lets a peer follow its group again that has everything. The caller
// holds d.mu, under which bytes are published and marks are made.
func (p *Peer) catchUp() {
	o := &p.out
	waited := o.lag.waited
	o.lag = nil
	delete(p.d.laggards, p)
	o.at, o.until, o.sent = o.group.tail, nil, o.group.total
	if waited {
		p.d.recheck = true
		p.d.kick()
	}
}
