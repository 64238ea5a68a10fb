package realserver

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/peerage/peerage/api"
)

// desired is what the plans ask of one server.
type desired struct {
	speaker SpeakerConfig
	// generations of the plans, by pool.
	generations map[string]int64
	// checks, by pool.
	checks map[string]api.HealthCheck
}

var errNoInformation = errors.New("neither the store nor a cache was read yet; what is there stays as it is")

// desire derives what one server shall be at a time from a state that holds
// information at all: a server that knows nothing must not take its VIPs off.
func desire(name string, st *api.State, now time.Time) (*desired, error) {
	if !st.Synced && !st.FromCache {
		return nil, errNoInformation
	}
	d := &desired{generations: map[string]int64{}, checks: map[string]api.HealthCheck{}}
	if rs := st.RealServers[name]; rs != nil {
		d.speaker.Own = slices.Clone(rs.Spec.Addresses)
	}
	probes := map[netip.Addr]bool{}
	for pool, p := range st.Plans {
		i := slices.IndexFunc(p.Destinations, func(d api.Destination) bool { return d.Server == name })
		if i < 0 {
			continue
		}
		d.generations[pool], d.checks[pool] = p.Generation, p.HealthCheck
		for _, a := range append(slices.Clone(p.Probes), p.Destinations[i].Addresses...) {
			probes[a] = true
		}
		d.speaker.Own = append(d.speaker.Own, p.Destinations[i].Addresses...)
		d.speaker.Services = append(d.speaker.Services, service(p, p.Destinations[i]))
	}
	slices.SortFunc(d.speaker.Services, func(a, b Service) int { return cmp.Compare(a.Pool, b.Pool) })
	slices.SortFunc(d.speaker.Own, netip.Addr.Compare)
	d.speaker.Own = slices.Compact(d.speaker.Own)
	for a := range probes {
		d.speaker.Probes = append(d.speaker.Probes, a)
	}
	slices.SortFunc(d.speaker.Probes, netip.Addr.Compare)
	d.speaker.RouterID = routerID(d.speaker.Own)
	d.speaker.Customers = customers(d.speaker.Services, st)
	d.speaker.Routes = st.ActiveRoutes(now)
	return d, nil
}

// customers are those that peer with one of the services.
func customers(services []Service, st *api.State) []*api.Customer {
	var all []*api.Customer
	for _, c := range st.Customers {
		if slices.ContainsFunc(services, func(s Service) bool { return slices.Contains(c.Spec.Pools, s.Pool) }) {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b *api.Customer) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// service is a pool's part for a server: the VIPs of the families that the
// server has an address of.
func service(p *api.Plan, of api.Destination) Service {
	s := Service{Pool: p.Pool, Port: p.Port, Speaker: p.Speaker}
	for _, vip := range p.VIPs {
		if slices.ContainsFunc(of.Addresses, func(a netip.Addr) bool { return a.Is4() == vip.Is4() }) {
			s.VIPs = append(s.VIPs, vip)
		}
	}
	return s
}

// routerID is the server's IPv4 address, or 32 bits of its IPv6 one.
func routerID(own []netip.Addr) netip.Addr {
	for _, a := range own {
		if a.Is4() {
			return a
		}
	}
	if len(own) == 0 {
		return netip.AddrFrom4([4]byte{0, 0, 0, 1}) // a server that nobody knows any more
	}
	b := own[0].As16()
	return netip.AddrFrom4([4]byte(b[12:]))
}

// addresses are the VIPs as they stand on the device.
func (d *desired) addresses() []netip.Prefix {
	var all []netip.Prefix
	for _, s := range d.speaker.Services {
		for _, vip := range s.VIPs {
			all = append(all, netip.PrefixFrom(vip, vip.BitLen()))
		}
	}
	slices.SortFunc(all, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
	return slices.Compact(all)
}

// mayRemove tells why what is missing from a state may not be taken away; nil
// when the state is complete and current.
func mayRemove(name string, st *api.State) error {
	switch {
	case st.Held != nil:
		return fmt.Errorf("the store is held: %w", st.Held)
	case st.Stale != nil:
		return fmt.Errorf("the store does not answer: %w", st.Stale)
	case !st.Synced || st.FromCache:
		return errNoInformation
	}
	for pool, p := range st.Plans {
		// A leader never writes such a plan; somebody else did.
		if len(p.Destinations) == 0 {
			return fmt.Errorf("the plan of pool %s names no server at all: it is not believed", pool)
		}
	}
	for pool, p := range st.Pools {
		// A leader deletes a plan after its pool, never before.
		if st.Plans[pool] == nil && slices.Contains(p.Spec.RealServers, name) {
			return fmt.Errorf("pool %s names %s and has no plan: that the plan is gone is not believed", pool, name)
		}
	}
	return nil
}
