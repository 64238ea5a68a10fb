package server

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/store"
)

// originated answers with the routes in force.
func (s *Server) originated(st *api.State, _ *http.Request) (any, error) {
	list := api.List[api.RouteIntent]{Revision: st.Revision, Stale: staleReason(st), Items: st.ActiveRoutes(s.now())}
	if list.Items == nil {
		list.Items = []api.RouteIntent{}
	}
	return list, nil
}

// announce sends a route to customers until it is withdrawn, or ends.
func (s *Server) announce(ctx context.Context, r *http.Request) (any, error) {
	in, next, err := s.routeRequest(r)
	if err != nil {
		return nil, err
	}
	if next.Reason == "" {
		return nil, &api.Error{Code: api.ErrorInvalid, Object: routeObject(next),
			Message: "announce needs a reason", Hint: "say why with --reason; colleagues see it in the list of routes"}
	}
	if err := next.Check(); err != nil {
		return nil, invalidFields("the route is not valid", err)
	}
	asked := next.At
	return s.route(ctx, wish{in, "announce", &next.Mark, next}, func(st *api.State, was *api.RouteIntent) (string, error) {
		next.At = asked // not what an attempt before left there
		if err := targetExists(st, next.Target); err != nil {
			return "", err
		}
		if err := targetSpeaks(st, next); err != nil {
			return "", err
		}
		if was.Active(next.At) && was.Same(next) {
			if same(&was.Mark, &next.Mark) {
				return "", nil
			}
			next.At = was.At // it is sent since then
		}
		if st.Routes[next.ID()] == nil {
			if err := roomFor(st, next.Target); err != nil {
				return "", err
			}
		}
		return announcement(next), guardRoute(in, next)
	})
}

// withdraw takes a route back.
func (s *Server) withdraw(ctx context.Context, r *http.Request) (any, error) {
	in, gone, err := s.routeRequest(r)
	if err != nil {
		return nil, err
	}
	if err := gone.CheckTarget(); err != nil {
		return nil, invalidFields("the route is not valid", err)
	}
	if in.For != 0 || !in.Until.IsZero() || in.NextHop.IsValid() || len(in.Communities)+len(in.LargeCommunities) > 0 || in.MED != nil || in.LocalPref != nil {
		return nil, invalid("withdraw takes target and prefix, which identify a route, and nothing else of it")
	}
	return s.route(ctx, wish{in, "withdraw", &gone.Mark, nil}, func(st *api.State, was *api.RouteIntent) (string, error) {
		if was.Active(gone.At) {
			return "withdrawn from " + gone.Target.String(), nil
		}
		// Who mistypes a name must not believe that the route is gone.
		return "", targetExists(st, gone.Target)
	})
}

func (s *Server) routeRequest(r *http.Request) (*api.RouteRequest, *api.RouteIntent, error) {
	in := &api.RouteRequest{}
	if err := decode(r, in); err != nil {
		return nil, nil, err
	}
	if err := risks(in.AcceptRisk); err != nil {
		return nil, nil, err
	}
	why, err := reason(in.Reason)
	if err != nil {
		return nil, nil, err
	}
	out := &api.RouteIntent{Schema: api.Schema, Target: in.Target, Prefix: in.Prefix, NextHop: in.NextHop, Communities: in.Communities,
		LargeCommunities: in.LargeCommunities, MED: in.MED, LocalPref: in.LocalPref,
		Mark: api.Mark{By: actor(r), Reason: why, At: s.now(), AcceptedRisks: sortedRisks(in.AcceptRisk)}}
	out.Canonical()
	out.Until, err = until(api.VerbRequest{For: in.For, Until: in.Until}, out.At)
	return in, out, err
}

func routeObject(r *api.RouteIntent) string { return "Route/" + r.Prefix.String() }

// wish is what an operator wants of one route.
type wish struct {
	*api.RouteRequest
	verb string
	mark *api.Mark
	next *api.RouteIntent // nil: gone
}

// route changes one route in a transaction. fn says in words what is done; nothing when there is nothing to
// do.
func (s *Server) route(ctx context.Context, w wish, fn func(st *api.State, was *api.RouteIntent) (string, error)) (*api.RouteResult, error) {
	known, err := s.believed()
	if err != nil {
		return nil, err
	}
	now := s.now()
	id := (&api.RouteIntent{Target: w.Target, Prefix: w.Prefix}).ID()
	var result *api.RouteResult
	revision, err := s.cfg.Store.Update(ctx, func(tx *store.Tx) error {
		current, err := base(tx, known)
		if err != nil {
			return err
		}
		was := current.Routes[id]
		if !was.Active(now) { // what has ended is not there
			was = nil
		}
		result = &api.RouteResult{DryRun: w.DryRun, Before: was, After: was}
		done, err := fn(current, was)
		if err != nil || done == "" {
			return err
		}
		result.Changed, result.After = true, w.next
		if w.DryRun {
			return nil
		}
		if w.next == nil {
			tx.DeleteRoute(id)
		} else {
			tx.PutRoute(w.next)
		}
		tx.Event(api.Event{At: s.moment(), By: w.mark.By, Verb: w.verb, Object: "Route/" + w.Prefix.String(), Reason: w.mark.Reason, Message: done})
		return nil
	})
	if err != nil {
		return nil, err
	}
	if result.Changed && !w.DryRun {
		result.Revision = revision
		s.settle(ctx, revision)
	}
	return result, nil
}

// targetExists refuses a target that nobody is, which would do nothing and
// look as if it did.
func targetExists(st *api.State, t api.RouteTarget) error {
	switch {
	case t.Customer != "" && !st.HasCustomer(t.Customer):
		e := notFound(api.KindCustomer, t.Customer, keys(st.Customers))
		if e.Hint == "" {
			e.Hint = "peeragectl get customers lists them; a neighbour that stands in a pool is POOL.NEIGHBOR"
		}
		return e
	case t.Session.IsValid():
		if _, found := st.Owner(t.Session); !found {
			return &api.Error{Code: api.ErrorNotFound, Object: "Session/" + t.Session.String(),
				Message: fmt.Sprintf("%v is in no neighbour's prefix: no session can come from there", t.Session), Hint: "write the router's own address"}
		}
	}
	return nil
}

// targetSpeaks refuses a route of a family that the customer does not exchange.
func targetSpeaks(st *api.State, r *api.RouteIntent) error {
	c := st.Customers[r.Target.Customer]
	family := api.IPv6Unicast
	if r.Prefix.Addr().Is4() {
		family = api.IPv4Unicast
	}
	if c == nil || slices.Contains(c.Spec.Families, family) {
		return nil
	}
	return &api.Error{Code: api.ErrorInvalid, Object: routeObject(r), Message: fmt.Sprintf("customer %s does not exchange %s: no session would be sent %v", c.Name, family, r.Prefix),
		Hint: "add the family to its spec.families first"}
}

// roomFor bounds the routes, which every speaker holds and sends.
func roomFor(st *api.State, t api.RouteTarget) error {
	n := 0
	for _, r := range st.Routes {
		if r.Target == t {
			n++
		}
	}
	switch {
	case len(st.Routes) >= api.MaxRoutes:
		return &api.Error{Code: api.ErrorTooLarge, Message: fmt.Sprintf("the site originates %d routes already, which is the most", len(st.Routes)), Hint: "withdraw some"}
	case n >= api.MaxTargetRoutes:
		return &api.Error{Code: api.ErrorTooLarge, Message: fmt.Sprintf("%d routes are sent to %v already, which is the most", n, t), Hint: "withdraw some"}
	}
	return nil
}

// guardRoute refuses what is sent to everybody: one mistyped prefix with a
// blackhole community is an outage of every customer.
func guardRoute(in *api.RouteRequest, next *api.RouteIntent) error {
	if !next.Target.All {
		return nil
	}
	return guard(routeObject(next), api.Preview{Pools: []api.PoolPreview{}, Refusals: []api.Refusal{{Risk: api.RiskAllCustomers,
		Message: fmt.Sprintf("%v would be sent to every session of every customer", next.Prefix)}}}, in.AcceptRisk)
}

// announcement says what is sent, to whom, and until when.
func announcement(r *api.RouteIntent) string {
	text := fmt.Sprintf("announced to %v by %v", r.Target, r.NextHop)
	if len(r.Communities) > 0 {
		names := make([]string, len(r.Communities))
		for i, c := range r.Communities {
			names[i] = api.CommunityName(c)
		}
		text += ", communities " + strings.Join(names, " ")
	}
	if len(r.LargeCommunities) > 0 {
		text += ", large communities " + strings.Join(r.LargeCommunities, " ")
	}
	text += ending(r.Until)
	if len(r.AcceptedRisks) > 0 {
		text += "; accepted: " + joinRisks(r.AcceptedRisks)
	}
	return text
}
