package rib

// applier applies the changes of one peer to one table.
type applier[K Key[K]] struct {
	s                 *Shard
	t                 *table[K]
	p                 *peer
	r                 *routesOf
	session, customer charge

	releasing AttrID // with so many references to give back
	releases  int
}

func newApplier[K Key[K]](s *Shard, t *table[K], p *peer, r *routesOf) applier[K] {
	a := applier[K]{s: s, t: t, p: p, r: r}
	a.session.begin(p.Session, 1<<16)
	a.customer.begin(p.Customer, 64<<20)
	return a
}

func apply[K Key[K]](s *Shard, t *table[K], p *peer, r *routesOf, ops []Op[K]) (dirty bool) {
	clean := len(t.pending) == 0
	a := newApplier(s, t, p, r)
	var hashes [block]uint64
	for len(ops) > 0 {
		n := min(len(ops), block)
		t.warm(ops[:n], &hashes)
		for i := range ops[:n] {
			if ops[i].Attr == 0 {
				a.withdraw(ops[i].Key, hashes[i])
			} else {
				a.announce(&ops[i], hashes[i])
			}
		}
		s.applied += int64(n)
		ops = ops[n:]
	}
	a.end()
	return clean && len(t.pending) > 0
}

func (a *applier[K]) end() {
	if a.releases > 0 {
		a.s.sets.Release(a.releasing, a.releases)
		a.releases = 0
	}
	a.session.end()
	a.customer.end()
}

// release gives a reference back. Neighbouring routes often share their
// attributes: those are given back at once.
func (a *applier[K]) release(id AttrID) {
	if a.releases > 0 && a.releasing != id {
		a.s.sets.Release(a.releasing, a.releases)
		a.releases = 0
	}
	a.releasing = id
	a.releases++
}

func (a *applier[K]) announce(o *Op[K], hash uint64) {
	k, attr := o.Key, o.Attr
	slot, e := a.t.findHash(k, hash)
	if o.Hint&hintMED != 0 {
		a.t.meds = true
	}
	if e != nil && a.r.slots.has(&a.s.bits, slot) {
		a.replace(slot, e, attr, o.Hint)
		return
	}
	size := a.size(attr)
	if !a.session.take(1) {
		a.release(attr)
		return
	}
	if !a.customer.take(size) {
		a.session.give(1)
		a.release(attr)
		return
	}
	if e == nil {
		if slot, e = a.t.add(k, hash); e == nil {
			a.session.give(1)
			a.customer.give(size)
			a.release(attr)
			return
		}
	}
	a.r.slots.set(&a.s.bits, slot)
	a.r.n++
	a.s.routes++
	a.insert(slot, e, path{attr, a.p.id}, o.Hint)
}

// size is what a route charges the customer.
func (a *applier[K]) size(attr AttrID) int64 {
	if a.customer.q == nil {
		return 0
	}
	return RouteBytes + int64(a.s.sets.Len(attr))
}

func (a *applier[K]) insert(slot uint32, e *entry[K], v path, h Hint) {
	switch {
	case e.peer == 0:
		if a.t.best {
			a.t.touch(slot, e)
		}
		e.first(v, h)
		return
	case !a.t.best:
		before := e.more
		if e.more = a.s.paths.add(before, v); e.more != before && e.more.class() == 0 {
			a.t.list(slot, e.more)
		}
		return
	}
	order := a.order(v, h, e)
	if order < 0 {
		a.t.touch(slot, e)
		other := path{e.attr, e.peer}
		e.first(v, h)
		v = other
	}
	e.more = a.s.paths.add(e.more, v)
	if order == 0 {
		a.choose(slot, e)
	}
}

func (e *entry[K]) first(v path, h Hint) { e.attr, e.peer, e.hint = v.attr, v.peer, h }

// order compares a route to the best one. 0 means that it takes all routes to
// tell which is the best: both are of one tier, and there are MEDs.
func (a *applier[K]) order(v path, h Hint, e *entry[K]) int {
	if order := h.order(e.hint); order != 0 {
		return order
	}
	c, x := a.s.candidate(v), a.s.candidate(path{e.attr, e.peer})
	if order := c.rank.tier(x.rank); order != 0 || a.t.meds {
		return order
	}
	return c.last(&x)
}

func (a *applier[K]) replace(slot uint32, e *entry[K], attr AttrID, h Hint) {
	if a.r.stale != nil {
		a.r.stale.unset(&a.s.bits, slot)
	}
	var at spot
	old := e.attr
	if e.peer != a.p.id {
		if a.t.best {
			at = a.s.paths.find(e.more, a.p.id)
		} else {
			at = a.t.spot(slot, e.more, a.p.id)
		}
		old = at.get().attr
	}
	if old == attr {
		a.release(attr)
		return
	}
	if !a.customer.take(a.size(attr) - a.size(old)) {
		// The old route is not the peer's any more, the new one too much.
		a.remove(slot, e)
		a.release(attr)
		return
	}
	if e.peer == a.p.id {
		a.replaceFirst(slot, e, attr, h)
	} else {
		at.set(path{attr, a.p.id})
		a.replacedOther(slot, e, old, at, h)
	}
	a.release(old)
}

func (a *applier[K]) replaceFirst(slot uint32, e *entry[K], attr AttrID, h Hint) {
	v := path{attr, e.peer}
	if !a.t.best {
		e.first(v, h)
		return
	}
	stays := e.more == 0 || !a.t.meds && a.order(v, h, e) <= 0
	a.t.touch(slot, e)
	e.first(v, h)
	if !stays {
		a.choose(slot, e)
	}
}

func (a *applier[K]) replacedOther(slot uint32, e *entry[K], old AttrID, at spot, h Hint) {
	if !a.t.best {
		return
	}
	v := at.get()
	order := a.order(v, h, e)
	switch {
	case order == 0, order > 0 && a.t.meds && a.s.sets.rank(old).tier(a.s.sets.rank(e.attr)) == 0:
		// The old one may have kept a third one from being chosen, and the
		// new one may.
		a.choose(slot, e)
	case order < 0:
		a.t.touch(slot, e)
		at.set(path{e.attr, e.peer})
		e.first(v, h)
	}
}

func (a *applier[K]) withdraw(k K, hash uint64) {
	slot, e := a.t.findHash(k, hash)
	if e == nil || !a.r.slots.has(&a.s.bits, slot) {
		return
	}
	a.remove(slot, e)
}

// remove removes the peer's route, which is there.
func (a *applier[K]) remove(slot uint32, e *entry[K]) {
	a.r.slots.unset(&a.s.bits, slot)
	if a.r.stale != nil {
		a.r.stale.unset(&a.s.bits, slot)
	}
	a.r.n--
	a.s.routes--
	var old AttrID
	if e.peer == a.p.id {
		old = e.attr
		a.removeFirst(slot, e)
	} else {
		old = a.cutOut(slot, e, a.p.id)
		if a.t.best && a.t.meds && a.s.sets.rank(old).tier(a.s.sets.rank(e.attr)) == 0 {
			a.choose(slot, e)
		}
	}
	a.session.give(1)
	a.customer.give(a.size(old))
	a.release(old)
}

// cutOut removes a peer's path from the chain of a prefix, where it is. Tables
// with best routes have no directories.
func (a *applier[K]) cutOut(slot uint32, e *entry[K], id PeerID) AttrID {
	if !a.t.best {
		at := a.t.spot(slot, e.more, id)
		old := at.get().attr
		a.t.take(slot, e, at)
		return old
	}
	at := a.s.paths.find(e.more, id)
	old := at.get().attr
	e.more = a.s.paths.remove(e.more, at)
	return old
}

func (a *applier[K]) removeFirst(slot uint32, e *entry[K]) {
	if a.t.best {
		a.t.touch(slot, e)
	}
	if e.more == 0 {
		e.first(path{}, 0)
		if !a.t.best {
			a.t.drop(slot, e)
		}
		return
	}
	a.s.scratch = a.s.paths.append(a.s.scratch[:0], e.more)
	v := a.s.scratch[0]
	if a.t.best && len(a.s.scratch) > 1 {
		v = a.s.choose(a.s.scratch)
	}
	a.cutOut(slot, e, v.peer)
	e.first(v, a.hint(v.attr))
}

func (a *applier[K]) hint(attr AttrID) Hint {
	if !a.t.best {
		return 0
	}
	return a.s.sets.rank(attr).Hint()
}

// choose makes the best of all routes the first.
func (a *applier[K]) choose(slot uint32, e *entry[K]) {
	first := path{e.attr, e.peer}
	a.s.scratch = a.s.paths.append(append(a.s.scratch[:0], first), e.more)
	v := a.s.choose(a.s.scratch)
	if v == first {
		return
	}
	a.t.touch(slot, e)
	at := a.s.paths.find(e.more, v.peer)
	at.set(first)
	e.first(v, a.hint(v.attr))
}

func (s *Shard) candidate(v path) candidate {
	return candidate{s.sets.rank(v.attr), s.peers[v.peer], v}
}

func (s *Shard) choose(all []path) path {
	s.candidates = s.candidates[:0]
	for _, v := range all {
		s.candidates = append(s.candidates, s.candidate(v))
	}
	return all[choose(s.candidates)]
}

// touch notes that the best of a prefix is about to change.
func (t *table[K]) touch(slot uint32, e *entry[K]) {
	t.s.changed++
	if e.flags&flagPending != 0 {
		return
	}
	e.flags |= flagPending
	t.pending = append(t.pending, pending{slot, e.attr, e.peer})
	if e.attr != 0 {
		// Or its number could stand for another set by the time of Collect.
		t.s.sets.Retain(e.attr, 1)
	}
}

// charge is one quota during a batch. Far from the limit what is taken is
// summed up and charged at the end: the counter is shared by all shards.
type charge struct {
	q    *Quota
	far  bool
	owed int64
}

func (c *charge) begin(q *Quota, margin int64) {
	c.q = q
	if q != nil {
		limit := q.limit.Load()
		c.far = limit <= 0 || limit-q.used.Load() > margin
	}
}

func (c *charge) take(n int64) bool {
	switch {
	case c.q == nil:
		return true
	case c.far:
		c.owed += n
		return true
	}
	return c.q.take(n)
}

func (c *charge) give(n int64) {
	if c.q != nil {
		c.owed -= n
	}
}

func (c *charge) end() {
	if c.owed != 0 {
		c.q.used.Add(c.owed)
		c.owed = 0
	}
}
