package api

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
)

// customerRules reports what is wrong between customers, and between them and
// the pools.
func (s *site) customerRules(r *report) {
	pools := make(map[string]*Pool, len(s.pools))
	for _, p := range s.pools {
		pools[p.Name] = p
	}
	sources := s.poolSources()
	groups := map[string]*member{}
	for _, c := range s.customers {
		s.customerPools(r, c, pools)
		s.customerSources(r, c, pools, sources)
		if c.Spec.Mode == CustomerReflect {
			reflecting(r, c, pools, groups)
		}
	}
}

// sourceKey is a prefix of sources in one pool: the longest decides whose a
// session is, so that two of the same length have no answer.
type sourceKey struct {
	pool   string
	prefix netip.Prefix
}

// poolSources are those that stand in the pools.
func (s *site) poolSources() map[sourceKey]string {
	all := map[sourceKey]string{}
	for _, p := range s.pools {
		for _, n := range p.Spec.Speaker.Neighbors {
			all[sourceKey{p.Name, n.Prefix}] = fmt.Sprintf("the neighbor %s of %s", n.Name, Key(p))
		}
	}
	return all
}

func (s *site) customerPools(r *report, c *Customer, pools map[string]*Pool) {
	for i, name := range c.Spec.Pools {
		path := fmt.Sprintf("spec.pools[%d]", i)
		p := pools[name]
		if p == nil {
			r.on(c).add(path, fmt.Sprintf("there is no Pool/%s", name), unknownName(name, slices.Sorted(maps.Keys(pools))))
			continue
		}
		if !slices.ContainsFunc(c.Spec.Neighbors, func(n CustomerNeighbor) bool { return hasFamily(p, n.Prefix.Addr()) }) {
			r.on(c).add(path, fmt.Sprintf("%s has no VIP of the family of any neighbor", name), "add a VIP to the pool, or take it out")
		}
		if c.Spec.HoldTime == 0 && c.Spec.MinHoldTime > p.Spec.Speaker.HoldTime {
			r.on(c).add("spec.minHoldTime", fmt.Sprintf("%v is more than the hold time of %v that %s offers, and no session would be acceptable", c.Spec.MinHoldTime, p.Spec.Speaker.HoldTime, Key(p)),
				"write a smaller one, or a spec.holdTime")
		}
	}
}

func hasFamily(p *Pool, a netip.Addr) bool {
	_, missing := missingFamily([]netip.Addr{a}, p.Spec.VIPs)
	return !missing
}

// customerSources reports neighbours that cannot come to any VIP, and those
// that another has already.
func (s *site) customerSources(r *report, c *Customer, pools map[string]*Pool, sources map[sourceKey]string) {
	for i, n := range c.Spec.Neighbors {
		path := fmt.Sprintf("spec.neighbors[%d].prefix", i)
		reachable, known := false, false
		for _, name := range c.Spec.Pools {
			p := pools[name]
			if p == nil {
				continue
			}
			known = true
			reachable = reachable || hasFamily(p, n.Prefix.Addr())
			key := sourceKey{name, n.Prefix}
			if other, found := sources[key]; found && other != Key(c) {
				r.on(c).add(path, fmt.Sprintf("%v is that of %s too, in %s", n.Prefix, other, Key(p)), "delete one of them, or write a longer prefix: the longest decides")
				continue
			}
			sources[key] = Key(c)
		}
		if known && !reachable {
			r.on(c).add(path, fmt.Sprintf("%v has no %s VIP to come to", n.Prefix, familyOf(n.Prefix.Addr())), "name a pool that has one, or delete the neighbor")
		}
	}
}

// member is the first customer and pool of a group, which the others follow.
type member struct {
	customer *Customer
	pool     *Pool
}

// reflecting reports sessions of a route reflector that are not internal, and
// groups of two AS numbers: reflected routes stay within one (RFC 4456).
func reflecting(r *report, c *Customer, pools map[string]*Pool, groups map[string]*member) {
	group := c.ReflectGroup()
	for i, name := range c.Spec.Pools {
		p := pools[name]
		if p == nil {
			continue
		}
		local := p.Spec.Speaker.LocalAS
		first := groups[group]
		if first == nil {
			groups[group] = &member{c, p}
		} else if as := first.pool.Spec.Speaker.LocalAS; as != local {
			r.on(c).add(fmt.Sprintf("spec.pools[%d]", i), fmt.Sprintf("%s has the AS number %d, and the group reflects within %d, that of %s of %s", name, local, as, Key(first.pool), Key(first.customer)),
				"use pools of one AS number, or a spec.group of its own")
		}
		for j, n := range c.Spec.Neighbors {
			if k := slices.IndexFunc(n.AS, func(as uint32) bool { return as != local }); k >= 0 {
				r.on(c).add(fmt.Sprintf("spec.neighbors[%d].as[%d]", j, k), fmt.Sprintf("%d is not the AS number of %s, %d, and reflected sessions are internal", n.AS[k], Key(p), local),
					"delete the line, or write mode: collect")
			}
		}
	}
}

// ReflectGroup identifies the group of a customer in mode reflect; a named one
// cannot be the own one of a customer of that name.
func (c *Customer) ReflectGroup() string {
	if c.Spec.Group != "" {
		return "group/" + c.Spec.Group
	}
	return "customer/" + c.Name
}

// warnCustomers lists what is suspicious about customers.
func (s *site) warnCustomers(r *report) {
	members := map[string]int{}
	for _, c := range s.customers {
		members[c.Spec.Group]++
	}
	for _, c := range s.customers {
		if c.Spec.Group != "" && members[c.Spec.Group] == 1 {
			r.on(c).add("spec.group", "nobody else is in the group "+c.Spec.Group, "check the name, or delete the line: a customer alone has a group of its own")
		}
		for i, n := range c.Spec.Neighbors {
			if n.Prefix.Bits() == 0 && len(n.AS) == 0 && n.MD5Secret == "" {
				r.on(c).add(fmt.Sprintf("spec.neighbors[%d].prefix", i), fmt.Sprintf("%v lets any router of any AS number be the customer's, without a key", n.Prefix), "write a longer prefix, an AS number or an md5Secret")
			}
		}
	}
}
