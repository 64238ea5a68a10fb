package api

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
)

// SiteWarnings lists what is suspicious about a valid site but may be meant,
// such as VIPs that a load balancer has no router to tell of: they may be
// routed by hand. The order does not depend on the order of objects.
func SiteWarnings(objects []Object) []*FieldError {
	s := newSite(objects)
	r := &report{}
	used := map[string]bool{}
	for _, p := range s.pools {
		for _, name := range p.Spec.RealServers {
			used[name] = true
		}
		s.warnPool(r, p)
	}
	for _, name := range slices.Sorted(maps.Keys(s.servers)) {
		if !used[name] {
			r.on(s.servers[name]).add("", "the real server is in no pool", "name it in a pool's spec.realServers")
		}
	}
	s.warnCustomers(r)
	warnings := FieldErrors(r.err())
	for _, w := range warnings {
		w.Warning = true
	}
	return warnings
}

func (s *site) warnPool(r *report, p *Pool) {
	members := len(p.Spec.RealServers)
	if members == 0 {
		r.on(p).add("spec.realServers", "the pool has no members, and refuses every session", "name its real servers")
	}
	if healthy := p.Spec.Guards.MinHealthy.Count(members); members > 0 && healthy >= members {
		r.on(p).add("spec.guards.minHealthy", fmt.Sprintf("%v keeps every one of %d in service, and none can be taken out for maintenance", p.Spec.Guards.MinHealthy, members), "write a smaller one, or add members")
	}
	if len(s.carriers(p)) == 0 {
		r.on(p).add("spec.loadBalancers", "there is no load balancer to carry the pool", "apply one")
	}
	for _, name := range s.carriers(p) {
		lb := s.lbs[name]
		if lb == nil {
			continue
		}
		var routers []netip.Addr
		for _, peer := range lb.Spec.Fabric.Peers {
			routers = append(routers, peer.Address)
		}
		if vip, missing := missingFamily(p.Spec.VIPs, routers); missing {
			r.on(p).add("spec.vips", fmt.Sprintf("LoadBalancer/%s has no %s fabric peer to announce %v to", name, familyOf(vip), vip), "add one to its spec.fabric.peers, or route the VIP to it by hand")
		}
	}
	for i, n := range p.Spec.Speaker.Neighbors {
		if _, missing := missingFamily([]netip.Addr{n.Prefix.Addr()}, p.Spec.VIPs); missing {
			r.on(p).add(fmt.Sprintf("spec.speaker.neighbors[%d].prefix", i), fmt.Sprintf("%v has no %s VIP to come to", n.Prefix, familyOf(n.Prefix.Addr())), "add a VIP of the family, or delete the neighbor")
		}
	}
}
