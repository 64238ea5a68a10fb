package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/store"
)

// options are the parameters of apply and delete.
type options struct {
	dryRun     bool
	accepted   []api.Risk
	reason     string
	generation int64
	prune      []api.Kind
	actor      string
	now        time.Time
}

func (s *Server) options(r *http.Request) (o options, err error) {
	q := r.URL.Query()
	if o.dryRun, err = flag(r, "dryRun"); err != nil {
		return o, err
	}
	for _, name := range q["acceptRisk"] {
		o.accepted = append(o.accepted, api.Risk(name))
	}
	if err := risks(o.accepted); err != nil {
		return o, err
	}
	if o.reason, err = reason(q.Get("reason")); err != nil {
		return o, err
	}
	if g := q.Get("generation"); g != "" {
		if o.generation, err = strconv.ParseInt(g, 10, 64); err != nil || o.generation < 1 {
			return o, invalid("parameter generation is %q; write the number that metadata.generation shows", g)
		}
	}
	for _, name := range q["prune"] {
		if !slices.Contains(api.Kinds(), api.Kind(name)) {
			return o, invalid("parameter prune is %q; write one of %v", name, api.Kinds())
		}
		o.prune = append(o.prune, api.Kind(name))
	}
	o.actor, o.now = actor(r), s.now()
	return o, nil
}

// apply makes objects equal to those in the body, and removes those of the
// kinds in prune that are not in it.
func (s *Server) apply(ctx context.Context, r *http.Request) (any, error) {
	o, err := s.options(r)
	if err != nil {
		return nil, err
	}
	objects, err := readObjects(r)
	if err != nil {
		return nil, err
	}
	return s.change(ctx, o, func(c *change) error {
		for _, object := range objects {
			if err := c.put(object); err != nil {
				return err
			}
		}
		c.pruneAllBut(objects)
		if err := api.ValidateSite(c.after.Objects()); err != nil {
			return invalidFields("the site would not be valid", err)
		}
		return nil
	})
}

// remove deletes one object.
func (s *Server) remove(kind api.Kind) func(context.Context, *http.Request) (any, error) {
	return func(ctx context.Context, r *http.Request) (any, error) {
		o, err := s.options(r)
		if err != nil {
			return nil, err
		}
		return s.change(ctx, o, func(c *change) error { return c.remove(kind, r.PathValue("name")) })
	}
}

// readObjects reads YAML or JSON documents, or one JSON list of objects.
func readObjects(r *http.Request) ([]api.Object, error) {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, readError(err)
	}
	if trimmed := bytes.TrimSpace(data); len(trimmed) == 0 || trimmed[0] != '[' {
		objects, err := api.Parse("body", data)
		if err != nil {
			return nil, invalidFields("the body is not valid", err)
		}
		return objects, nil
	}
	var items []json.RawMessage
	if err := json.Unmarshal(data, &items); err != nil {
		return nil, invalid("the body is not a list of objects: %v", err)
	}
	objects := make([]api.Object, 0, len(items))
	seen := make(map[string]bool, len(items))
	for i, item := range items {
		one, err := api.Parse(fmt.Sprintf("item %d", i), item)
		if err != nil {
			return nil, invalidFields("the body is not valid", err)
		}
		for _, object := range one {
			key := api.Key(object)
			if seen[key] {
				return nil, invalid("%s is in the list twice; delete one of them", key)
			}
			seen[key] = true
			objects = append(objects, object)
		}
	}
	return objects, nil
}

// maxDetails bounds the fields of one error: one pool may be named by
// thousands of customers.
const maxDetails = 100

// invalidFields makes one error of all that is wrong.
func invalidFields(what string, err error) *api.Error {
	e := &api.Error{Code: api.ErrorInvalid, Message: what, Details: api.FieldErrors(err)}
	switch len(e.Details) {
	case 0:
		e.Message += ": " + err.Error()
	case 1:
		e.Message += ": " + e.Details[0].Error()
	default:
		e.Message += fmt.Sprintf(" in %d places; the first: %v", len(e.Details), e.Details[0])
	}
	if len(e.Details) > 0 {
		e.Object = e.Details[0].Object
	}
	e.Details = e.Details[:min(len(e.Details), maxDetails)]
	return e
}

// change is a change of configuration in the making.
type change struct {
	options
	before *api.State
	after  overlay
	result *api.ApplyResult
	// puts, by key, and deletes are what is to be written.
	puts    map[string]api.Object
	deletes []api.Object
}

// change runs one change of configuration as a transaction: fn says what is
// wanted, the guards look at the outcome.
func (s *Server) change(ctx context.Context, o options, fn func(c *change) error) (*api.ApplyResult, error) {
	known, err := s.believed()
	if err != nil {
		return nil, err
	}
	var result *api.ApplyResult
	revision, err := s.cfg.Store.Update(ctx, func(tx *store.Tx) error {
		current, err := base(tx, known)
		if err != nil {
			return err
		}
		c := &change{options: o, before: current, after: newOverlay(current), result: &api.ApplyResult{DryRun: o.dryRun,
			Objects: []api.ObjectChange{}, Before: []json.RawMessage{}, After: []json.RawMessage{}}}
		result = c.result
		if err := fn(c); err != nil {
			return err
		}
		c.result.Plan = s.preview(current, c.after.State, o.now)
		if err := fits(c.result.Plan); err != nil {
			return err
		}
		c.result.Warnings = api.SiteWarnings(c.after.Objects())
		if o.dryRun {
			return c.show()
		}
		if err := guard(c.subject(), c.result.Plan, o.accepted); err != nil {
			return err
		}
		c.recordRisks()
		c.write(tx, s.moment())
		return c.show()
	})
	if err != nil {
		return nil, err
	}
	if result.Changed && !o.dryRun {
		result.Revision = revision
		s.settle(ctx, revision)
	}
	return result, nil
}

// fits refuses what the leader could not write: it would go on with the old
// plan for ever, and say so only in its log.
func fits(p api.Preview) error {
	for _, pool := range p.Pools {
		if pool.After == nil {
			continue
		}
		if err := store.FitsPlan(pool.After); err != nil {
			return &api.Error{Code: api.ErrorTooLarge, Object: "Pool/" + pool.Pool,
				Message: fmt.Sprintf("Pool/%s with %d neighbors and %d real servers is %v",
					pool.Pool, len(pool.After.Speaker.Neighbors), len(pool.After.Destinations), err),
				Hint: "write one prefix for the neighbors that share it, give them shorter names, or make two pools of it"}
		}
	}
	return nil
}

// put plans the change of one object.
func (c *change) put(o api.Object) error {
	kind, meta := o.ObjectKind(), o.ObjectMeta()
	current := find(c.before, kind, meta.Name)
	fields, err := diff(current, o)
	if err != nil {
		return err
	}
	oc := api.ObjectChange{Kind: kind, Name: meta.Name, Action: api.ActionUnchanged, Fields: fields}
	var generation int64
	if current != nil {
		generation = current.ObjectMeta().Generation
	}
	switch {
	case current != nil && len(fields) == 0:
		oc.Generation = generation
		if wanted := c.releases(current); wanted != nil {
			oc.Action = api.ActionChanged
			c.record(wanted)
		}
		c.add(oc)
		return nil
	case meta.Generation != 0 && meta.Generation != generation:
		return stale(o, meta.Generation, current)
	case current == nil:
		oc.Action = api.ActionCreated
	default:
		oc.Action = api.ActionChanged
	}
	// A copy: the transaction may run again, on the object as it was sent.
	o = shallow(o)
	meta = o.ObjectMeta()
	meta.Generation, meta.AcceptedRisks = generation+1, sortedRisks(c.accepted)
	oc.Generation = meta.Generation
	c.record(o)
	c.add(oc)
	return nil
}

// shallow is a copy of an object of which the metadata may be set.
func shallow(o api.Object) api.Object {
	switch v := o.(type) {
	case *api.Pool:
		return new(*v)
	case *api.LoadBalancer:
		return new(*v)
	case *api.RealServer:
		return new(*v)
	case *api.Settings:
		return new(*v)
	case *api.Customer:
		return new(*v)
	}
	return o
}

// stale is the error of a file that was written for another generation.
func stale(o api.Object, seen int64, current api.Object) error {
	e := &api.Error{Code: api.ErrorConflict, Object: api.Key(o),
		Hint: "read it again, repeat your change, and apply that; or delete metadata.generation from the file to overwrite"}
	if current == nil {
		e.Message = fmt.Sprintf("%s: the file was written for generation %d, but the object does not exist", e.Object, seen)
		e.Hint = "delete metadata.generation from the file to create it"
	} else {
		e.Message = fmt.Sprintf("%s: the file was written for generation %d, but the object is at %d", e.Object, seen, current.ObjectMeta().Generation)
	}
	return e
}

// releases is the object with more accepted risks, when it is a pool whose
// plan is held back and the operator now accepts why; otherwise nil. The
// object itself needs no change for that.
func (c *change) releases(o api.Object) api.Object {
	pool, ok := o.(*api.Pool)
	if !ok || len(c.accepted) == 0 {
		return nil
	}
	plan := c.before.Plans[pool.Name]
	if plan == nil || plan.Held == nil {
		return nil
	}
	return withRisks(pool, c.accepted)
}

// withRisks is a copy of a pool that accepts more risks, or nil when it
// accepts them already.
func withRisks(pool *api.Pool, more []api.Risk) api.Object {
	all := sortedRisks(append(slices.Clone(pool.AcceptedRisks), more...))
	if len(all) == len(pool.AcceptedRisks) {
		return nil
	}
	next := *pool
	next.AcceptedRisks = all
	return &next
}

func sortedRisks(list []api.Risk) []api.Risk {
	return slices.Compact(slices.Sorted(slices.Values(list)))
}

// remove plans the deletion of one object.
func (c *change) remove(kind api.Kind, name string) error {
	o := find(c.before, kind, name)
	if o == nil {
		return notFound(kind, name, names(c.before, kind))
	}
	if have := o.ObjectMeta().Generation; c.generation != 0 && c.generation != have {
		return &api.Error{Code: api.ErrorConflict, Object: api.Key(o),
			Message: fmt.Sprintf("%s is at generation %d, not at %d", api.Key(o), have, c.generation),
			Hint:    "look at it again before you delete it"}
	}
	c.drop(o)
	if err := api.ValidateSite(c.after.Objects()); err != nil {
		e := invalidFields(api.Key(o)+" is in use", err)
		e.Code, e.Object, e.Hint = api.ErrorInUse, api.Key(o), "take its name out of what uses it first"
		return e
	}
	return nil
}

// drop notes an object to be deleted.
func (c *change) drop(o api.Object) {
	c.after.remove(o)
	c.deletes = append(c.deletes, o)
	c.add(api.ObjectChange{Kind: o.ObjectKind(), Name: o.ObjectMeta().Name, Action: api.ActionDeleted})
}

// pruneAllBut drops the objects of the kinds to prune that are not named.
func (c *change) pruneAllBut(objects []api.Object) {
	if len(c.prune) == 0 {
		return
	}
	kept := make(map[string]bool, len(objects))
	for _, o := range objects {
		kept[api.Key(o)] = true
	}
	for _, o := range c.before.Objects() {
		if slices.Contains(c.prune, o.ObjectKind()) && !kept[api.Key(o)] {
			c.drop(o)
		}
	}
}

// record notes an object to be written.
func (c *change) record(o api.Object) {
	if c.puts == nil {
		c.puts = map[string]api.Object{}
	}
	c.puts[api.Key(o)] = o
	c.after.put(o)
}

// recordRisks notes what was overridden on the pools that it concerns too:
// the planner asks them, whichever object the change was made to.
func (c *change) recordRisks() {
	for _, r := range c.result.Plan.Refusals {
		pool := c.after.Pools[r.Pool]
		if pool == nil || r.Risk == api.RiskManyCustomers { // that is no concern of the plan
			continue
		}
		if next := withRisks(pool, []api.Risk{r.Risk}); next != nil {
			c.record(next)
		}
	}
}

// show puts the objects that changed into the result, in full.
func (c *change) show() error {
	into := func(list *[]json.RawMessage, o api.Object) error {
		if o == nil {
			return nil
		}
		data, err := api.Marshal(o)
		*list = append(*list, data)
		return err
	}
	for _, o := range c.result.Objects {
		if o.Action == api.ActionUnchanged {
			continue
		}
		if err := errors.Join(into(&c.result.Before, find(c.before, o.Kind, o.Name)), into(&c.result.After, find(c.after.State, o.Kind, o.Name))); err != nil {
			return err
		}
	}
	return nil
}

// subject names what the change is about.
func (c *change) subject() string {
	var keys []string
	for _, o := range c.result.Objects {
		if o.Action != api.ActionUnchanged {
			keys = append(keys, o.Key())
		}
	}
	switch len(keys) {
	case 0:
		return "the site"
	case 1:
		return keys[0]
	}
	return fmt.Sprintf("%s and %d more", keys[0], len(keys)-1)
}

// write puts the change and its events into the transaction.
func (c *change) write(tx *store.Tx, at time.Time) {
	for _, o := range c.puts {
		tx.Put(o)
	}
	for _, o := range c.deletes {
		tx.Delete(o)
		if o.ObjectKind() == api.KindRealServer {
			tx.PutIntent(&api.ServerIntent{Server: o.ObjectMeta().Name})
		}
	}
	for _, id := range orphans(c.before, c.after.State) {
		tx.DeleteRoute(id)
	}
	for i, e := range c.events() {
		e.At = at.Add(time.Duration(i))
		tx.Event(e)
	}
}

func (c *change) add(o api.ObjectChange) {
	c.result.Objects = append(c.result.Objects, o)
	c.result.Changed = c.result.Changed || o.Action != api.ActionUnchanged
}
