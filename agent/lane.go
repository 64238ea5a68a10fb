package agent

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"github.com/peerage/peerage/api"
)

// lane is the way of a change of weights past everything else. A depool must
// not wait for a packet filter, a BIRD or a disk that is slow, and most plans
// differ from the one before in weights alone: those are written to the kernel
// as soon as the plan arrives, by whoever sees it first, also while a round is
// under way. The round that follows does all the rest: it records the plan,
// reads the kernel back, and reports.
//
// Nothing is decided here that a round would decide otherwise. A plan goes this
// way only when it is judged good by the same rules, when the kernel was seen
// to be equal to the plan before, and when neither an announcement nor what
// serves behind a VIP could depend on it. An agent that is killed before the
// round goes on with the plan before until it has read the store again.
type lane struct {
	mu sync.Mutex // one writer of the kernel's table at a time; guards the fields below
	// rec is a copy of the record as of the last round; nil before the first.
	rec *record
	// held are the plans that the kernel was last made equal to, by pool.
	held map[string]*api.Plan
	// ahead are those of them that no round has accepted yet.
	ahead map[string]*api.Plan
	// touched: something was written, or tried, since a round made the table
	// equal. What a round remembers of it is then not the kernel's any more.
	touched bool
}

// hurry writes what a state wants of weights. It is safe for concurrent use.
func (a *Agent) hurry(ctx context.Context, s *api.State) {
	l := &a.lane
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rec == nil || !l.due(s) {
		return
	}
	v := judge(s, l.rec, a.cfg.Name)
	for _, pool := range slices.Sorted(maps.Keys(v.plans)) {
		next, last := v.plans[pool], l.held[pool]
		if last == nil || next.Generation <= last.Generation || v.refused[pool] != nil || !sameButWeights(last, next) {
			continue
		}
		a.reweigh(ctx, pool, last, next)
	}
}

// due tells cheaply whether a state holds a plan that is newer than what the
// kernel holds: most states do not.
func (l *lane) due(s *api.State) bool {
	for pool, last := range l.held {
		if next := s.Plans[pool]; next != nil && next != last && next.Generation > last.Generation {
			return true
		}
	}
	return false
}

func (a *Agent) reweigh(ctx context.Context, pool string, last, next *api.Plan) {
	l := &a.lane
	ctx, cancel := a.bounded(ctx)
	defer cancel()
	ops, done, err := a.cfg.Host.Table.Reweigh(ctx, last.Tables(), next.Tables())
	for _, op := range ops {
		a.log.Debug("ipvs", "op", op)
	}
	l.touched = l.touched || len(ops) > 0 || err != nil
	switch {
	case err != nil:
		a.log.Warn("weights are left to a whole round", "pool", pool, "error", err)
		delete(l.held, pool) // nobody knows what the kernel holds
	case done:
		l.held[pool], l.ahead[pool] = next, next
	}
}

// sameButWeights tells whether two plans differ in nothing that a host depends
// on but weights, and every VIP goes on to have a real server with one.
// Destinations themselves are compared by Table.Reweigh.
func sameButWeights(last, next *api.Plan) bool {
	if !slices.Equal(last.VIPs, next.VIPs) || last.Port != next.Port ||
		!slices.Equal(last.Announcements, next.Announcements) {
		return false
	}
	for _, t := range next.Tables() {
		if !slices.ContainsFunc(t.Destinations, func(d api.TableDestination) bool { return d.Weight > 0 }) {
			return false
		}
	}
	return true
}

// overtake makes the round go on with the plans that the kernel was given since
// the round began: it must not write the old ones back. It tells whether there
// were any. The lane is held.
func (r *round) overtake() bool {
	l := &r.lane
	changed := false
	for pool, p := range l.ahead {
		mine := r.v.plans[pool]
		if mine != nil && p.Generation > mine.Generation && !r.v.acceptRestored {
			r.v.plans[pool], r.rec.Plans[pool], r.arrived[pool] = p, p, r.now
			changed = true
		}
	}
	clear(l.ahead)
	if changed {
		r.c = claim(r.state, r.v, r.tables)
		r.save()
	}
	return changed
}

// hold tells the lane what the kernel was read to hold, before anybody can
// write past the round again. The lane is held.
func (r *round) hold() {
	l := &r.lane
	l.held, l.ahead = map[string]*api.Plan{}, map[string]*api.Plan{}
	for pool, p := range r.v.plans {
		if r.errs[partTable] == nil && r.equal(p) {
			l.held[pool] = p
		}
	}
}

// pass opens the lane to what the round has accepted.
func (r *round) pass() {
	l := &r.lane
	l.mu.Lock()
	defer l.mu.Unlock()
	rec := *r.rec
	rec.Plans = maps.Clone(r.rec.Plans)
	rec.WarmVIPs = slices.Clone[[]netip.Addr](r.rec.WarmVIPs)
	l.rec = &rec
}

// keepAhead records what went past the last round. Nothing else runs any more.
func (a *Agent) keepAhead() {
	changed := false
	for pool, p := range a.lane.ahead {
		if last := a.rec.Plans[pool]; last != nil && p.Generation > last.Generation {
			a.rec.Plans[pool], changed = p, true
		}
	}
	if !changed {
		return
	}
	if _, err := a.rec.save(a.recordPath(), a.saved); err != nil {
		a.log.Error("the record is older than the kernel", "error", err)
	}
}
