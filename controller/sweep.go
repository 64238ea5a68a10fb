package controller

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/store"
	"github.com/peerage/peerage/controller/plan"
)

// maxSweep bounds the routes that one round removes: a transaction is bounded.
const maxSweep = 500

// sweep removes the announced routes that have ended, and returns when the
// next one ends; zero: none does. Real servers withdraw a route by themselves
// when it ends, so that nobody waits for this. It needs no fence: a route that
// has ended is to go whoever removes it, and one that was announced again
// meanwhile is seen by the transaction.
func (t *term) sweep(ctx context.Context, st *api.State, now time.Time) (next time.Time, err error) {
	var ended []string
	for id, r := range st.Routes {
		switch {
		case r.Until.IsZero():
		case !r.Active(now):
			ended = append(ended, id)
		case next.IsZero() || r.Until.Before(next):
			next = r.Until
		}
	}
	if len(ended) == 0 {
		return next, nil
	}
	slices.Sort(ended)
	if len(ended) > maxSweep {
		ended, next = ended[:maxSweep], now // the rest is for the next round
	}
	var gone []*api.RouteIntent
	_, err = t.cfg.Store.Update(ctx, func(tx *store.Tx) error {
		gone = gone[:0] // of an attempt that was overtaken
		for _, id := range ended {
			if r := tx.State().Routes[id]; r != nil && !r.Active(now) {
				tx.DeleteRoute(id)
				gone = append(gone, r)
			}
		}
		return nil
	})
	if err != nil {
		return now, fmt.Errorf("%d announced routes that have ended: %w", len(ended), err)
	}
	for _, r := range gone[:min(len(gone), maxTold)] {
		t.trail.add(t.event(plan.Change{Verb: "withdraw", Object: "Route/" + r.Prefix.String(), Reason: r.Reason,
			Message: fmt.Sprintf("ended by itself: to %v, announced by %s", r.Target, r.By)}))
	}
	if more := len(gone) - maxTold; more > 0 {
		t.trail.add(t.event(plan.Change{Verb: "withdraw", Object: "Route/" + gone[maxTold].Prefix.String(), Message: fmt.Sprintf("and %d more routes ended by themselves", more)}))
	}
	if len(gone) > 0 {
		t.log.Info("announced routes ended", "routes", len(gone))
	}
	return next, nil
}
