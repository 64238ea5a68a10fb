package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/peerage/peerage/agent/bird"
	"github.com/peerage/peerage/api"
)

// kind is why a round runs.
type kind string

const (
	roundFull   kind = "full"   // the timer: look at everything
	roundChange kind = "change" // something else may be wanted
	roundWake   kind = "wake"   // time has come for what waited, or failed
)

// round is one pass over the host.
type round struct {
	*Agent
	now  time.Time
	kind kind
	// full: look at everything, whatever is remembered.
	full  bool
	state *api.State
	v     verdict
	c     claims
	// drifted counts what a full round found different by itself, by part.
	drifted map[part]int
	// wait is when the next round is needed for the sake of time; 0: none.
	wait time.Duration
	// idle says that nothing is known and nothing was done.
	idle bool
}

// round runs the steps in the order that is the safety property: withdraw
// first, announce last. It returns when time alone makes another one
// necessary; 0: never.
func (a *Agent) round(ctx context.Context, why kind) time.Duration {
	// A round that was begun is finished: a host between two states is worth
	// a moment at the stop.
	ctx = context.WithoutCancel(ctx)
	r := &round{
		Agent: a, now: time.Now(), kind: why, state: a.cfg.Source.State(),
		full:    why == roundFull || why == roundWake && len(a.errs) > 0,
		drifted: map[part]int{},
	}
	a.last = inputsOf(r.state, a.cfg.Name)
	a.hurry(ctx, r.state)
	r.run(ctx)
	r.retryLater()
	a.setReady(r.err())
	a.cfg.Metrics.round(r, time.Since(r.now))
	return r.wait
}

// retryLater sees to it that what failed is tried again soon, and less and less
// often: BIRD may just be starting.
func (r *round) retryLater() {
	if len(r.errs) == 0 {
		r.retry = 0
		return
	}
	if r.full {
		r.retry = min(max(2*r.retry, firstRetry), r.cfg.FullEvery)
	}
	r.waitFor(max(r.retry, firstRetry))
}

func (r *round) run(ctx context.Context) {
	r.v = judge(r.state, r.rec, r.cfg.Name)
	if len(r.v.plans) == 0 && r.v.lb == nil {
		r.idle = true // nothing is known: nothing is touched
		return
	}
	r.accept()
	if !r.look(ctx) {
		r.report()
		return
	}
	r.withdraw(ctx)
	r.prepare(ctx)
	r.settle()
	r.announce(ctx)
	r.report()
	r.pass()
}

// accept makes the verdict the last good state, on disk first: an agent that
// is killed from here on finishes what was accepted.
func (r *round) accept() {
	for pool, p := range r.v.plans {
		if last := r.rec.Plans[pool]; last == nil || last.Generation != p.Generation {
			r.arrived[pool] = r.now
			r.log.Info("plan accepted", "pool", pool, "generation", p.Generation)
		}
	}
	for pool, reason := range r.v.leaving {
		r.log.Info("leaving pool", "pool", pool, "reason", reason)
	}
	r.rec.Plans = maps.Clone(r.v.plans)
	r.rec.LoadBalancer, r.rec.ConnSync = r.v.lb, r.v.connSync
	if r.v.acceptRestored {
		r.rec.Accepted = r.state.StoreIntent.At
	}
	r.save()
	if r.cfg.Prober != nil {
		r.cfg.Prober.Set(targets(r.v.plans, r.v.lb), r.observeEvery())
	}
}

func (r *round) save() {
	var err error
	r.saved, err = r.rec.save(r.recordPath(), r.saved)
	r.failed(partRecord, err)
}

// bounded is the context of one step.
func (a *Agent) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, a.cfg.StepTimeout)
}

// look reads the host. Without its table nothing can be decided: the round
// ends there, and nothing changes.
func (r *round) look(ctx context.Context) bool {
	ctx, cancel := r.bounded(ctx)
	defer cancel()
	if r.full || !r.tablesKnown {
		tables, err := r.cfg.Host.Table.Dump(ctx)
		if err != nil {
			r.failed(partTable, fmt.Errorf("ipvs: reading the table: %w", err))
			return false
		}
		r.setTables(tables)
	}
	if r.full || !r.speechKnown {
		r.hear(ctx)
	}
	r.c = claim(r.state, r.v, r.tables)
	return r.awake || r.wakeUp(ctx)
}

// wakeUp finds out, once, whether this life of the kernel is a new one.
func (r *round) wakeUp(ctx context.Context) bool {
	found := len(r.tables) > 0
	if !found {
		var err error
		if found, err = r.cfg.Host.Table.Present(ctx, slices.Collect(maps.Keys(r.c.wanted))); err != nil {
			r.failed(partTable, fmt.Errorf("ipvs: reading the table: %w", err))
			return false
		}
	}
	r.rec.wakeUp(r.cfg.HostID, found)
	r.awake = true
	if !r.rec.Warm && len(r.rec.WarmVIPs) == 0 {
		r.log.Info("the connection table is empty: it has to warm up before a VIP is announced that a neighbour announces")
	}
	r.save()
	return true
}

// hear reads BIRD. When it does not run, nothing is announced; when it cannot
// be read, what was read before stands.
func (r *round) hear(ctx context.Context) {
	st, err := r.cfg.Host.Speaker.Read(ctx)
	switch {
	case err == nil:
		r.speech, r.speechKnown = st, true
	case errors.Is(err, bird.ErrNotRunning):
		r.speech, r.speechKnown = bird.State{}, true
	}
	if err != nil { // a success of reading does not mend a failure of setting
		r.failed(partSpeaker, err)
	}
}

// failed notes what is wrong with a part; nil: nothing any more.
func (a *Agent) failed(p part, err error) {
	was := a.errs[p]
	switch {
	case err == nil:
		delete(a.errs, p)
		if was != nil {
			a.log.Info("recovered", "part", p)
		}
		return
	case was == nil || was.Error() != err.Error():
		a.log.Error("the host is not as planned", "part", p, "error", err)
	}
	a.errs[p] = err
}

// routes are what BIRD should hold, by the gates; only of limits it to what it
// holds already.
func (r *round) routes(held bool) map[netip.Addr]uint32 {
	want := map[netip.Addr]uint32{}
	closed := map[netip.Addr]bool{}
	claimed := map[netip.Addr]bool{}
	for _, pool := range slices.Sorted(maps.Keys(r.v.plans)) {
		p := r.v.plans[pool]
		for _, vip := range p.VIPs {
			claimed[vip] = true
			open, med := r.gate(p, vip)
			if !open {
				closed[vip] = true
				continue
			}
			// Of two pools on one VIP the more modest wins.
			want[vip] = max(want[vip], med)
		}
	}
	for vip := range closed {
		delete(want, vip)
	}
	for vip, med := range r.speech.Routes {
		if !claimed[vip] && (!r.v.mayRemove || r.c.vips[vip] > 0) {
			want[vip] = med // nobody ordered it to go
		}
	}
	if held {
		for vip := range want {
			found, ok := r.speech.Routes[vip]
			if !ok {
				delete(want, vip)
				continue
			}
			want[vip] = found
		}
	}
	return want
}

// gate asks the announce gate about one VIP of a pool.
func (r *round) gate(p *api.Plan, vip netip.Addr) (open bool, med uint32) {
	others := othersAnnounce(r.state, r.cfg.Name, vip)
	found, isFound := r.speech.Routes[vip]
	in := gateInput{
		Silent: true, Found: isFound,
		Prepared: r.prepared(),
		Equal:    r.equal(p),
		Serving:  r.facts(p).serving[vip],
		Warm:     r.rec.warm(vip, others, r.v.believed == nil),
		Sick:     r.sick[p.Pool] >= r.cfg.SickRounds,
		Others:   others, Believed: r.v.believed == nil,
	}
	med = found
	for _, an := range p.Announcements {
		if an.LB == r.cfg.Name && an.VIP == vip {
			in.Silent, in.Wanted, med = false, an.Announce, an.MED
		}
	}
	open, reason := gate(in)
	r.note(p.Pool, vip, reason)
	return open, med
}

func (r *round) note(pool string, vip netip.Addr, reason gateReason) {
	if r.reasons[pool] == nil {
		r.reasons[pool] = map[netip.Addr]gateReason{}
	}
	r.reasons[pool][vip] = reason
}

func (r *round) prepared() bool {
	return r.errs[partSysctls] == nil && r.errs[partAddresses] == nil && r.errs[partConnSync] == nil
}

// err joins what is wrong with the host and with the pools.
func (r *round) err() error {
	switch {
	case r.idle && r.v.believed == nil:
		return notConfigured(r.cfg.Name)
	case r.idle:
		return fmt.Errorf("there is no plan yet, from the store or from the disk: %w", r.v.believed)
	}
	var all []error
	for _, p := range parts() {
		all = append(all, r.errs[p])
	}
	for _, pool := range slices.Sorted(maps.Keys(r.v.refused)) {
		all = append(all, r.v.refused[pool])
	}
	return errors.Join(all...)
}

func notConfigured(name string) error {
	return fmt.Errorf("LoadBalancer/%s is not configured: apply it, or correct --name", name)
}
