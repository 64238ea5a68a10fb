package plan

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/peerage/peerage/api"
)

// shape is what configuration makes of a pool, before health and intent. When
// a change of configuration is held back, the shape of the previous plan takes
// its place.
type shape struct {
	vips       []netip.Addr // sorted
	port       uint16
	scheduler  api.Scheduler
	forwarding api.Forwarding
	check      api.HealthCheck
	speaker    api.Speaker
	members    []member  // in canonical order
	carriers   []carrier // sorted by LB
	probes     []netip.Addr
}

// member is a real server of the pool.
type member struct {
	server    string
	addresses []netip.Addr // sorted: IPv4 first
	weight    int          // as configured
	// newcomer was not in the plan before, as far as the kernel can tell.
	newcomer bool
}

// carrier is a load balancer that carries the pool.
type carrier struct {
	lb  string
	med uint32
}

// defaultMED is announced for a load balancer that was stored without one.
const defaultMED = 100

// Weights are small because mh divides them by their gcd and keeps 6 bits.
const minWeight, maxWeight = 1, 8

// desired is the shape that the configuration asks for, and the objects it
// names that are not there.
func (p *planner) desired() (s shape, missing []string) {
	spec := &p.pool.Spec
	s = shape{
		vips: sortedAddrs(spec.VIPs), port: spec.Port,
		scheduler: spec.Scheduler, forwarding: spec.Forwarding,
		check: spec.HealthCheck, speaker: spec.Speaker,
	}
	// There may be thousands of neighbors, mostly written in order already.
	if order := byName(func(n api.Neighbor) string { return n.Name }); !slices.IsSortedFunc(spec.Speaker.Neighbors, order) {
		s.speaker.Neighbors = slices.SortedFunc(slices.Values(spec.Speaker.Neighbors), order)
	}
	s.members, missing = p.desiredMembers()
	missing = append(missing, p.carry(&s)...)
	return s, missing
}

// desiredMembers are the configured members in canonical order.
func (p *planner) desiredMembers() (members []member, missing []string) {
	found := make(map[string]member, len(p.pool.Spec.RealServers))
	for _, name := range sortedNames(p.pool.Spec.RealServers) {
		rs := p.State.RealServers[name]
		if rs == nil {
			missing = append(missing, "RealServer/"+name)
			continue
		}
		found[name] = member{server: name, addresses: sortedAddrs(rs.Spec.Addresses), weight: rs.Spec.Weight, newcomer: true}
	}
	if p.prev != nil {
		for _, d := range p.prev.Destinations {
			m, ok := found[d.Server]
			if !ok || replaced(d.Addresses, m.addresses) {
				continue
			}
			m.newcomer = false
			members = append(members, m)
			delete(found, d.Server)
		}
	}
	kept := len(members)
	for _, m := range found {
		members = append(members, m)
	}
	slices.SortFunc(members[kept:], byName(func(m member) string { return m.server }))
	return members, missing
}

// replaced tells whether a family has another address than it had. An address
// that is only added or only removed leaves the rest of the server alone.
func replaced(before, after []netip.Addr) bool {
	for _, b := range before {
		for _, a := range after {
			if a.Is4() == b.Is4() && !slices.Contains(after, b) {
				return true
			}
		}
	}
	return false
}

// carry fills in the load balancers and where probes come from.
func (p *planner) carry(s *shape) (missing []string) {
	names := p.pool.Spec.LoadBalancers
	if len(names) == 0 {
		for name := range p.State.LoadBalancers {
			names = append(names, name)
		}
	}
	for _, name := range sortedNames(names) {
		lb := p.State.LoadBalancers[name]
		if lb == nil {
			missing = append(missing, "LoadBalancer/"+name)
			continue
		}
		c := carrier{lb: name, med: defaultMED}
		if lb.Spec.MED != nil {
			c.med = *lb.Spec.MED
		}
		s.carriers = append(s.carriers, c)
		s.probes = append(s.probes, lb.Spec.Addresses...)
	}
	s.probes = sortedAddrs(s.probes)
	return missing
}

// kept is the shape of the plan before. Weights are taken from the
// configuration where it still has the server, because a plan's nominal weight
// may come from an intent that has ended.
func (p *planner) kept() shape {
	prev := p.prev
	s := shape{
		vips: prev.VIPs, port: prev.Port, scheduler: prev.Scheduler, forwarding: prev.Forwarding,
		check: prev.HealthCheck, speaker: prev.Speaker, probes: prev.Probes,
	}
	for _, d := range prev.Destinations {
		m := member{server: d.Server, addresses: d.Addresses, weight: d.Nominal}
		if rs := p.State.RealServers[d.Server]; rs != nil {
			m.weight = rs.Spec.Weight
		}
		s.members = append(s.members, m)
	}
	for _, a := range prev.Announcements {
		if n := len(s.carriers); n == 0 || s.carriers[n-1].lb != a.LB {
			s.carriers = append(s.carriers, carrier{a.LB, a.MED})
		}
	}
	return s
}

func sortedAddrs(addrs []netip.Addr) []netip.Addr {
	return slices.Compact(slices.SortedFunc(slices.Values(addrs), netip.Addr.Compare))
}

func sortedNames(names []string) []string {
	return slices.Compact(slices.SortedFunc(slices.Values(names), strings.Compare))
}
