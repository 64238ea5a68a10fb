package plan

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/peerage/peerage/api"
)

// guardInvalid is the guard of a configuration that validation should have
// refused: somebody wrote it past the API.
const guardInvalid api.Risk = "invalid-configuration"

// unsound is why no load balancer could run a shape, or empty. It repeats in
// short what validation says at length, since an agent would refuse the plan and
// the load balancers would go on without any.
func (p *planner) unsound(s shape) string {
	switch {
	case s.port == 0:
		return "the pool has no port"
	case !slices.Contains([]api.Scheduler{api.SchedulerMH, api.SchedulerWLC, api.SchedulerWRR, api.SchedulerRR, api.SchedulerSH}, s.scheduler):
		return fmt.Sprintf("scheduler %q is not known", s.scheduler)
	case s.forwarding != api.ForwardingDSR:
		return fmt.Sprintf("forwarding %q is not supported", s.forwarding)
	}
	if other := p.rival(s); other != "" {
		return other
	}
	owners := make(map[netip.Addr]string, len(s.vips)+2*len(s.members))
	claim := func(a netip.Addr, who string) string {
		if !a.IsValid() || a.Is4In6() || a.Zone() != "" || a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() || a.IsLinkLocalUnicast() {
			return fmt.Sprintf("%s: %s is not an address that packets can be sent to", who, a)
		}
		if other, taken := owners[a]; taken {
			return fmt.Sprintf("%s has the address %s of %s", who, a, other)
		}
		owners[a] = who
		return ""
	}
	for _, a := range s.vips {
		if why := claim(a, "a VIP"); why != "" {
			return why
		}
	}
	for _, m := range s.members {
		who := "RealServer/" + m.server
		if n := len(m.addresses); n == 0 || n > 2 || n == 2 && m.addresses[0].Is4() == m.addresses[1].Is4() {
			return fmt.Sprintf("%s has %d addresses; one of a family, at least one in all, are needed", who, n)
		}
		for _, a := range m.addresses {
			if why := claim(a, who); why != "" {
				return why
			}
		}
	}
	return ""
}

// rival finds another pool that already has a VIP and port of the shape: in
// its plan, or, when neither has one, as the first by name.
func (p *planner) rival(s shape) string {
	for _, name := range poolNames(p.State, p.Plans) {
		var vips []netip.Addr
		var port uint16
		switch other := p.Plans[name]; {
		case name == p.name:
			continue
		case other != nil:
			vips, port = other.VIPs, other.Port
		case p.prev == nil && name < p.name:
			vips, port = p.State.Pools[name].Spec.VIPs, p.State.Pools[name].Spec.Port
		}
		for _, vip := range s.vips {
			if port == s.port && slices.Contains(vips, vip) {
				return fmt.Sprintf("VIP %s port %d belongs to pool %s", vip, port, name)
			}
		}
	}
	return ""
}
