package api

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// ValidateSite reports every violation between objects that are each valid:
// overlapping VIPs, names of members that do not exist, addresses of two
// owners, sources that are of two customers. The order of messages does not depend on the order of objects.
// What is suspicious but may be meant is SiteWarnings'.
func ValidateSite(objects []Object) error {
	s := newSite(objects)
	r := &report{}
	s.once(r)
	s.ownAddresses(r)
	s.services(r)
	for _, p := range s.pools {
		s.members(r, p)
		s.balancers(r, p)
	}
	s.sharedServers(r)
	s.customerRules(r)
	return r.err()
}

// site is a set of objects in their canonical order.
type site struct {
	objects   []Object
	pools     []*Pool
	customers []*Customer
	servers   map[string]*RealServer
	lbs       map[string]*LoadBalancer
	names     []string // of all load balancers, sorted
}

func newSite(objects []Object) *site {
	s := &site{servers: map[string]*RealServer{}, lbs: map[string]*LoadBalancer{}}
	kinds := Kinds()
	s.objects = slices.SortedStableFunc(slices.Values(objects), func(a, b Object) int {
		return cmp.Or(slices.Index(kinds, a.ObjectKind())-slices.Index(kinds, b.ObjectKind()),
			cmp.Compare(a.ObjectMeta().Name, b.ObjectMeta().Name))
	})
	for _, o := range s.objects {
		switch o := o.(type) {
		case *Pool:
			s.pools = append(s.pools, o)
		case *Customer:
			s.customers = append(s.customers, o)
		case *RealServer:
			s.servers[o.Name] = o
		case *LoadBalancer:
			s.lbs[o.Name] = o
		}
	}
	s.names = slices.Sorted(maps.Keys(s.lbs))
	return s
}

// on directs the following messages to an object.
func (r *report) on(o Object) *report {
	r.object = Key(o)
	return r
}

func (s *site) once(r *report) {
	for i := 1; i < len(s.objects); i++ {
		if Key(s.objects[i]) == Key(s.objects[i-1]) {
			r.on(s.objects[i]).add("metadata.name", "the object is there twice", "delete one of them")
		}
	}
}

// owner says whose address it is.
type owner struct{ what, fix string }

// owners lists every address that a VIP must not be, without judging it.
func (s *site) owners() map[netip.Addr]owner {
	all := map[netip.Addr]owner{}
	for _, o := range s.objects {
		for _, a := range addressesOf(o) {
			if _, found := all[a]; !found {
				all[a] = owner{Key(o) + "'s own address", "write an address that no machine has: load balancers and real servers get it from the pool"}
			}
		}
		if lb, ok := o.(*LoadBalancer); ok {
			for _, peer := range lb.Spec.Fabric.Peers {
				if _, found := all[peer.Address]; !found {
					all[peer.Address] = owner{"the address of the router " + peer.Name, "write an address that no machine has"}
				}
			}
		}
	}
	return all
}

func addressesOf(o Object) []netip.Addr {
	switch o := o.(type) {
	case *LoadBalancer:
		return o.Spec.Addresses
	case *RealServer:
		return o.Spec.Addresses
	}
	return nil
}

// ownAddresses reports addresses of two machines.
func (s *site) ownAddresses(r *report) {
	first := map[netip.Addr]Object{}
	routers := map[netip.Addr]string{}
	for _, name := range s.names {
		for _, peer := range s.lbs[name].Spec.Fabric.Peers {
			routers[peer.Address] = peer.Name
		}
	}
	for _, o := range s.objects {
		for i, a := range addressesOf(o) {
			path := fmt.Sprintf("spec.addresses[%d]", i)
			if other, found := first[a]; found && Key(other) != Key(o) {
				r.on(o).add(path, fmt.Sprintf("%v is %s's address", a, Key(other)), "write the machine's own")
				continue
			}
			if router, found := routers[a]; found {
				r.on(o).add(path, fmt.Sprintf("%v is the address of the fabric router %s", a, router), "write the machine's own")
			}
			first[a] = o
		}
	}
}

// services reports VIPs that two pools claim, and VIPs that are a machine's.
func (s *site) services(r *report) {
	owners := s.owners()
	ports := map[netip.AddrPort]*Pool{}
	vips := map[netip.Addr]*Pool{}
	for _, p := range s.pools {
		for i, vip := range p.Spec.VIPs {
			path := fmt.Sprintf("spec.vips[%d]", i)
			if o, found := owners[vip]; found {
				r.on(p).add(path, fmt.Sprintf("%v is %s", vip, o.what), o.fix)
			}
			service := netip.AddrPortFrom(vip, p.Spec.Port)
			if other := ports[service]; other != nil && other.Name != p.Name {
				r.on(p).add(path, fmt.Sprintf("%v port %d is %s's", vip, p.Spec.Port, Key(other)), "write another address, or another port")
				continue
			}
			ports[service] = p
			// The fabric knows addresses, not ports: whoever announces the VIP
			// must carry all its services.
			if other := vips[vip]; other != nil && other.Name != p.Name && !slices.Equal(s.carriers(other), s.carriers(p)) {
				r.on(p).add(path, fmt.Sprintf("%v is %s's too, on other load balancers", vip, Key(other)), "give both pools the same spec.loadBalancers, or another address")
				continue
			}
			vips[vip] = p
		}
	}
}

// carriers are the load balancers of a pool, sorted.
func (s *site) carriers(p *Pool) []string {
	if len(p.Spec.LoadBalancers) == 0 {
		return s.names
	}
	return slices.Sorted(slices.Values(p.Spec.LoadBalancers))
}

// missingFamily is the first VIP of whose family addrs has no address.
func missingFamily(vips, addrs []netip.Addr) (netip.Addr, bool) {
	for _, vip := range vips {
		if !slices.ContainsFunc(addrs, func(a netip.Addr) bool { return a.Is4() == vip.Is4() }) {
			return vip, true
		}
	}
	return netip.Addr{}, false
}

func (s *site) members(r *report, p *Pool) {
	for i, name := range p.Spec.RealServers {
		path := fmt.Sprintf("spec.realServers[%d]", i)
		server := s.servers[name]
		if server == nil {
			r.on(p).add(path, fmt.Sprintf("there is no RealServer/%s", name), unknownName(name, slices.Sorted(maps.Keys(s.servers))))
			continue
		}
		if vip, missing := missingFamily(p.Spec.VIPs, server.Spec.Addresses); missing {
			r.on(p).add(path, fmt.Sprintf("%s has no %s address, and the VIP %v cannot be forwarded to one of the other family", name, familyOf(vip), vip),
				fmt.Sprintf("add one to RealServer/%s, or take either out of the pool", name))
		}
	}
}

func (s *site) balancers(r *report, p *Pool) {
	for i, name := range p.Spec.LoadBalancers {
		if s.lbs[name] == nil {
			r.on(p).add(fmt.Sprintf("spec.loadBalancers[%d]", i), fmt.Sprintf("there is no LoadBalancer/%s", name), unknownName(name, s.names))
		}
	}
	for _, name := range s.carriers(p) {
		lb := s.lbs[name]
		if lb == nil {
			continue
		}
		// Without an address of the family it cannot check the real servers.
		if vip, missing := missingFamily(p.Spec.VIPs, lb.Spec.Addresses); missing {
			r.on(p).add("spec.vips", fmt.Sprintf("LoadBalancer/%s has no %s address to check the real servers of %v from", name, familyOf(vip), vip),
				fmt.Sprintf("add one to LoadBalancer/%s, or list the pool's load balancers without it", name))
		}
	}
}

// unknownName suggests the name that differs in case and hyphens only: names
// with another number are other machines.
func unknownName(name string, known []string) string {
	for _, k := range known {
		if plain(k) == plain(name) {
			return "write " + k
		}
	}
	return "apply that object too, or take the name out"
}

func plain(name string) string { return strings.ToLower(strings.ReplaceAll(name, "-", "")) }

// sharedServers reports pools whose speakers cannot be one process: a real
// server hosts one speaker, with one AS number.
func (s *site) sharedServers(r *report) {
	first := map[string]*Pool{} // by real server
	for _, p := range s.pools {
		clashes := map[string]bool{} // one message a pair of pools
		for i, name := range p.Spec.RealServers {
			other := first[name]
			if other == nil {
				first[name] = p
				continue
			}
			if other.Name == p.Name || other.Spec.Speaker.LocalAS == p.Spec.Speaker.LocalAS || clashes[other.Name] {
				continue
			}
			clashes[other.Name] = true
			r.on(p).add(fmt.Sprintf("spec.realServers[%d]", i),
				fmt.Sprintf("%s is in %s too, whose localAS is %d and not %d", name, Key(other), other.Spec.Speaker.LocalAS, p.Spec.Speaker.LocalAS),
				"use real servers of its own for each AS number: one speaker has one")
		}
	}
}
