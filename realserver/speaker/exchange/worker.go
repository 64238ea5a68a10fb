package exchange

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peerage/peerage/realserver/bgp"
	"github.com/peerage/peerage/realserver/rib"
)

const (
	// window is how long changes are gathered before they are packed. While
	// more than a burst of prefixes comes in one, they are gathered for longer,
	// up to longWindow, and so that packing takes no more than a part of the
	// time: a table that is being loaded is not sent three times over.
	window     = 5 * time.Millisecond
	burst      = 512
	longWindow = 50 * time.Millisecond
	packShare  = 4
	// roundSize bounds the changes that are packed together.
	roundSize = 32 << 10
	// roundsAtOnce bounds them for one domain, before others have their turn.
	roundsAtOnce = 8
	// recheckEvery is how often slots are looked at again that could not be
	// freed, when nothing tells that they can be.
	recheckEvery = time.Second
)

// The families, as indices of what is kept for each.
const (
	v4 = iota
	v6
	families
)

var familyOf = [families]bgp.Family{bgp.IPv4Unicast, bgp.IPv6Unicast}

// worker collects the changes of its domains and packs them.
type worker struct {
	x    *Exchange
	wake chan struct{} // one slot: queued has grown

	mu     sync.Mutex // guards the field below
	queued []*domain

	packer packer
	v4     round[rib.K4]
	v6     round[rib.K6]
	groups []*group
	// gone are slots of prefixes without routes that somebody who lags behind
	// still has to be told of.
	gone map[*domain]*gone

	packed, messages, bytes atomic.Int64
}

// gone are slots by family and shard: the latest, and those that could not be
// freed.
type gone struct {
	fresh, kept [families][][]uint32
	checked     time.Time
}

func newWorker(x *Exchange) *worker {
	return &worker{x: x, wake: make(chan struct{}, 1), packer: packer{sets: x.sets}, gone: map[*domain]*gone{}}
}

func (w *worker) queue(d *domain) {
	w.mu.Lock()
	w.queued = append(w.queued, d)
	w.mu.Unlock()
	signal(w.wake)
}

func (w *worker) run(ctx context.Context) {
	timer := time.NewTimer(window)
	defer timer.Stop()
	var stalled []*domain
	var took time.Duration // packing, the last time
	for {
		if len(stalled) == 0 {
			select {
			case <-ctx.Done():
				return
			case <-w.wake:
			}
		}
		for start := time.Now(); ; {
			before := w.x.handled()
			timer.Reset(window)
			select {
			case <-ctx.Done():
				return
			case <-timer.C:
			}
			if since := time.Since(start); w.x.handled()-before < burst || since > longWindow && since > packShare*took {
				break
			}
		}
		start := time.Now()
		w.mu.Lock()
		queued := w.queued
		w.queued = nil
		w.mu.Unlock()
		for _, d := range queued {
			d.queued.Store(false)
		}
		queued = append(queued, stalled...)
		stalled = stalled[:0]
		for _, d := range queued {
			if !w.process(ctx, d) {
				stalled = append(stalled, d)
			}
		}
		took = time.Since(start)
	}
}

// handled counts the prefixes that the shards have gone through.
func (x *Exchange) handled() (n int64) {
	for _, s := range x.shards {
		n += s.handled.Load()
	}
	return n
}

// process packs the changes of a domain. It fails when there are more: because
// nobody would read them now, or because others must have their turn.
func (w *worker) process(ctx context.Context, d *domain) bool {
	if d.retired {
		return true
	}
	departed := d.takeDeparted()
	for range roundsAtOnce {
		if ctx.Err() != nil {
			return true
		}
		if d.busy(time.Now()) {
			break
		}
		if !w.round(d) {
			d.forget(departed)
			return true
		}
	}
	d.mu.Lock()
	d.departed = append(d.departed, departed...)
	d.mu.Unlock()
	return false
}

// changed is what a round has changed, for those who lag behind.
type changed struct {
	slots [families][][]uint32 // by shard
	bound [families][]uint32   // of slots, by shard
	// overridden are prefixes that somebody may have an originated route for.
	overridden []override
}

// round packs some changes; it tells whether there are more.
func (w *worker) round(d *domain) (more bool) {
	var c changed
	w.v4.reset()
	w.v6.reset()
	g := w.gone[d]
	if g == nil {
		g = new(gone)
		for f := range families {
			g.fresh[f] = make([][]uint32, len(w.x.shards))
			g.kept[f] = make([][]uint32, len(w.x.shards))
		}
	}
	most := max(roundSize/len(w.x.shards), 1)
	for i, s := range w.x.shards {
		s.rib.Lock()
		var more4, more6 bool
		w.v4.changes, more4 = s.rib.Collect4(d.number, w.v4.changes, most)
		w.v6.changes, more6 = s.rib.Collect6(d.number, w.v6.changes, most)
		c.bound[v4] = append(c.bound[v4], s.rib.Slots4(d.number))
		c.bound[v6] = append(c.bound[v6], s.rib.Slots6(d.number))
		s.rib.Unlock()
		more = more || more4 || more6
		g.fresh[v4][i] = note(&w.v4, &c, v4)
		g.fresh[v6][i] = note(&w.v6, &c, v6)
	}
	if len(w.v4.changes)+len(w.v6.changes) > 0 {
		w.send(d, &c)
	}
	w.free(d, g)
	if !more {
		w.v4.shrink()
		w.v6.shrink()
	}
	return more
}

// note lists the slots of one shard's changes, and those that are gone.
func note[K rib.Key[K]](r *round[K], c *changed, family int) (gone []uint32) {
	start := 0
	if n := len(r.ends); n > 0 {
		start = r.ends[n-1]
	}
	r.ends = append(r.ends, len(r.changes))
	slots := make([]uint32, 0, len(r.changes)-start)
	for i := start; i < len(r.changes); i++ {
		slots = append(slots, r.changes[i].Slot)
		if r.changes[i].Gone {
			gone = append(gone, r.changes[i].Slot)
		}
	}
	c.slots[family] = append(c.slots[family], slots)
	return gone
}

// send packs the round for each group, and publishes it.
func (w *worker) send(d *domain, c *changed) {
	w.v4.sort()
	w.v6.sort()
	o := w.override(c)
	var sources map[rib.PeerID]source
	w.groups, sources = d.audience(w.groups[:0])
	for _, g := range w.groups {
		var segments []*segment
		if len(w.v4.changes) > 0 && g.families.Has(bgp.IPv4Unicast) {
			segments = pack(&w.packer, g, sources, &w.v4, bgp.IPv4Unicast)
		}
		if len(w.v6.changes) > 0 && g.families.Has(bgp.IPv6Unicast) {
			segments = append(segments, pack(&w.packer, g, sources, &w.v6, bgp.IPv6Unicast)...)
		}
		d.mu.Lock()
		// Who originates since hands its routes to each peer under this lock:
		// what was sent already is overridden by what is published now.
		if w.x.origins.Load() != o {
			o = w.override(c)
		}
		wake := d.publish(g, segments, c)
		d.mu.Unlock()
		for _, p := range wake {
			p.config.Wake()
		}
	}
	clear(w.groups)
	w.v4.release(w.x.sets)
	w.v6.release(w.x.sets)
	w.packed.Store(w.packer.packed)
	w.messages.Store(w.packer.messages)
	w.bytes.Store(w.packer.bytes)
}

// override notes which changes are of prefixes that are originated to somebody.
func (w *worker) override(c *changed) *origins {
	o := w.x.origins.Load()
	c.overridden = nil
	if o.any() {
		c.overridden = overrides(o, &w.v6, overrides(o, &w.v4, nil))
	}
	return o
}

// free frees the slots of prefixes that nobody has to be told of any more.
func (w *worker) free(d *domain, g *gone) {
	now := time.Now()
	recheck := d.takeRecheck() || now.Sub(g.checked) > recheckEvery
	if recheck {
		g.checked = now
	}
	left := 0
	for f := range families {
		for i, s := range w.x.shards {
			slots := g.fresh[f][i]
			if recheck {
				slots = append(slots, g.kept[f][i]...)
				g.kept[f][i] = nil
			}
			if len(slots) > 0 {
				free, kept := d.unneeded(f, i, slots)
				g.kept[f][i] = append(g.kept[f][i], kept...)
				s.free(d.number, f, free)
			}
			g.fresh[f][i] = nil
			left += len(g.kept[f][i])
		}
	}
	if left > 0 {
		w.gone[d] = g
	} else {
		delete(w.gone, d)
	}
}

func (s *shard) free(d rib.Domain, family int, slots []uint32) {
	s.rib.Lock()
	defer s.rib.Unlock()
	if family == v4 {
		s.rib.Free4(d, slots)
	} else {
		s.rib.Free6(d, slots)
	}
}
