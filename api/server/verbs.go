package server

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/store"
)

const (
	// sameUntil is how far apart the ends of two depools may be to count as
	// the same call: --for gives another end each time it is repeated.
	sameUntil = time.Minute
	// maxFor bounds an intent that ends by itself.
	maxFor = 366 * 24 * time.Hour
)

// verb is one operator's wish for one real server.
type verb struct {
	api.VerbRequest
	name   string // of the verb
	server string
	mark   api.Mark
}

func (s *Server) verb(r *http.Request, name string) (*verb, error) {
	v := &verb{name: name, server: r.PathValue("name")}
	if err := decode(r, &v.VerbRequest); err != nil {
		return nil, err
	}
	if err := risks(v.AcceptRisk); err != nil {
		return nil, err
	}
	why, err := reason(v.Reason)
	if err != nil {
		return nil, err
	}
	if v.Weight != nil && name != "weight" {
		return nil, invalid("%s takes no weight", name)
	}
	if (v.For != 0 || !v.Until.IsZero()) && name == "pool" {
		return nil, invalid("pool takes no end: it takes an intent back")
	}
	v.mark = api.Mark{By: actor(r), Reason: why, At: s.now(), AcceptedRisks: sortedRisks(v.AcceptRisk)}
	v.mark.Until, err = until(v.VerbRequest, v.mark.At)
	return v, err
}

// takes tells whether the verb takes something away. What gives it back is
// always allowed.
func (v *verb) takes() bool {
	return v.name == "depool" || v.name == "weight" && v.Weight != nil && *v.Weight != api.WeightReset
}

// until is when the intent ends.
func until(r api.VerbRequest, now time.Time) (time.Time, error) {
	switch {
	case r.For != 0 && !r.Until.IsZero():
		return time.Time{}, invalid("for and until are both given; give one of them")
	case r.For < 0 || time.Duration(r.For) > maxFor:
		return time.Time{}, invalid("for is %s; write a time between 1s and %s", r.For, maxFor)
	case r.For > 0:
		return now.Add(time.Duration(r.For)), nil
	case r.Until.IsZero():
		return time.Time{}, nil
	case !r.Until.After(now) || r.Until.Sub(now) > maxFor:
		return time.Time{}, invalid("until is %s; write a time after now, %s, and within a year", r.Until.Format(time.RFC3339), now.Format(time.RFC3339))
	}
	return r.Until.UTC().Truncate(time.Millisecond), nil
}

// depool takes a real server out: weight 0, sessions stay.
func (s *Server) depool(ctx context.Context, r *http.Request) (any, error) {
	v, err := s.verb(r, "depool")
	if err != nil {
		return nil, err
	}
	if v.mark.Reason == "" {
		return nil, &api.Error{Code: api.ErrorInvalid, Object: "RealServer/" + v.server,
			Message: "depool needs a reason", Hint: "say why with --reason; colleagues see it in status"}
	}
	return s.intend(ctx, v, func(i *api.ServerIntent) string {
		was := i.Depooled
		next := v.mark
		if was.Active(next.At) {
			if same(was, &next) {
				return ""
			}
			next.At = was.At // it is out since then
		}
		i.Depooled = &next
		return "depooled" + ending(next.Until)
	})
}

// pool puts a real server back.
func (s *Server) pool(ctx context.Context, r *http.Request) (any, error) {
	v, err := s.verb(r, "pool")
	if err != nil {
		return nil, err
	}
	return s.intend(ctx, v, func(i *api.ServerIntent) string {
		was := i.Depooled
		i.Depooled = nil
		if !was.Active(v.mark.At) {
			return ""
		}
		return "pooled again"
	})
}

// weight overrides the nominal weight, or takes that back.
func (s *Server) weight(ctx context.Context, r *http.Request) (any, error) {
	v, err := s.verb(r, "weight")
	if err != nil {
		return nil, err
	}
	if v.Weight == nil {
		return nil, &api.Error{Code: api.ErrorInvalid, Object: "RealServer/" + v.server,
			Message: "weight needs a weight", Hint: `write 1..8, or "reset" for the configured one`}
	}
	return s.intend(ctx, v, func(i *api.ServerIntent) string {
		was := i.Weight
		active := was != nil && was.Active(v.mark.At)
		if *v.Weight == api.WeightReset {
			i.Weight = nil
			if !active {
				return ""
			}
			return fmt.Sprintf("weight %d taken back", was.Value)
		}
		next := &api.WeightIntent{Mark: v.mark, Value: int(*v.Weight)}
		if active && was.Value == next.Value && same(&was.Mark, &next.Mark) {
			return ""
		}
		i.Weight = next
		return fmt.Sprintf("weight %d%s", next.Value, ending(next.Until))
	})
}

// same tells whether two marks ask for the same. Who asks and when does not
// count; an end may differ by sameUntil.
func same(a, b *api.Mark) bool {
	if a.Reason != b.Reason || a.Until.IsZero() != b.Until.IsZero() || !slices.Equal(a.AcceptedRisks, b.AcceptedRisks) {
		return false
	}
	return a.Until.Sub(b.Until).Abs() < sameUntil
}

func ending(until time.Time) string {
	if until.IsZero() {
		return ""
	}
	return " until " + until.UTC().Format(time.RFC3339)
}

// intend changes the intent of one real server in a transaction. fn changes
// the intent and says in words what it did; nothing when there was nothing to
// do.
func (s *Server) intend(ctx context.Context, v *verb, fn func(*api.ServerIntent) string) (*api.VerbResult, error) {
	known, err := s.believed()
	if err != nil {
		return nil, err
	}
	object := "RealServer/" + v.server
	var result *api.VerbResult
	revision, err := s.cfg.Store.Update(ctx, func(tx *store.Tx) error {
		current, err := base(tx, known)
		if err != nil {
			return err
		}
		if current.RealServers[v.server] == nil {
			return notFound(api.KindRealServer, v.server, keys(current.RealServers))
		}
		before := &api.ServerIntent{Schema: api.Schema, Server: v.server}
		if i := current.Intents[v.server]; i != nil {
			before = i
		}
		next := *before
		result = &api.VerbResult{DryRun: v.DryRun, Before: before, After: before, Plan: api.Preview{Pools: []api.PoolPreview{}}}
		done := fn(&next)
		if done == "" {
			return nil
		}
		if v.takes() {
			if err := planned(current, v.server); err != nil {
				return err
			}
		}
		after := newOverlay(current)
		after.intent(&next)
		result.Changed, result.After = true, &next
		result.Plan = s.cfg.Planner.Preview(current, after.State, v.mark.At)
		if v.DryRun {
			return nil
		}
		if err := guard(object, result.Plan, v.AcceptRisk); err != nil {
			return err
		}
		if len(v.AcceptRisk) > 0 {
			done += "; accepted: " + joinRisks(v.AcceptRisk)
		}
		tx.PutIntent(&next)
		tx.Event(api.Event{At: s.moment(), By: v.mark.By, Verb: v.name, Object: object, Reason: v.mark.Reason, Message: done})
		return nil
	})
	if err != nil {
		return nil, err
	}
	if result.Changed && !v.DryRun {
		result.Revision = revision
		s.settle(ctx, revision)
	}
	return result, nil
}
