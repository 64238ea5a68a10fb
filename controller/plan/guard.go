package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/peerage/peerage/api"
)

// guarded is the desired shape, or the previous plan's when a guard holds the
// change back.
func (p *planner) guarded(s shape, missing []string) shape {
	before := len(p.holds)
	if len(missing) > 0 {
		p.holdConfig(guardMissingObject, fmt.Sprintf("the configuration names %s, which %s not there; apply %s, or take the name out",
			list(missing), plural(len(missing), "is", "are"), plural(len(missing), "it", "them")))
	}
	if why := p.unsound(s); why != "" && len(s.vips) > 0 {
		p.holdConfig(guardInvalid, "the configuration cannot run: "+why+"; correct it and apply it again")
	}
	if p.prev == nil {
		return s
	}
	if len(p.holds) == before {
		p.guardEmpty(s)
		p.guardShrink(s)
	}
	if len(p.holds) == before || p.anyConfig {
		return s
	}
	return p.kept()
}

// guardEmpty refuses a shape in which nothing could serve, or nothing of what
// customers reach now would be left. It looks at names alone; whether what
// is left does serve is seen later, in plan.
func (p *planner) guardEmpty(s shape) {
	if p.accepts(api.RiskEmptyPool, nil) {
		return
	}
	old := p.kept()
	why := ""
	switch {
	case len(s.members) == 0 && len(old.members) > 0:
		why = fmt.Sprintf("removes all %d real servers", len(old.members))
	case len(s.carriers) == 0 && len(old.carriers) > 0:
		why = fmt.Sprintf("leaves none of %d load balancers", len(old.carriers))
	case len(old.vips) > 0 && !overlap(old.vips, s.vips):
		why = fmt.Sprintf("leaves none of %d VIPs", len(old.vips))
	case old.port != s.port:
		why = fmt.Sprintf("moves every VIP from port %d to %d", old.port, s.port)
	default:
		return
	}
	p.holdConfig(api.RiskEmptyPool, "the configuration "+why+", which ends every session of the pool; the plan before stays")
}

// guardShrink refuses to remove more than maxShrink of the members in one
// step. Depooled and dead ones count too, since they may hold sessions, which
// a removal resets; those that never served do not.
func (p *planner) guardShrink(s shape) {
	lost := p.lost(s)
	joined := joined(p.prev.Destinations)
	limit := p.pool.Spec.Guards.MaxShrink.Floor(joined)
	if len(lost) <= limit {
		return
	}
	members := make([]member, 0, len(lost))
	for _, name := range lost {
		members = append(members, member{server: name})
	}
	if p.accepts(api.RiskOverMaxShrink, members) {
		return
	}
	p.holdConfig(api.RiskOverMaxShrink, fmt.Sprintf(
		"the configuration removes %d of %d real servers in one step (%s), and maxShrink allows %d (%s)",
		len(lost), joined, list(lost), limit, p.pool.Spec.Guards.MaxShrink))
}

// lost names the joined servers of the plan before that a shape removes, or
// takes an address from.
func (p *planner) lost(s shape) []string {
	var lost []string
	for _, d := range p.prev.Destinations {
		at := slices.IndexFunc(s.members, func(m member) bool { return m.server == d.Server })
		if d.State != api.ServerJoining && (at < 0 || !containsAll(s.members[at].addresses, d.Addresses)) {
			lost = append(lost, d.Server)
		}
	}
	return lost
}

// accepts tells whether somebody overrode a guard: with the configuration of
// the pool or of one of the servers, or with an intent that takes one out.
func (p *planner) accepts(risk api.Risk, servers []member) bool {
	if p.pool.Accepts(risk) {
		return true
	}
	for _, m := range servers {
		if rs := p.State.RealServers[m.server]; rs != nil && rs.Accepts(risk) {
			return true
		}
		if i := p.State.Intents[m.server]; i != nil && i.Depooled.Active(p.Now) && i.Depooled.Accepts(risk) {
			return true
		}
	}
	return false
}

// refuseEmpty is what runs in place of a plan without any weight: first
// without the change of configuration, then without any change at all. config
// are the holds that the configuration alone has brought about.
func (p *planner) refuseEmpty(s shape, config []hold) *api.Plan {
	p.holds = slices.Clip(config)
	p.holdConfig(api.RiskEmptyPool, fmt.Sprintf(
		"of the %d real servers that the configuration leaves, none is serving; "+
			"add the new ones first, and remove the old ones when the new ones serve", len(s.members)))
	if next := p.fill(p.kept()); !empties(p.prev, next) {
		return next
	}
	p.holds = slices.Clip(config)
	p.hold(api.RiskEmptyPool, fmt.Sprintf(
		"intents and health together leave none of %d real servers in service; "+
			"pool one of them, or depool with --accept-risk=%s", len(p.prev.Destinations), api.RiskEmptyPool))
	return new(*p.prev)
}

// empties tells whether the step takes the last weight away.
func empties(before, after *api.Plan) bool {
	return weight(before) > 0 && weight(after) == 0
}

func weight(p *api.Plan) (sum int) {
	for _, d := range p.Destinations {
		sum += d.Weight
	}
	return sum
}

// joined counts the members that guards count: all but those that have not
// served yet, so that preparing new servers changes no limit.
func joined(ds []api.Destination) int {
	n := 0
	for _, d := range ds {
		if d.State != api.ServerJoining {
			n++
		}
	}
	return n
}

func overlap[T comparable](a, b []T) bool {
	return slices.ContainsFunc(a, func(v T) bool { return slices.Contains(b, v) })
}

func containsAll[T comparable](all, some []T) bool {
	return !slices.ContainsFunc(some, func(v T) bool { return !slices.Contains(all, v) })
}

// list names at most five things.
func list(names []string) string {
	if len(names) > 5 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:5], ", "), len(names)-5)
	}
	return strings.Join(names, ", ")
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
