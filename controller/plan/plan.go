package plan

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/peerage/peerage/api"
)

// Inputs is all that planning depends on. Nothing in it is changed.
type Inputs struct {
	// State is configuration, intent, liveness and measurements as of one
	// revision. The caller answers for it being believable.
	State *api.State
	// Plans are the newest plans of every pool, which may be ahead of
	// State.Plans by what the leader has just written. Nil: State.Plans.
	Plans map[string]*api.Plan
	// Now decides which intents are in force, and dates what changes.
	Now time.Time
}

// Result is what the site should run.
type Result struct {
	// Pools has an entry for every pool that is configured or has a plan,
	// sorted by name.
	Pools []PoolResult
	// Wake is when the next intent ends by itself; zero: never.
	Wake time.Time
}

// PoolResult is the outcome for one pool.
type PoolResult struct {
	Pool string
	// Before is the plan that the result follows; nil for the first.
	Before *api.Plan
	// Plan is the plan to run, Before itself when nothing changed. It is nil
	// when there is none to run: Delete says that it goes, Blocked that none
	// could be made.
	Plan *api.Plan
	// Write tells whether Plan differs from Before, if only in Held.
	Write bool
	// Delete tells that the pool was taken out of the configuration.
	Delete bool
	// Blocked is why the plan in the store was left alone entirely.
	Blocked string
}

// Compute plans every pool of the site.
func Compute(in Inputs) Result {
	if in.Plans == nil {
		in.Plans = in.State.Plans
	}
	in.Now = in.Now.UTC().Round(0) // the store has no monotonic clock
	r := Result{Wake: wake(in.State.Intents, in.Now)}
	for _, name := range poolNames(in.State, in.Plans) {
		p := planner{Inputs: in, name: name, pool: in.State.Pools[name], prev: in.Plans[name]}
		r.Pools = append(r.Pools, p.result())
	}
	return r
}

func poolNames(state *api.State, plans map[string]*api.Plan) []string {
	names := slices.AppendSeq(slices.Collect(maps.Keys(state.Pools)), maps.Keys(plans))
	slices.Sort(names)
	return slices.Compact(names)
}

// wake is the earliest end of an intent that is in force.
func wake(intents map[string]*api.ServerIntent, now time.Time) time.Time {
	var first time.Time
	soonest := func(m *api.Mark) {
		if m.Active(now) && !m.Until.IsZero() && (first.IsZero() || m.Until.Before(first)) {
			first = m.Until
		}
	}
	for _, i := range intents {
		if i == nil {
			continue
		}
		soonest(i.Depooled)
		if i.Weight != nil {
			soonest(&i.Weight.Mark)
		}
	}
	return first
}

// planner makes the plan of one pool.
type planner struct {
	Inputs
	name string
	pool *api.Pool // nil: not configured
	prev *api.Plan // nil: the first plan
	// anyConfig and anyWeight let through what guards of configuration and of
	// weight would hold back, to show what an operator asks for. What would be
	// held is noted all the same.
	anyConfig, anyWeight bool
	holds                []hold
	index                map[string]*api.Destination // of prev, by server; see destination
}

// hold is a guard that a result would break.
type hold struct {
	risk   api.Risk
	reason string
	// config tells that it is configuration which is held back.
	config bool
}

// Guards of Held that no risk overrides, because there is nothing to run
// beyond them.
const (
	guardMissingObject api.Risk = "missing-object"
	guardUnreadable    api.Risk = "unreadable-object"
)

func (p *planner) hold(risk api.Risk, reason string) {
	p.holds = append(p.holds, hold{risk: risk, reason: reason})
}

func (p *planner) holdConfig(risk api.Risk, reason string) {
	p.holds = append(p.holds, hold{risk, reason, true})
}

func (p *planner) result() PoolResult {
	r := PoolResult{Pool: p.name, Before: p.prev, Plan: p.prev}
	planBad, poolBad := p.bad("plan/"+p.name), p.bad("config/pools/"+p.name)
	switch {
	case planBad != nil:
		// Truncated, or of a schema to come: whoever wrote it knows more than
		// this controller, and the order of destinations is in it.
		r.Blocked = "the plan in the store is unreadable (" + planBad.Error() +
			"); upgrade this controller, or delete the key if it is damaged"
	case p.pool == nil && poolBad != nil:
		r.Blocked = "the pool's configuration is unreadable (" + poolBad.Error() + "); apply it again"
	case p.pool == nil && wiped(p.State):
		// Nobody takes a site down by deleting everything it consists of.
		r.Blocked = "the store holds no configuration at all; apply the site's files, " +
			"or delete the pools while its load balancers are still there"
	case p.pool == nil:
		r.Plan, r.Delete = nil, true
	default:
		r.Plan, r.Blocked = p.plan()
		r.Write = r.Plan != nil && r.Plan != p.prev
	}
	return r
}

func wiped(s *api.State) bool {
	return len(s.Pools) == 0 && len(s.LoadBalancers) == 0 && len(s.RealServers) == 0
}

// bad is why the newest value of a key was refused.
func (p *planner) bad(key string) error {
	for k, err := range p.State.Bad {
		if strings.TrimPrefix(k, "/peerage/v1/") == key {
			return err
		}
	}
	return nil
}

// plan is prev itself when nothing changed.
func (p *planner) plan() (next *api.Plan, blocked string) {
	if err := p.bad("config/pools/" + p.name); err != nil {
		p.holdConfig(guardUnreadable, "the pool's newest configuration is unreadable, the one before is in force: "+err.Error())
	}
	s := p.guarded(p.desired())
	if p.prev == nil && (len(s.vips) == 0 || len(s.members) == 0) {
		return nil, "the pool has no VIPs or no known real servers, and no plan to keep; configure both"
	}
	config := p.holds
	if at := slices.IndexFunc(config, func(h hold) bool { return h.risk == guardInvalid }); at >= 0 && p.prev == nil {
		return nil, config[at].reason
	}
	next = p.fill(s)
	if p.prev == nil {
		next.Generation = p.lastGeneration() + 1
		next.Held = p.held()
		return next, ""
	}
	if !p.anyWeight && empties(p.prev, next) && !p.accepts(api.RiskEmptyPool, s.members) {
		next = p.refuseEmpty(s, config)
	}
	return p.generation(next), ""
}

// fill computes everything that depends on health and intent for a shape.
func (p *planner) fill(s shape) *api.Plan {
	h := p.measure(s)
	return &api.Plan{
		Schema: api.Schema, Pool: p.name,
		VIPs: s.vips, Port: s.port, Scheduler: s.scheduler, Forwarding: s.forwarding,
		Destinations:  p.destinations(s, h),
		Announcements: p.announcements(s, h),
		HealthCheck:   s.check, Speaker: s.speaker, Probes: s.probes,
	}
}

// generation numbers next after prev, or returns prev when nothing changed.
// Held says something about a plan and is no content: no node acts on it.
func (p *planner) generation(next *api.Plan) *api.Plan {
	next.Generation = p.prev.Generation
	next.Held = p.held()
	switch last := p.lastGeneration(); {
	case last > p.prev.Generation:
		next.Generation = last + 1
	case !equal(p.prev, next):
		next.Generation++
	case sameHeld(p.prev.Held, next.Held):
		return p.prev
	}
	return next
}

// lastGeneration is the highest generation that a node has ever applied for a
// pool of that name. A plan that follows none (the pool was deleted and made again)
// or an older one (the store was restored) must not look like going back.
func (p *planner) lastGeneration() int64 {
	var last int64
	for _, a := range p.State.Applied[p.name] {
		last = max(last, a.Generation)
	}
	for _, s := range p.State.Servers {
		last = max(last, s.Pools[p.name].Generation)
	}
	return last
}

// held joins the guards at work. Since stays while the first guard does.
func (p *planner) held() *api.Held {
	holds := p.holds
	if p.anyConfig {
		holds = slices.DeleteFunc(slices.Clone(holds), func(h hold) bool { return h.config })
	}
	if len(holds) == 0 {
		return nil
	}
	reasons := make([]string, 0, len(holds))
	for _, h := range holds {
		reasons = append(reasons, h.reason)
	}
	held := &api.Held{Guard: string(holds[0].risk), Reason: strings.Join(reasons, "; "), Since: p.Now}
	if p.prev != nil && p.prev.Held != nil && p.prev.Held.Guard == held.Guard {
		held.Since = p.prev.Held.Since
	}
	return held
}

func sameHeld(a, b *api.Held) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Guard == b.Guard && a.Reason == b.Reason
}

// equal compares what nodes act on and operators read: everything but
// Generation and Held. A nil list equals an empty one, since the store may turn
// one into the other.
func equal(a, b *api.Plan) bool {
	return a.Schema == b.Schema && a.Pool == b.Pool &&
		slices.Equal(a.VIPs, b.VIPs) && a.Port == b.Port &&
		a.Scheduler == b.Scheduler && a.Forwarding == b.Forwarding &&
		slices.EqualFunc(a.Destinations, b.Destinations, equalDestination) &&
		slices.Equal(a.Announcements, b.Announcements) &&
		a.HealthCheck == b.HealthCheck &&
		a.Speaker.LocalAS == b.Speaker.LocalAS && a.Speaker.HoldTime == b.Speaker.HoldTime &&
		slices.Equal(a.Speaker.Neighbors, b.Speaker.Neighbors) &&
		slices.Equal(a.Probes, b.Probes)
}

func equalDestination(a, b api.Destination) bool {
	return a.Server == b.Server && slices.Equal(a.Addresses, b.Addresses) &&
		a.Nominal == b.Nominal && a.Weight == b.Weight &&
		a.State == b.State && a.Since.Equal(b.Since) && a.Reason == b.Reason
}

func byName[T any](name func(T) string) func(a, b T) int {
	return func(a, b T) int { return cmp.Compare(name(a), name(b)) }
}

// Same tells whether two plans are the same in everything, Held included.
func Same(a, b *api.Plan) bool {
	return a.Generation == b.Generation && equal(a, b) && sameHeld(a.Held, b.Held)
}
