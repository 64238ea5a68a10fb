package agent

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/peerage/peerage/agent/bird"
	"github.com/peerage/peerage/api"
)

// report hands what was reached to the publisher. It does no I/O.
func (r *round) report() {
	var all []*api.Applied
	for _, pool := range slices.Sorted(maps.Keys(r.v.plans)) {
		all = append(all, r.applied(r.v.plans[pool]))
	}
	// A pool that was refused from the start is not carried; why is told too.
	for _, pool := range slices.Sorted(maps.Keys(r.v.refused)) {
		if r.v.plans[pool] == nil {
			all = append(all, r.parting(pool, nil, r.v.refused[pool]))
		}
	}
	lost := map[string]bool{}
	if r.v.believed == nil {
		for _, a := range all {
			lost[a.Pool] = r.state.Applied[a.Pool][r.cfg.Name] == nil
		}
	}
	leaving, gone := r.left()
	r.forgetPools()
	r.pub.set(append(all, leaving...), lost, gone, r.observeEvery())
}

// left sorts the pools that the store has our word on and that are not carried
// any more: those of a host that still takes services down, and those that are
// gone.
func (r *round) left() (leaving []*api.Applied, gone []string) {
	if !r.v.mayRemove {
		return nil, nil
	}
	for _, pool := range slices.Sorted(maps.Keys(r.state.Applied)) {
		told := r.state.Applied[pool][r.cfg.Name]
		switch {
		case told == nil || r.v.plans[pool] != nil || r.v.refused[pool] != nil:
		case len(r.c.leaving) > 0:
			leaving = append(leaving, r.parting(pool, told, nil))
		default:
			gone = append(gone, pool)
		}
	}
	return leaving, gone
}

// parting is the word on a pool that is not carried.
func (r *round) parting(pool string, told *api.Applied, why error) *api.Applied {
	a := &api.Applied{Schema: api.Schema, Pool: pool, LB: r.cfg.Name, At: r.now.UTC(), VIPs: map[string]api.Announced{}}
	if why != nil {
		a.Error = why.Error()
	}
	if told == nil {
		return a
	}
	a.Generation, a.Drift = told.Generation, told.Drift
	for key := range told.VIPs {
		vip, err := netip.ParseAddr(key)
		if err != nil {
			continue
		}
		a.VIPs[key] = api.Announced{Announced: r.speech.Exported[vip], Reason: gateLeaving.text()}
	}
	return a
}

func (r *round) applied(p *api.Plan) *api.Applied {
	a := &api.Applied{
		Schema: api.Schema, Pool: p.Pool, LB: r.cfg.Name, At: r.now.UTC(),
		Generation: p.Generation, Fingerprint: r.fingerprint(p),
		Took: api.Duration(r.took[p.Pool]), Drift: r.drift[p.Pool],
		Warm: true, VIPs: map[string]api.Announced{},
		Peers:   maps.Clone(r.speech.Peers),
		Servers: r.servers(p),
	}
	if err := errors.Join(r.troubles(p.Pool)...); err != nil {
		a.Error = err.Error()
	}
	for _, vip := range p.VIPs {
		a.VIPs[vip.String()] = r.announced(p.Pool, vip)
		a.Warm = a.Warm && r.warmNow(vip)
	}
	return a
}

// announced is what BIRD was seen to tell the fabric of a VIP. While it cannot
// be read, the last word stands: not to know is not to have withdrawn.
func (r *round) announced(pool string, vip netip.Addr) api.Announced {
	if !r.speechKnown {
		if told := r.state.Applied[pool][r.cfg.Name]; told != nil && told.VIPs[vip.String()].Announced {
			return told.VIPs[vip.String()]
		}
		return api.Announced{Reason: "BIRD cannot be read"}
	}
	med, held := r.speech.Routes[vip]
	an := api.Announced{Announced: held && r.speech.Exported[vip], MED: med, Reason: r.reasons[pool][vip].text()}
	if held && !an.Announced {
		an.Reason = "no fabric session is up"
	}
	if !held && an.Reason == "" {
		an.Reason = "BIRD does not hold the route"
	}
	return an
}

func (r *round) warmNow(vip netip.Addr) bool {
	return r.rec.Warm || slices.Contains(r.rec.WarmVIPs, vip)
}

// troubles lists what is wrong for one pool: its own, and what the host lacks.
func (r *round) troubles(pool string) []error {
	var all []error
	for _, p := range parts() {
		if p != partNetfilter && p != partRecord { // the plan is applied without them
			all = append(all, r.errs[p])
		}
	}
	all = append(all, r.v.refused[pool])
	if p := r.v.plans[pool]; p != nil && r.tablesKnown && !r.equal(p) && r.errs[partTable] == nil {
		all = append(all, errors.New(gateTable.text()))
	}
	return all
}

// servers sums the kernel's counters by real server.
func (r *round) servers(p *api.Plan) map[string]api.ServerCounters {
	if r.counters == nil {
		return nil
	}
	sums := map[string]api.ServerCounters{}
	for _, vip := range p.VIPs {
		byAddr := r.counters[netip.AddrPortFrom(vip, p.Port)]
		for _, d := range p.Destinations {
			for _, addr := range d.Addresses {
				c, ok := byAddr[addr]
				if !ok {
					continue
				}
				s := sums[d.Server]
				s.ActiveConns += c.ActiveConns
				s.InactiveConns += c.InactiveConns
				s.Connections += c.Connections
				s.InPackets += c.InPackets
				s.InBytes += c.InBytes
				sums[d.Server] = s
			}
		}
	}
	return sums
}

// forgetPools drops what is remembered of pools that are gone.
func (r *round) forgetPools() {
	gone := func(pool string) bool { return r.v.plans[pool] == nil }
	maps.DeleteFunc(r.known, func(pool string, _ *facts) bool { return gone(pool) })
	maps.DeleteFunc(r.sick, func(pool string, _ int) bool { return gone(pool) })
	maps.DeleteFunc(r.drift, func(pool string, _ int64) bool { return gone(pool) })
	maps.DeleteFunc(r.arrived, func(pool string, _ time.Time) bool { return gone(pool) })
	maps.DeleteFunc(r.took, func(pool string, _ time.Duration) bool { return gone(pool) })
	maps.DeleteFunc(r.reasons, func(pool string, _ map[netip.Addr]gateReason) bool { return gone(pool) })
}

// observe reads what changes by itself: sessions of the fabric, and counters.
// It changes nothing on the host.
func (a *Agent) observe(ctx context.Context) {
	if !a.tablesKnown {
		return
	}
	ctx, cancel := a.bounded(ctx)
	defer cancel()
	r := &round{Agent: a, now: time.Now(), state: a.cfg.Source.State(), drifted: map[part]int{}}
	r.v = judge(r.state, r.rec, r.cfg.Name)
	// The plans of the last round are those of the host, whatever came since.
	r.v.plans = r.rec.Plans
	switch st, err := a.cfg.Host.Speaker.Read(ctx); {
	case err == nil:
		a.speech, a.speechKnown = st, true
	case errors.Is(err, bird.ErrNotRunning):
		a.speech, a.speechKnown = bird.State{}, true
	}
	counters, err := a.cfg.Host.Table.Counters(ctx)
	if err != nil {
		a.log.Debug("counters are not read", "error", err)
	} else {
		a.counters = counters
	}
	r.c = claim(r.state, r.v, r.tables)
	r.report()
	a.cfg.Metrics.state(r)
}
