package controller

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/store"
	"github.com/peerage/peerage/controller/plan"
)

const (
	// trailSize bounds the events that wait to be written.
	trailSize = 512
	// maxTold bounds the events of one plan: the trail in the store is bounded,
	// and one bad minute must not push a month out of it.
	maxTold = 20
)

// trail writes events beside the planning, which does not wait for them.
type trail struct {
	store   *store.Store
	log     hclog.Logger
	metrics *Metrics
	queue   chan api.Event
}

func newTrail(s *store.Store, log hclog.Logger, m *Metrics) *trail {
	return &trail{s, log, m, make(chan api.Event, trailSize)}
}

// add never blocks; an event that finds no room is counted and lost.
func (t *trail) add(e api.Event) {
	e.At = time.Time{}
	e = store.Stamp(e)
	select {
	case t.queue <- e:
	default:
		t.metrics.eventsLost.Inc()
	}
}

// changes adds what differs between two plans.
func (t *trail) changes(term *term, before, after *api.Plan) {
	cs := plan.Changes(before, after)
	for _, c := range cs[:min(len(cs), maxTold)] {
		t.add(term.event(c))
	}
	if more := len(cs) - maxTold; more > 0 {
		t.add(term.event(plan.Change{Verb: "plan", Object: "Pool/" + after.Pool, Message: fmt.Sprintf("and %d more changes", more)}))
	}
}

// run writes events until ctx ends. One that the store does not take is
// tried again while there is room for others.
func (t *trail) run(ctx context.Context) error {
	var pause backoff
	for {
		var e api.Event
		select {
		case <-ctx.Done():
			return nil
		case e = <-t.queue:
		}
		for ctx.Err() == nil {
			err := t.store.AppendEvent(ctx, e)
			if err == nil {
				pause.reset()
				break
			}
			t.log.Debug("event not written", "error", err)
			pause.wait(ctx)
		}
	}
}
