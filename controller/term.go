package controller

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/store"
	"github.com/peerage/peerage/controller/plan"
)

var (
	errUnread = errors.New("the store was not read yet")
	errBehind = errors.New("the local copy of the store is older than the leadership")
)

const (
	// reviewEvery is how often a leader plans without being told of a change.
	// Nothing should come of it: it is a net under the notifications.
	reviewEvery = 10 * time.Second
	// longestRest bounds the rest that a round which wrote is followed by. It
	// rests for as long as it took: the leader takes half of what the store can do
	// at most, however much a site is in turmoil, and the first change after a
	// quiet moment waits for nothing.
	longestRest = 100 * time.Millisecond
	// writers bounds the plans that are written at the same time.
	writers = 8
	// resignTimeout bounds the good-bye of a leader that is stopped.
	resignTimeout = 2 * time.Second
)

// term is one leadership. It is used by one goroutine; its writers own one
// track each while a round lasts.
type term struct {
	*Controller
	leadership *store.Leadership
	tracks     map[string]*track // by pool
	idle       string            // why nothing is planned, to say it once
}

func newTerm(c *Controller, l *store.Leadership) *term {
	return &term{
		Controller: c, leadership: l,
		tracks: map[string]*track{},
	}
}

// lead plans until the leadership is lost, or ctx ends, which resigns.
func (t *term) lead(parent context.Context) {
	ctx, stop := context.WithCancelCause(parent)
	var watcher sync.WaitGroup
	defer watcher.Wait()
	defer stop(nil)
	// A write under way ends with the leadership: the fence would refuse it,
	// but there is no reason to let it get that far.
	watcher.Go(func() {
		select {
		case <-t.leadership.Lost():
			stop(store.ErrNotLeader)
		case <-ctx.Done():
		}
	})
	t.cfg.Metrics.enter(stateLeading)
	t.log.Info("elected")
	t.trail.add(api.Event{By: t.cfg.Live.Name, Verb: "elected", Object: "Controller/" + t.cfg.Live.Name, Message: "leads from now on"})
	t.loop(ctx)
	if parent.Err() == nil {
		t.log.Warn("leadership lost", "cause", context.Cause(ctx))
		return
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(parent), resignTimeout)
	defer cancel()
	if err := t.leadership.Resign(bounded); err != nil {
		t.log.Warn("resignation failed; others lead when the lease ends", "error", err)
		return
	}
	t.log.Info("resigned")
}

// loop plans on every change of the mirror. Changes that arrive during a round
// make one more round together.
func (t *term) loop(ctx context.Context) {
	changed, cancel := t.cfg.Mirror.Subscribe()
	defer cancel()
	var pause backoff
	for ctx.Err() == nil {
		wake, err := t.round(ctx)
		switch {
		case errors.Is(err, store.ErrNotLeader):
			return
		case err != nil && ctx.Err() == nil:
			t.log.Error("plan not written", "error", err)
			pause.wait(ctx) // not cut short by changes: the store is in trouble
			continue
		}
		pause.reset()
		timer := time.NewTimer(wake)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// round plans everything once, and writes what changed. It returns when to
// look again if nothing happens before.
func (t *term) round(ctx context.Context) (wake time.Duration, err error) {
	st := t.cfg.Mirror.State()
	if err := t.ready(st); err != nil {
		t.rest(err)
		return reviewEvery, nil
	}
	t.rest(nil)
	for pool, p := range st.Plans {
		if t.tracks[pool] == nil { // what a new leader finds, it goes on with
			t.tracks[pool] = new(trackOf(p, p))
		}
	}
	plans := make(map[string]*api.Plan, len(t.tracks))
	for pool, track := range t.tracks {
		if why := track.look(st.Plans[pool]); why != "" {
			t.log.Warn("plan repaired", "pool", pool, "why", why)
			t.trail.add(t.event(plan.Change{Verb: "repair", Object: "Pool/" + pool, Message: why}))
		}
		if track.plan != nil {
			plans[pool] = track.plan
		}
	}
	start := time.Now()
	result := plan.Compute(plan.Inputs{State: st, Plans: plans, Now: start})
	t.cfg.Metrics.compute.Observe(time.Since(start).Seconds())
	wake = reviewEvery
	if !result.Wake.IsZero() {
		wake = min(wake, max(time.Until(result.Wake), time.Millisecond))
	}
	if err := t.write(ctx, result); err != nil {
		return wake, err
	}
	next, err := t.sweep(ctx, st, start)
	if !next.IsZero() {
		wake = min(wake, max(time.Until(next), time.Millisecond))
	}
	return wake, err
}

// ready tells why a state cannot be planned from. Seeing its own leadership in
// the mirror tells a new leader that it has seen all that its predecessor wrote.
func (t *term) ready(st *api.State) error {
	if err := believable(st); err != nil {
		return err
	}
	if st.Leader != t.cfg.Live.Name || st.LeaderRevision != t.leadership.Revision() {
		return errBehind
	}
	return nil
}

// rest says once why nothing is planned, and once that planning goes on.
func (t *term) rest(why error) {
	reason := ""
	if why != nil {
		reason = why.Error()
	}
	if reason == t.idle {
		return
	}
	behind := errors.Is(why, errBehind)
	switch was := t.idle; {
	case why != nil && !behind:
		t.cfg.Metrics.enter(stateHolding)
		t.log.Warn("planning stopped, the last plans stay", "error", why)
	case why == nil && was != "" && was != errBehind.Error():
		t.cfg.Metrics.enter(stateLeading)
		t.log.Info("planning again")
		t.trail.add(t.event(plan.Change{Verb: "store", Object: "Controller/" + t.cfg.Live.Name, Reason: was, Message: "plans again"}))
	}
	t.idle = reason
}

// write brings the results of a round into the store, pools side by side.
func (t *term) write(ctx context.Context, result plan.Result) error {
	var g errgroup.Group // without a context: one pool's failure is not another's
	g.SetLimit(writers)
	wrote, start := false, time.Now()
	for _, r := range result.Pools {
		if t.tracks[r.Pool] == nil {
			t.tracks[r.Pool] = &track{}
		}
		track := t.tracks[r.Pool]
		t.blocked(track, r)
		switch {
		case r.Blocked != "" || !r.Write && !r.Delete && !track.unsure:
			continue
		case r.Delete:
			g.Go(func() error { return t.remove(ctx, track, r) })
		default:
			g.Go(func() error { return t.put(ctx, track, r) })
		}
		wrote = true
	}
	err := g.Wait()
	if wrote && err == nil {
		sleep(ctx, min(time.Since(start), longestRest))
	}
	return err
}

func (t *term) put(ctx context.Context, track *track, r plan.PoolResult) error {
	track.send(r.Plan)
	if err := t.leadership.PutPlan(ctx, r.Plan); err != nil {
		t.cfg.Metrics.writeErrors.Inc()
		return fmt.Errorf("plan of pool %s: %w", r.Pool, err)
	}
	track.unsure = false
	t.cfg.Metrics.writes.Inc()
	t.log.Info("plan written", "pool", r.Pool, "generation", r.Plan.Generation, "held", r.Plan.Held != nil)
	t.trail.changes(t, track.told, r.Plan)
	track.told = r.Plan
	return nil
}

func (t *term) remove(ctx context.Context, track *track, r plan.PoolResult) error {
	if err := t.leadership.DeletePlan(ctx, r.Pool); err != nil {
		t.cfg.Metrics.writeErrors.Inc()
		return fmt.Errorf("plan of pool %s: %w", r.Pool, err)
	}
	*track = trackOf(nil, track.seen)
	t.log.Info("plan removed", "pool", r.Pool)
	t.trail.add(t.event(plan.Change{Verb: "plan", Object: "Pool/" + r.Pool, Message: "the pool was removed, its plan with it"}))
	return nil
}

// blocked says once that a plan is left alone entirely.
func (t *term) blocked(track *track, r plan.PoolResult) {
	if track.blocked == r.Blocked {
		return
	}
	track.blocked = r.Blocked
	c := plan.Change{Verb: "hold", Object: "Pool/" + r.Pool, Reason: r.Blocked, Message: "nothing is planned"}
	if r.Blocked == "" {
		c = plan.Change{Verb: "release", Object: "Pool/" + r.Pool, Message: "planned again"}
	}
	t.log.Warn("pool blocked", "pool", r.Pool, "why", r.Blocked)
	t.trail.add(t.event(c))
}

func (t *term) event(c plan.Change) api.Event {
	return api.Event{By: t.cfg.Live.Name, Verb: c.Verb, Object: c.Object, Reason: c.Reason, Message: c.Message}
}
