package agent

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/peerage/peerage/agent/probe"
	"github.com/peerage/peerage/api"
)

// targets are the probes that the plans ask for: every real server of every
// pool, on its own address of each family that a VIP of the pool has.
func targets(plans map[string]*api.Plan, lb *api.LoadBalancer) []probe.Target {
	if lb == nil {
		return nil
	}
	var all []probe.Target
	for _, pool := range slices.Sorted(maps.Keys(plans)) {
		p := plans[pool]
		for _, d := range p.Destinations {
			t := probe.Target{Pool: pool, Server: d.Server, Check: p.HealthCheck, PeerAS: p.Speaker.LocalAS}
			for _, a := range d.Addresses {
				if hasFamily(p.VIPs, a) {
					t.Paths = append(t.Paths, probe.Path{Addr: netip.AddrPortFrom(a, p.Port), Source: ownAddress(lb, a)})
				}
			}
			all = append(all, t)
		}
	}
	return all
}

func hasFamily(vips []netip.Addr, a netip.Addr) bool {
	return slices.ContainsFunc(vips, func(vip netip.Addr) bool { return vip.Is4() == a.Is4() })
}

// ownAddress is the LB's address of the family of other, or the zero address.
func ownAddress(lb *api.LoadBalancer, other netip.Addr) netip.Addr {
	for _, a := range lb.Spec.Addresses {
		if a.Is4() == other.Is4() {
			return a
		}
	}
	return netip.Addr{}
}
