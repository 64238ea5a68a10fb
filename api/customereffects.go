package api

import (
	"fmt"
	"net/netip"
	"slices"
)

// CustomerEffect is what a change does to one customer's sessions.
type CustomerEffect struct {
	Customer string `json:"customer"`
	// Action is created, changed or deleted.
	Action Action `json:"action"`
	// Effects say which sessions end and why, and which need another key. What
	// is not listed goes on.
	Effects []string `json:"effects"`
}

// maxEffects bounds the lines on one customer.
const maxEffects = 10

// CustomerEffects lists the customers whose sessions a change ends or gives
// another key, sorted by name. What a change does to others, such as new limits, takes effect without
// ending a session and is in the diff of the object.
func CustomerEffects(before, after *State) []CustomerEffect {
	was, is := newSources(before), newSources(after)
	var all []CustomerEffect
	for _, name := range sortedKeys(union(before.Customers, after.Customers)) {
		e := CustomerEffect{Customer: name}
		b, a := before.Customers[name], after.Customers[name]
		switch {
		case b == a:
			continue
		case a == nil:
			e.Action = ActionDeleted
			e.Effects = []string{fmt.Sprintf("every session of its %s ends", counted(len(b.Spec.Neighbors), "neighbor"))}
		case b == nil:
			e.Action = ActionCreated
			e.Effects = takes(a, was)
		default:
			e.Action = ActionChanged
			e.Effects = append(ends(b, a, is), takes(a, was)...)
		}
		if n := len(e.Effects); n > maxEffects {
			e.Effects = append(e.Effects[:maxEffects:maxEffects], fmt.Sprintf("and %d more", n-maxEffects))
		}
		if len(e.Effects) > 0 {
			all = append(all, e)
		}
	}
	return all
}

func union[V any](a, b map[string]V) map[string]V {
	all := make(map[string]V, len(a)+len(b))
	for _, m := range []map[string]V{a, b} {
		for k, v := range m {
			all[k] = v
		}
	}
	return all
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// source is who owns the sessions from a prefix in one pool.
type source struct {
	owner string // Customer's name, or POOL.NEIGHBOR
	CustomerNeighbor
}

// sources are all prefixes by pool.
type sources map[string]map[netip.Prefix]source

func newSources(st *State) sources {
	all := sources{}
	for name, p := range st.Pools {
		all[name] = map[netip.Prefix]source{}
		for _, n := range p.Spec.Speaker.Neighbors {
			one := CustomerNeighbor{Prefix: n.Prefix, MD5Secret: n.MD5Secret}
			if n.AS != 0 {
				one.AS = []uint32{n.AS}
			}
			all[name][n.Prefix] = source{name + "." + n.Name, one}
		}
	}
	for _, name := range sortedKeys(st.Customers) {
		for _, pool := range st.Customers[name].Spec.Pools {
			for _, n := range st.Customers[name].Spec.Neighbors {
				if all[pool] != nil {
					all[pool][n.Prefix] = source{name, n}
				}
			}
		}
	}
	return all
}

// longest is whose the sessions from a prefix are: the longest one that holds
// it whole.
func (s sources) longest(pool string, p netip.Prefix) (source, bool) {
	for bits := p.Bits(); bits >= 0; bits-- {
		shorter, err := p.Addr().Prefix(bits)
		if err != nil {
			break // not a prefix
		}
		if found, ok := s[pool][shorter]; ok {
			return found, true
		}
	}
	return source{}, false
}

// takes says which sessions of others a customer's prefixes would get: they
// end, because a session does not change its owner.
func takes(c *Customer, was sources) []string {
	var lines []string
	for _, pool := range c.Spec.Pools {
		for _, n := range c.Spec.Neighbors {
			if other, found := was.longest(pool, n.Prefix); found && other.owner != c.Name {
				lines = append(lines, fmt.Sprintf("sessions from %v in pool %s end: they were %s's", n.Prefix, pool, other.owner))
			}
		}
	}
	return lines
}

// ends says which sessions of a customer end with a change of itself.
func ends(b, a *Customer, is sources) []string {
	switch {
	case a.Spec.Mode != b.Spec.Mode:
		return []string{fmt.Sprintf("every session ends: mode %s instead of %s", a.Spec.Mode, b.Spec.Mode)}
	case a.Spec.Mode == CustomerReflect && a.ReflectGroup() != b.ReflectGroup():
		return []string{"every session ends: another group"}
	case !sameSet(a.Spec.Families, b.Spec.Families):
		return []string{"every session ends: other families"}
	}
	var lines []string
	for _, pool := range b.Spec.Pools {
		if is[pool] == nil {
			continue // the pool goes: that is said of it
		}
		if !slices.Contains(a.Spec.Pools, pool) {
			lines = append(lines, fmt.Sprintf("its sessions in pool %s end", pool))
			continue
		}
		for _, n := range b.Spec.Neighbors {
			now, found := is.longest(pool, n.Prefix)
			why, all := n.ends(now, found, a.Name)
			if why != "" {
				lines = append(lines, fmt.Sprintf("sessions from %v in pool %s end: %s", n.Prefix, pool, why))
			}
			// The kernel gave each connection its key when it was made; only
			// BIRD lets sessions begin anew when its configuration has another.
			if !all && now.MD5Secret != n.MD5Secret {
				lines = append(lines, fmt.Sprintf("sessions from %v in pool %s need another TCP-MD5 key from their next connection on; servers with BIRD end them at once", n.Prefix, pool))
			}
		}
	}
	return lines
}

// ends says why sessions of a neighbour end, or is empty; and whether all do.
func (n *CustomerNeighbor) ends(now source, found bool, owner string) (why string, all bool) {
	switch {
	case !found:
		return "the neighbor goes", true
	case now.owner != owner:
		return "they become " + now.owner + "'s", true
	case now.NonClient != n.NonClient:
		return "client and non-client are other sessions", true
	case len(now.AS) > 0 && (len(n.AS) == 0 || slices.ContainsFunc(n.AS, func(as uint32) bool { return !slices.Contains(now.AS, as) })):
		return fmt.Sprintf("those of another AS number than %s", joinNumbers(now.AS)), false
	}
	return "", false
}

func joinNumbers(list []uint32) string {
	text := ""
	for i, n := range list {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprint(n)
	}
	return text
}

func sameSet(a, b []AddressFamily) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(f AddressFamily) bool { return !slices.Contains(b, f) })
}

// CustomerRefusals are the pools that a change takes more than half of their
// customers from, and more than one; or one of them, when all pools together
// lose so many. A customer that another takes over is not lost, such as a
// pool's neighbour that becomes a Customer.
func CustomerRefusals(before, after *State) []Refusal {
	was, is := newSources(before), newSources(after)
	var refusals []Refusal
	var site, siteLost int
	var somewhere string // a pool that loses a customer
	for _, pool := range sortedKeys(before.Pools) {
		if after.Pools[pool] == nil {
			continue // the pool itself is guarded
		}
		parties := before.parties(pool)
		lost := 0
		for name, prefixes := range parties {
			kept := func(p netip.Prefix) bool {
				now, found := is.longest(pool, p)
				if !found || now.owner == name {
					return found
				}
				// Who had the wider prefix before takes nobody's place.
				old, had := was[pool][now.Prefix]
				return !had || old.owner != now.owner
			}
			if !slices.ContainsFunc(prefixes, kept) {
				lost++
			}
		}
		if lost > 1 && 2*lost > len(parties) {
			refusals = append(refusals, Refusal{Pool: pool, Risk: RiskManyCustomers,
				Message: fmt.Sprintf("pool %s: %d of %d customers would go, and their sessions end", pool, lost, len(parties))})
		}
		if site, siteLost = site+len(parties), siteLost+lost; lost > 0 {
			somewhere = pool
		}
	}
	// Many pools with a customer each lose as much as one with many.
	if len(refusals) == 0 && siteLost > 1 && 2*siteLost > site {
		refusals = append(refusals, Refusal{Pool: somewhere, Risk: RiskManyCustomers,
			Message: fmt.Sprintf("pool %s: %d of the %d customers of all pools would go, and their sessions end", somewhere, siteLost, site)})
	}
	return refusals
}

// parties are the prefixes of everybody who may peer with a pool.
func (s *State) parties(pool string) map[string][]netip.Prefix {
	all := map[string][]netip.Prefix{}
	for _, n := range s.Pools[pool].Spec.Speaker.Neighbors {
		all[pool+"."+n.Name] = []netip.Prefix{n.Prefix}
	}
	for name, c := range s.Customers {
		if !slices.Contains(c.Spec.Pools, pool) {
			continue
		}
		for _, n := range c.Spec.Neighbors {
			all[name] = append(all[name], n.Prefix)
		}
	}
	return all
}

// Owner is whose the sessions from an address are, in any pool, and whether
// there is one.
func (s *State) Owner(a netip.Addr) (owner string, found bool) {
	all := newSources(s)
	for _, pool := range sortedKeys(s.Pools) {
		if one, found := all.longest(pool, netip.PrefixFrom(a, a.BitLen())); found {
			return one.owner, true
		}
	}
	return "", false
}

// HasCustomer tells whether somebody of that name owns sessions: a Customer, or
// POOL.NEIGHBOR.
func (s *State) HasCustomer(name string) bool {
	if s.Customers[name] != nil {
		return true
	}
	for pool, p := range s.Pools {
		for _, n := range p.Spec.Speaker.Neighbors {
			if pool+"."+n.Name == name {
				return true
			}
		}
	}
	return false
}
