package realserver

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/peerage/peerage/api"
)

// idleInterval is how often an agent without services looks again.
const idleInterval = time.Second

// examine checks every service at its interval, and asks the speaker for its
// counts, until ctx ends.
func (a *Agent) examine(ctx context.Context) {
	next := map[string]time.Time{}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		d := a.current()
		if d == nil {
			timer.Reset(50 * time.Millisecond) // the first round is under way
			continue
		}
		now := time.Now()
		wait := idleInterval
		var due []Service
		for _, s := range d.speaker.Services {
			every := time.Duration(d.checks[s.Pool].Interval)
			if !next[s.Pool].After(now) {
				due = append(due, s)
				next[s.Pool] = now.Add(every)
			}
			wait = min(wait, next[s.Pool].Sub(now))
		}
		if len(due) > 0 {
			a.examineAll(ctx, d, due)
		}
		timer.Reset(max(0, wait-time.Since(now)))
	}
}

// examineAll checks services side by side: there are as many as pools.
func (a *Agent) examineAll(ctx context.Context, d *desired, due []Service) {
	results := make([]error, len(due))
	var status SpeakerStatus
	var silent error
	var wg sync.WaitGroup
	for i, s := range due {
		wg.Go(func() { results[i] = check(ctx, a.cfg.Check, s, d.speaker.Own, d.checks[s.Pool]) })
	}
	wg.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, statusTimeout)
		defer cancel()
		status, silent = a.cfg.Host.Speaker.Status(ctx)
	})
	wg.Wait()
	if ctx.Err() != nil {
		return // stopped in the middle: no news about the speaker
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.engineSays(status, silent)
	for i, s := range due {
		a.judge(s.Pool, results[i], d.checks[s.Pool])
	}
}

// engineSays takes the speaker's own word. A speaker that accepts sessions and
// does not tell its counts is healthy with old counts: a control socket is not
// worth a customer's session.
func (a *Agent) engineSays(status SpeakerStatus, silent error) {
	if reason(silent) != reason(a.silent) && silent != nil {
		a.log.Warn("speaker does not tell its sessions", "error", silent)
	}
	a.silent = silent
	if silent != nil {
		return
	}
	if a.engine != status.Engine {
		a.engine = status.Engine
		notify(a.wake)
	}
	for pool, h := range a.health {
		h.SessionCount = status.Pools[pool]
		a.cfg.Metrics.sessions(pool, h.SessionCount)
	}
}

// judge takes one check of a pool.
func (a *Agent) judge(pool string, err error, hc api.HealthCheck) {
	h := a.health[pool]
	if h == nil {
		return // forgotten meanwhile
	}
	wasKnown := h.known
	if !h.judge(err, hc, time.Now()) {
		return
	}
	a.cfg.Metrics.healthy(pool, h.ok)
	switch {
	case !h.ok:
		a.log.Warn("speaker is unhealthy", "pool", pool, "reason", h.reason)
	case wasKnown:
		a.log.Info("speaker is healthy", "pool", pool)
	}
	notify(a.wake)
}

// observation is what is known now; nil before every pool was checked once:
// half an observation would look like a speaker that vanished.
func (a *Agent) observation(now time.Time) *api.ServerObservation {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.now == nil {
		return nil
	}
	o := &api.ServerObservation{Schema: api.Schema, Server: a.cfg.Name, At: now.UTC(), Pools: map[string]api.SpeakerHealth{}}
	for pool, h := range a.health {
		if !h.known {
			return nil
		}
		o.Pools[pool] = api.SpeakerHealth{
			OK: h.ok, Since: h.since.UTC(), Reason: errorText(h.reason, a.silent, h.ok), Engine: a.engine,
			Sessions: h.Sessions, Established: h.Established, Generation: h.generation,
		}
	}
	return o
}

// errorText says what is wrong, also with a healthy speaker that is silent.
func errorText(reason string, silent error, ok bool) string {
	if reason == "" && silent != nil && ok {
		return fmt.Sprintf("session counts are old: %v", silent)
	}
	return reason
}
