package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/peerage/peerage/agent/bird"
	"github.com/peerage/peerage/api"
)

// withdraw takes out of BIRD what must not be announced any more, and reads
// back that it is gone, before anything under it is touched. Nothing new is
// announced here, and no MED changes.
func (r *round) withdraw(ctx context.Context) {
	keep := r.routes(true)
	if !r.speechKnown || len(keep) == len(r.speech.Routes) {
		return
	}
	r.speak(ctx, keep)
}

// speak hands routes to BIRD. What it reads back is what counts from then on.
func (r *round) speak(ctx context.Context, routes map[netip.Addr]uint32) {
	if r.v.lb == nil {
		r.failed(partSpeaker, notConfigured(r.cfg.Name))
		return
	}
	if !r.speechKnown {
		return // hear has reported why; nobody knows what BIRD announces
	}
	want := bird.Config{Addresses: r.v.lb.Spec.Addresses, Fabric: r.v.lb.Spec.Fabric, Routes: routes}
	due, same := r.done.due(partSpeaker, want, r.full)
	if !due {
		return
	}
	if same && !maps.Equal(routes, r.speech.Routes) {
		r.drifted[partSpeaker]++
	}
	before := r.speech.Routes
	ctx, cancel := r.bounded(ctx)
	defer cancel()
	st, err := r.cfg.Host.Speaker.Set(ctx, want)
	r.done.keep(partSpeaker, want, err)
	switch {
	case err == nil:
		r.speech = st
	case errors.Is(err, bird.ErrNotRunning):
		r.speech = bird.State{}
	case st.Routes != nil:
		r.speech = st
	}
	r.failed(partSpeaker, err)
	r.logRoutes(before, r.speech.Routes)
}

func (r *round) logRoutes(before, after map[netip.Addr]uint32) {
	for _, vip := range slices.SortedFunc(maps.Keys(after), netip.Addr.Compare) {
		if med, ok := before[vip]; !ok || med != after[vip] {
			r.log.Info("VIP announced", "vip", vip, "med", after[vip])
		}
	}
	for _, vip := range slices.SortedFunc(maps.Keys(before), netip.Addr.Compare) {
		if _, ok := after[vip]; !ok {
			r.log.Info("VIP withdrawn", "vip", vip)
		}
	}
}

// withdrawn tells that nobody is told of the VIP any more, or that it stays
// for the sake of another service.
func (r *round) withdrawn(key service) bool {
	if r.c.vips[key.Addr()] > 0 {
		return true
	}
	_, held := r.speech.Routes[key.Addr()]
	return r.speechKnown && !held && !r.speech.Exported[key.Addr()]
}

// prepare makes everything under the VIPs as it should be. Each step goes on
// where another failed: they have nothing to do with each other but their
// order.
func (r *round) prepare(ctx context.Context) {
	stay, wait := r.gone.stay(r.c.leaving, r.withdrawn, r.now, r.cfg.Grace)
	r.waitFor(wait)
	tables := r.c.tables(stay)

	host := r.cfg.Host
	values := host.Parameters(r.v.connSync)
	r.step(ctx, partSysctls, values, func(ctx context.Context) (int, error) {
		drifted, err := host.Sysctls.Set(ctx, values)
		return len(drifted), err
	})
	r.addresses(ctx, tables)
	r.table(ctx, stay)
	r.connSync(ctx)
	services := make([]service, 0, len(tables))
	for _, t := range tables {
		services = append(services, ofTable(t))
	}
	r.netfilter(ctx, services)
}

// rulesRounds is how many full rounds go by between two looks at the packet
// filter. A look takes a dozen processes, and a plan that arrives meanwhile
// waits for it; the rules are a safety net that others seldom touch.
const rulesRounds = 6

// netfilter sets the rules when other ones are wanted, and looks at those that
// are there once in a while.
func (r *round) netfilter(ctx context.Context, services []service) {
	if r.full {
		early := r.now.Before(r.rulesSeen.Add(rulesRounds * r.cfg.FullEvery))
		if early && r.done.settled(partNetfilter, services) {
			return
		}
		r.rulesSeen = r.now
	}
	r.step(ctx, partNetfilter, services, func(ctx context.Context) (int, error) {
		return count(r.cfg.Host.Netfilter.Set(ctx, services))
	})
}

// step sets one part when it is due, and counts what it found as drift when
// nothing else was wanted than before.
func (r *round) step(ctx context.Context, p part, want any, set func(ctx context.Context) (int, error)) {
	due, same := r.done.due(p, want, r.full)
	if !due {
		return
	}
	ctx, cancel := r.bounded(ctx)
	defer cancel()
	n, err := set(ctx)
	r.done.keep(p, want, err)
	if err != nil {
		err = fmt.Errorf("%s: %w", p, err)
	}
	r.failed(p, err)
	if same && n > 0 {
		r.drifted[p] += n
		r.log.Warn("drift repaired", "part", p, "changes", n)
	}
}

func count(changed bool, err error) (int, error) {
	if changed {
		return 1, err
	}
	return 0, err
}

// addresses brings the VIPs up. What is there beyond them goes only when
// somebody may order that.
func (r *round) addresses(ctx context.Context, tables []api.Table) {
	want := make([]netip.Prefix, 0, len(tables))
	for _, t := range tables {
		want = append(want, netip.PrefixFrom(t.VIP, t.VIP.BitLen()))
	}
	host := r.cfg.Host.Addresses
	if !r.v.mayRemove {
		listing, cancel := r.bounded(ctx)
		have, err := host.List(listing)
		cancel()
		if err != nil {
			r.failed(partAddresses, fmt.Errorf("%s: %w", partAddresses, err))
			return
		}
		want = append(want, have...)
	}
	slices.SortFunc(want, netip.Prefix.Compare)
	want = slices.Compact(want)
	r.step(ctx, partAddresses, want, func(ctx context.Context) (int, error) { return count(host.Set(ctx, want)) })
}

// table makes the kernel's table as wanted, and reads it back when it was
// touched.
func (r *round) table(ctx context.Context, stay map[service]api.Table) {
	r.lane.mu.Lock()
	defer r.lane.mu.Unlock()
	if r.overtake() {
		// What leaves by the newer plan has not been withdrawn yet.
		stay, _ = r.gone.stay(r.c.leaving, r.withdrawn, r.now, r.cfg.Grace)
	}
	if r.lane.touched {
		delete(r.done, partTable)
		r.lane.touched = false
	}
	defer r.hold()
	tables, found := r.c.tables(stay), r.tables
	due, same := r.done.due(partTable, tables, r.full)
	if !due {
		return
	}
	if same {
		r.countDrift(found)
	}
	ctx, cancel := r.bounded(ctx)
	defer cancel()
	res, err := r.cfg.Host.Table.Set(ctx, tables)
	r.done.keep(partTable, tables, err)
	for _, op := range res.Ops {
		r.log.Debug("ipvs", "op", op)
	}
	if err == nil && res.Changed == 0 && r.full && api.Fingerprint(found) == api.Fingerprint(tables) {
		r.failed(partTable, nil)
		return // the dump of this round stands
	}
	dump, dumpErr := r.cfg.Host.Table.Dump(ctx)
	if dumpErr == nil {
		r.setTables(dump)
	}
	if err = errors.Join(err, dumpErr); err != nil {
		err = fmt.Errorf("ipvs: %w", err)
	}
	r.failed(partTable, err)
}

// countDrift counts, by pool, the services that differ although nothing else
// was wanted since they were equal.
func (r *round) countDrift(found []api.Table) {
	have := map[service]string{}
	for _, t := range found {
		have[ofTable(t)] = t.String()
	}
	for key, t := range r.c.wanted {
		if have[key] == t.String() {
			continue
		}
		r.drift[r.c.pools[key]]++
		r.drifted[partTable]++
		r.log.Warn("drift found in the kernel's table", "pool", r.c.pools[key], "service", key)
	}
}

func (r *round) connSync(ctx context.Context) {
	if r.v.lb == nil {
		r.failed(partConnSync, notConfigured(r.cfg.Name))
		return
	}
	want := SyncConfig{Interface: r.v.lb.Spec.Interface, ID: r.v.connSync.ID}
	for _, pool := range slices.Sorted(maps.Keys(r.v.plans)) {
		want.HoldTimes = append(want.HoldTimes, time.Duration(r.v.plans[pool].Speaker.HoldTime))
	}
	r.step(ctx, partConnSync, want, func(ctx context.Context) (int, error) { return count(r.cfg.Host.ConnSync.Set(ctx, want)) })
	if r.errs[partConnSync] == nil {
		r.rec.listen(r.now)
	}
}

// settle takes note of what was reached: equality with the plans, and warmth.
func (r *round) settle() {
	for pool, p := range r.v.plans {
		switch {
		case r.equal(p):
			r.sick[pool] = 0
			if at, ok := r.arrived[pool]; ok {
				r.took[pool] = time.Since(at)
				r.cfg.Metrics.applied(r.took[pool])
				delete(r.arrived, pool)
			}
		case r.kind == roundFull:
			r.sick[pool]++
		}
	}
	warmup := or(time.Duration(r.v.connSync.Warmup), defaultWarmup)
	r.waitFor(r.rec.settle(r.now, warmup))
}

func (r *round) waitFor(d time.Duration) {
	if d > 0 && (r.wait == 0 || d < r.wait) {
		r.wait = d
	}
}

// announce hands BIRD what the gates let through.
func (r *round) announce(ctx context.Context) {
	want := r.routes(false)
	r.speak(ctx, want)
	if r.errs[partSpeaker] == nil {
		for vip := range want {
			if r.c.vips[vip] > 0 {
				r.rec.keepWarm(vip)
			}
		}
	}
	r.save()
}
