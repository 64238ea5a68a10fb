package plan

import (
	"fmt"

	"github.com/peerage/peerage/api"
)

const joiningReason = "not seen healthy since it joined"

// destinations gives every member its weight and state, in canonical order.
func (p *planner) destinations(s shape, h health) []api.Destination {
	ds := make([]api.Destination, len(s.members))
	for i, m := range s.members {
		d := &ds[i]
		d.Server, d.Addresses, d.Nominal = m.server, m.addresses, p.nominal(m)
		if mark := p.depooled(m.server); mark != nil {
			d.State, d.Reason = api.ServerDepooled, spoken(mark)
			continue
		}
		d.State, d.Reason = p.state(m, h.servers[m.server])
	}
	p.failOpen(s, ds)
	for i := range ds {
		p.settle(&ds[i], p.before(s.members[i]))
	}
	return ds
}

// nominal is the weight that mh's table is built with.
func (p *planner) nominal(m member) int {
	w := m.weight
	if i := p.State.Intents[m.server]; i != nil && i.Weight != nil && i.Weight.Active(p.Now) {
		w = i.Weight.Value
	}
	return min(max(w, minWeight), maxWeight)
}

// depooled is the mark that takes the server out, or nil. An intent that
// cannot be read is not the same as none: what it last did stays.
func (p *planner) depooled(server string) *api.Mark {
	if i := p.State.Intents[server]; i != nil {
		if i.Depooled.Active(p.Now) {
			return i.Depooled
		}
		return nil
	}
	if d := p.destination(server); d != nil && d.State == api.ServerDepooled {
		if err := p.bad("intent/realservers/" + server); err != nil {
			return &api.Mark{By: "unreadable intent", Reason: err.Error()}
		}
	}
	return nil
}

func spoken(m *api.Mark) string {
	if m.Reason == "" {
		return "by " + m.By
	}
	return m.By + ": " + m.Reason
}

// destination is the server's in the plan before.
func (p *planner) destination(server string) *api.Destination {
	if p.index == nil && p.prev != nil {
		p.index = make(map[string]*api.Destination, len(p.prev.Destinations))
		for i := range p.prev.Destinations {
			p.index[p.prev.Destinations[i].Server] = &p.prev.Destinations[i]
		}
	}
	return p.index[server]
}

// before is the member's destination in the plan before; nil for a newcomer.
func (p *planner) before(m member) *api.Destination {
	if m.newcomer {
		return nil
	}
	return p.destination(m.server)
}

// state is what the verdict alone makes of a pooled member.
func (p *planner) state(m member, f finding) (api.ServerState, string) {
	old := p.before(m)
	joining := p.prev != nil && len(p.prev.Destinations) > 0 && (old == nil || old.State == api.ServerJoining)
	switch {
	case f.verdict == good:
		return api.ServerServing, ""
	case joining && f.verdict == unknown:
		return api.ServerJoining, joiningReason
	case joining:
		return api.ServerJoining, joiningReason + ": " + f.reason
	case f.verdict == dead:
		return api.ServerUnhealthy, f.reason
	case old == nil || old.State == api.ServerDepooled:
		// Nobody measures. The first plan is optimistic, and so is an operator
		// who puts a server back.
		return api.ServerServing, ""
	case old.State == api.ServerSuspect:
		return api.ServerUnhealthy, old.Reason // failOpen makes it suspect again if need be
	}
	return old.State, old.Reason
}

// failOpen keeps servers in service when more are unhealthy than can be
// believed; see the thresholds in the package's documentation.
func (p *planner) failOpen(s shape, ds []api.Destination) {
	unhealthy, serving := 0, 0
	for i := range ds {
		switch ds[i].State {
		case api.ServerUnhealthy:
			unhealthy++
		case api.ServerServing:
			serving++
		}
	}
	total := joined(ds)
	limit := p.pool.Spec.Guards.MaxShrink.Floor(total)
	if unhealthy == 0 || unhealthy <= limit && serving > 0 {
		return
	}
	suspects := 0
	for i := range ds {
		if ds[i].State == api.ServerUnhealthy && p.sameWave(s, s.members[i]) {
			ds[i].State = api.ServerSuspect
			suspects++
		}
	}
	switch {
	case suspects == 0:
	case unhealthy > limit:
		p.hold(api.RiskOverMaxShrink, fmt.Sprintf(
			"%d of %d real servers are unhealthy at once, and maxShrink lets health take out %d (%s); %d stay in service as suspect",
			unhealthy, total, limit, p.pool.Spec.Guards.MaxShrink, suspects))
	default:
		p.hold(api.RiskEmptyPool, fmt.Sprintf(
			"no real server that may serve is healthy; %d of %d stay in service as suspect", suspects, total))
	}
}

// sameWave tells whether an unhealthy server belongs to the failure that goes
// on now: it is still in service, or went out a moment ago. One that has been
// out for longer has lost its customers to others already.
func (p *planner) sameWave(s shape, m member) bool {
	old := p.before(m)
	return old == nil || old.Weight > 0 ||
		old.State == api.ServerUnhealthy && p.Now.Sub(old.Since) <= wave(s.check)
}

// settle derives the weight from the state, and keeps what has not changed:
// the reason of a state is the one that it began with, since counts and texts
// of probes vary without meaning anything.
func (p *planner) settle(d, old *api.Destination) {
	switch d.State {
	case api.ServerServing, api.ServerSuspect:
		d.Weight = d.Nominal
	}
	d.Since = p.Now
	if old == nil || old.State != d.State {
		return
	}
	d.Since = old.Since
	if d.State != api.ServerDepooled && old.Reason != joiningReason {
		d.Reason = old.Reason
	}
}
