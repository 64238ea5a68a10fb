package plan

import (
	"fmt"
	"slices"
	"time"

	"github.com/peerage/peerage/api"
)

// Planner is Preview as a value, for those who declare an interface for it.
type Planner struct{}

// Preview calls the function Preview.
func (Planner) Preview(before, after *api.State, now time.Time) api.Preview {
	return Preview(before, after, now)
}

// Preview says what a change from before to after would do, and which guards
// it would break. It plans both afresh, so that what is only late (an intent
// that no leader has acted on yet) is not blamed on the change. The plans that
// it shows are those that would run once every refusal was overridden.
func Preview(before, after *api.State, now time.Time) api.Preview {
	now = now.UTC().Round(0)
	preview := api.Preview{Pools: []api.PoolPreview{}}
	for _, name := range poolNames(after, before.Plans) {
		c := change{before: before, after: after, now: now, name: name}
		c.run()
		if c.Write || c.Delete {
			preview.Pools = append(preview.Pools, api.PoolPreview{Pool: name, Before: c.Before, After: c.Plan})
		}
		preview.Refusals = append(preview.Refusals, c.refusals()...)
	}
	return preview
}

// change is one pool's part in a change that an operator asks for.
type change struct {
	before, after *api.State
	now           time.Time
	name          string
	PoolResult
	// holds are the guards of configuration that this change would trip. Those
	// that hold already are somebody else's: a poisoned configuration must not
	// keep an operator from depooling.
	holds []hold
}

func (c *change) run() {
	was := planner{Inputs: Inputs{c.before, c.before.Plans, c.now}, name: c.name, pool: c.before.Pools[c.name], prev: c.before.Plans[c.name]}
	current := was.result().Plan
	is := planner{Inputs: Inputs{c.after, c.before.Plans, c.now}, name: c.name, pool: c.after.Pools[c.name], prev: current, anyWeight: true}
	asked := is
	c.PoolResult = is.result()
	for _, h := range is.holds {
		if h.config && !slices.Contains(was.holds, h) {
			c.holds = append(c.holds, h)
		}
	}
	if len(c.holds) > 0 {
		asked.anyConfig = true
		c.PoolResult = asked.result()
	}
}

// refusals lists the guards that the change breaks. A guard that was broken
// before refuses only what makes it worse: the way back must stay open.
func (c *change) refusals() []api.Refusal {
	if c.Before == nil || c.Plan == nil && !c.Delete {
		return nil // a first plan takes nothing away
	}
	var rs []api.Refusal
	refuse := func(risk api.Risk, format string, args ...any) {
		rs = append(rs, api.Refusal{Pool: c.Pool, Risk: risk, Message: "pool " + c.Pool + ": " + fmt.Sprintf(format, args...)})
	}
	if c.Delete {
		if weight(c.Before) > 0 {
			refuse(api.RiskEmptyPool, "removing it withdraws its %d VIPs and ends every session; depool its real servers first",
				len(c.Before.VIPs))
		}
		return rs
	}
	guards, total := c.after.Pools[c.Pool].Spec.Guards, joined(c.Plan.Destinations)
	healthy, were := states(c.Plan, api.ServerServing), states(c.Before, api.ServerServing)
	if least := guards.MinHealthy.Count(total); healthy < least && healthy < were {
		refuse(api.RiskBelowMinHealthy, "%d of %d real servers would stay healthy and in service, and minHealthy asks for %d (%s)",
			healthy, total, least, guards.MinHealthy)
	}
	out, was := states(c.Plan, api.ServerDepooled), states(c.Before, api.ServerDepooled)
	if most := guards.MaxDepooled.Floor(total); out > most && out > was {
		refuse(api.RiskOverMaxDepooled, "%d of %d real servers would be depooled, and maxDepooled allows %d (%s)",
			out, total, most, guards.MaxDepooled)
	}
	empty := empties(c.Before, c.Plan)
	for _, h := range c.holds {
		if h.risk == api.RiskEmptyPool || h.risk == api.RiskOverMaxShrink {
			empty = empty && h.risk != api.RiskEmptyPool // once is enough
			refuse(h.risk, "%s", h.reason)
		}
	}
	if empty {
		refuse(api.RiskEmptyPool, "no real server would be in service: new sessions of every customer would fail")
	}
	c.agreement(refuse)
	return rs
}

// agreement refuses maintenance while load balancers hold different tables:
// one of them may send a customer to the server that is to go. What ends
// maintenance is always allowed.
func (c *change) agreement(refuse func(risk api.Risk, format string, args ...any)) {
	published := c.before.Plans[c.Pool]
	if published == nil || !c.maintenance() {
		return
	}
	if agree, differ := Agreement(c.before, published); len(differ) > 0 {
		refuse(api.RiskLBsDisagree, "%s %s not run generation %d as planned, %d of %d live load balancers do",
			list(differ), plural(len(differ), "does", "do"), published.Generation, len(agree), len(agree)+len(differ))
	}
}

// maintenance tells whether the change takes a member out, or gives it
// another weight, by intent.
func (c *change) maintenance() bool {
	for _, d := range c.Plan.Destinations {
		was, is := c.before.Intents[d.Server], c.after.Intents[d.Server]
		if is == nil {
			continue
		}
		if is.Depooled.Active(c.now) && (was == nil || !was.Depooled.Active(c.now)) {
			return true
		}
		if is.Weight != nil && is.Weight.Active(c.now) &&
			(was == nil || was.Weight == nil || was.Weight.Value != is.Weight.Value) {
			return true
		}
	}
	return false
}

func states(p *api.Plan, state api.ServerState) int {
	n := 0
	for _, d := range p.Destinations {
		if d.State == state {
			n++
		}
	}
	return n
}
