package agent

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/peerage/peerage/api"
)

// verdict is what the agent goes by in one round: the last good plans and why
// newer ones were not taken.
type verdict struct {
	// plans are in force, by pool.
	plans map[string]*api.Plan
	// refused says why the store's word on a pool was not taken.
	refused map[string]error
	// leaving are the pools that this LB was told to leave, and why.
	leaving map[string]string
	// lb and connSync are the configuration in force; lb is nil when this LB
	// was never configured.
	lb       *api.LoadBalancer
	connSync api.ConnSync
	// believed says why the store is not taken at its word; nil when it is.
	believed error
	// mayRemove tells that what nobody claims may go: the store is believed,
	// and holds a site. An emptied store is not an order.
	mayRemove bool
	// acceptRestored tells that a restored store was accepted by an operator.
	acceptRestored bool
}

// believe tells why a state may not change the host. A state that is not
// believed still serves where nothing else is known: at a boot without etcd.
func believe(s *api.State) error {
	switch {
	case s.Held != nil:
		return fmt.Errorf("the store is not believed: %w", s.Held)
	case s.Stale != nil:
		return fmt.Errorf("the store is out of reach: %w", s.Stale)
	case s.FromCache:
		return errors.New("the store was not reached yet; the state is from the disk")
	case !s.Synced:
		return errors.New("the store was not read yet")
	}
	return nil
}

// judge decides what to go by. It is pure. The rule behind every branch: an
// error, a silence or an absurdity is never an order to take something down.
func judge(s *api.State, rec *record, self string) verdict {
	v := verdict{
		plans: map[string]*api.Plan{}, refused: map[string]error{}, leaving: map[string]string{},
		lb: rec.LoadBalancer, connSync: rec.ConnSync, believed: believe(s),
	}
	// A name that the site does not know is a typing error, unless this agent
	// once bore it with the site's knowledge.
	known := s.LoadBalancers[self] != nil || rec.LoadBalancer != nil && len(s.LoadBalancers) > 0
	v.mayRemove = v.believed == nil && known
	v.acceptRestored = v.believed == nil && s.StoreIntent != nil && s.StoreIntent.At.After(rec.Accepted)
	if lb := s.LoadBalancers[self]; lb != nil && (v.believed == nil || v.lb == nil) {
		v.lb = lb
	}
	if s.Settings != nil && (v.believed == nil && s.LoadBalancers[self] != nil || v.connSync == (api.ConnSync{})) {
		v.connSync = s.Settings.Spec.ConnSync
	}
	for _, pool := range poolNames(s, rec) {
		v.judgePool(s, rec, self, pool)
	}
	v.separate()
	return v
}

func poolNames(s *api.State, rec *record) []string {
	names := slices.Collect(maps.Keys(rec.Plans))
	names = slices.AppendSeq(names, maps.Keys(s.Plans))
	slices.Sort(names)
	return slices.Compact(names)
}

func (v *verdict) judgePool(s *api.State, rec *record, self, pool string) {
	last, next := rec.Plans[pool], s.Plans[pool]
	for key, bad := range s.Bad {
		if strings.HasSuffix(key, "/plan/"+pool) {
			v.refused[pool] = fmt.Errorf("plan of pool %s: %w; the last good one stays", pool, bad)
		}
	}
	mine := next != nil && names(next, self)
	switch {
	case last == nil && !mine:
		return
	case last == nil:
		if err := validPlan(pool, next); err != nil {
			v.refused[pool] = fmt.Errorf("plan of pool %s, generation %d: %w; the pool is not carried", pool, next.Generation, err)
			return
		}
		v.plans[pool] = next
		return
	case v.believed != nil:
		v.plans[pool] = last
		return
	case !mine:
		if reason := v.told(s, next, self, pool); reason != "" {
			v.leaving[pool] = reason
			return
		}
		v.plans[pool] = last
		v.refused[pool] = fmt.Errorf("pool %s: the plan in the store does not speak of this load balancer, the configuration does; generation %d stays", pool, last.Generation)
		return
	}
	if err := follows(pool, last, next, v.acceptRestored); err != nil {
		v.plans[pool] = last
		v.refused[pool] = fmt.Errorf("plan of pool %s, generation %d: %w; generation %d stays", pool, next.Generation, err, last.Generation)
		return
	}
	v.plans[pool] = next
}

// told tells by what words this LB was told to leave a pool: by a store that
// is believed, that still holds a site, and in which both the plan and the
// configuration leave the LB out.
func (v *verdict) told(s *api.State, next *api.Plan, self, pool string) string {
	if !v.mayRemove {
		return ""
	}
	config := s.Pools[pool]
	switch {
	case config == nil && next == nil:
		return "the pool was removed"
	case s.LoadBalancers[self] == nil && next != nil:
		return "this load balancer was removed from the site"
	case config != nil && next != nil && len(config.Spec.LoadBalancers) > 0 && !slices.Contains(config.Spec.LoadBalancers, self):
		return "this load balancer was taken out of the pool"
	}
	return ""
}

// separate refuses a plan that takes a service of another pool: two plans that
// fight for one service would rewrite it for ever.
func (v *verdict) separate() {
	owner := map[netip.AddrPort]string{}
	for _, pool := range slices.Sorted(maps.Keys(v.plans)) {
		p := v.plans[pool]
		for _, vip := range p.VIPs {
			service := netip.AddrPortFrom(vip, p.Port)
			if other, ok := owner[service]; ok {
				v.refused[pool] = fmt.Errorf("plan of pool %s, generation %d: %s belongs to pool %s; the pool is not carried", pool, p.Generation, service, other)
				delete(v.plans, pool)
				break
			}
		}
		if v.plans[pool] == nil {
			continue
		}
		for _, vip := range p.VIPs {
			owner[netip.AddrPortFrom(vip, p.Port)] = pool
		}
	}
}

func names(p *api.Plan, lb string) bool {
	return slices.ContainsFunc(p.Announcements, func(a api.Announcement) bool { return a.LB == lb })
}

// follows tells why next may not follow last. How much a plan may take away is
// the leader's guard; here is the last line: nothing goes back, and nothing
// that had real servers is left with none.
func follows(pool string, last, next *api.Plan, acceptRestored bool) error {
	if err := validPlan(pool, next); err != nil {
		return err
	}
	if next.Generation < last.Generation && !acceptRestored {
		return fmt.Errorf("it goes back from %d; when the store was restored on purpose, say so with `peeragectl store accept --accept-risk=%s`",
			last.Generation, api.RiskRestoredStore)
	}
	full := map[netip.AddrPort]bool{}
	for _, t := range last.Tables() {
		full[netip.AddrPortFrom(t.VIP, t.Port)] = len(t.Destinations) > 0
	}
	for _, t := range next.Tables() {
		if service := netip.AddrPortFrom(t.VIP, t.Port); full[service] && len(t.Destinations) == 0 {
			return fmt.Errorf("it leaves %s without any real server; to end the service, remove the VIP or the pool", service)
		}
	}
	return nil
}
