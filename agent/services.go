package agent

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/peerage/peerage/api"
)

// service is one VIP and port.
type service = netip.AddrPort

// claims sorts the services of a host by who wants them.
type claims struct {
	// wanted are the tables of the plans in force, by service.
	wanted map[service]api.Table
	// pools say whose they are.
	pools map[service]string
	// kept are tables found in the kernel that no plan in force wants and that
	// nobody ordered to go: they stay exactly as they are.
	kept map[service]api.Table
	// leaving are tables found in the kernel that have to go.
	leaving map[service]api.Table
	// vips counts the wanted and kept services of each VIP.
	vips map[netip.Addr]int
}

func ofTable(t api.Table) service { return netip.AddrPortFrom(t.VIP, t.Port) }

// claim sorts what is wanted and what was found. It is pure.
func claim(s *api.State, v verdict, found []api.Table) claims {
	c := claims{
		wanted: map[service]api.Table{}, pools: map[service]string{},
		kept: map[service]api.Table{}, leaving: map[service]api.Table{},
		vips: map[netip.Addr]int{},
	}
	for pool, p := range v.plans {
		for _, t := range p.Tables() {
			c.wanted[ofTable(t)], c.pools[ofTable(t)] = t, pool
			c.vips[t.VIP]++
		}
	}
	for _, t := range found {
		key := ofTable(t)
		if _, ok := c.wanted[key]; ok {
			continue
		}
		if v.mayRemove && !spokenFor(s, v, key) {
			c.leaving[key] = t
			continue
		}
		c.kept[key] = t
		c.vips[t.VIP]++
	}
	return c
}

// spokenFor tells whether a pool that we could not follow still owns the
// service: its plan was refused, or is missing.
func spokenFor(s *api.State, v verdict, key service) bool {
	for pool := range v.refused {
		if p := s.Plans[pool]; p != nil && p.Port == key.Port() && slices.Contains(p.VIPs, key.Addr()) {
			return true
		}
	}
	for pool, config := range s.Pools {
		if v.plans[pool] != nil || v.leaving[pool] != "" || s.Plans[pool] != nil && v.refused[pool] == nil {
			continue
		}
		if config.Spec.Port == key.Port() && slices.Contains(config.Spec.VIPs, key.Addr()) {
			return true
		}
	}
	return false
}

// tables are what the kernel should hold while the leaving services of stay
// are still there, in a fixed order.
func (c claims) tables(stay map[service]api.Table) []api.Table {
	all := map[service]api.Table{}
	maps.Copy(all, stay)
	maps.Copy(all, c.kept)
	maps.Copy(all, c.wanted)
	tables := make([]api.Table, 0, len(all))
	for _, key := range slices.SortedFunc(maps.Keys(all), service.Compare) {
		tables = append(tables, all[key])
	}
	return tables
}

// ofPool are the tables of a plan among those of a host, in the plan's order.
func ofPool(p *api.Plan, tables []api.Table) []api.Table {
	var own []api.Table
	for _, t := range tables {
		if t.Port == p.Port && slices.Contains(p.VIPs, t.VIP) {
			own = append(own, t)
		}
	}
	return own
}

// departure remembers since when leaving services have been out of BIRD: what
// the fabric still has under way gets a moment to arrive.
type departure map[service]time.Time

// stay tells which of the leaving services must still be there, and how long
// until the next one may go; 0: none waits for time alone.
func (d departure) stay(leaving map[service]api.Table, withdrawn func(service) bool, now time.Time, grace time.Duration) (map[service]api.Table, time.Duration) {
	stay := map[service]api.Table{}
	var wait time.Duration
	for key, t := range leaving {
		if !withdrawn(key) {
			delete(d, key)
			stay[key] = t
			continue
		}
		since, ok := d[key]
		if !ok {
			since, d[key] = now, now
		}
		if left := grace - now.Sub(since); left > 0 {
			stay[key] = t
			if wait == 0 || left < wait {
				wait = left
			}
		}
	}
	for key := range d {
		if _, ok := leaving[key]; !ok {
			delete(d, key)
		}
	}
	return stay, wait
}
