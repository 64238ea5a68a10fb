package api

import (
	"fmt"
	"net/netip"
	"strings"
)

// The bounds of a customer. A neighbour's AS numbers are those of one network.
const (
	maxCustomerPools = 64
	maxNeighborAS    = 64
	maxRoutesLimit   = 100_000_000
	maxMemoryMiB     = 1 << 20
	maxUpdateRate    = 100_000_000
	maxTTLSecurity   = 254 // hops; with 255 every packet would pass
)

// Validate implements Object.
func (c *Customer) Validate() error {
	r := &report{object: Key(c)}
	s := &c.Spec
	r.meta(&c.Meta)
	r.count("spec.pools", len(s.Pools), 1, maxCustomerPools)
	r.names("spec.pools", s.Pools, maxCustomerPools)
	oneOf(r, "spec.mode", s.Mode, []CustomerMode{CustomerCollect, CustomerReflect})
	r.group(s)
	r.neighbors(s)
	r.families(s.Families)
	r.holdTimes(s)
	within(r, "spec.ttlSecurity", s.TTLSecurity, 0, maxTTLSecurity)
	r.limits(s)
	return r.err()
}

func (r *report) group(s *CustomerSpec) {
	if s.Group == "" {
		return
	}
	r.name("spec.group", s.Group)
	if s.Mode == CustomerCollect {
		r.add("spec.group", "a group is for mode reflect, and the mode is collect", "delete the line, or write mode: reflect")
	}
}

func (r *report) neighbors(s *CustomerSpec) {
	r.count("spec.neighbors", len(s.Neighbors), 1, maxNeighbors)
	prefixes := make(map[netip.Prefix]int, len(s.Neighbors))
	for i := range s.Neighbors {
		n := &s.Neighbors[i]
		at := fmt.Sprintf("spec.neighbors[%d]", i)
		r.prefix(at+".prefix", n.Prefix)
		if j, found := prefixes[n.Prefix]; found && n.Prefix.IsValid() {
			r.add(at+".prefix", fmt.Sprintf("%v is that of neighbor %d already", n.Prefix, j), "delete one of them, or write a longer prefix: the longest decides")
		} else {
			prefixes[n.Prefix] = i
		}
		r.asList(at+".as", n.AS)
		r.secret(at+".md5Secret", n.MD5Secret)
		if n.NonClient && s.Mode == CustomerCollect {
			r.add(at+".nonClient", "non-clients are for mode reflect, and the mode is collect", "delete the line, or write mode: reflect")
		}
	}
}

func (r *report) asList(path string, list []uint32) {
	r.count(path, len(list), 0, maxNeighborAS)
	seen := map[uint32]int{}
	for i, as := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		r.as(at, as)
		if j, found := seen[as]; found {
			r.add(at, fmt.Sprintf("%d is item %d of the list already", as, j), "delete one of them")
			continue
		}
		seen[as] = i
	}
}

func (r *report) families(list []AddressFamily) {
	seen := map[AddressFamily]int{}
	for i, f := range list {
		at := fmt.Sprintf("spec.families[%d]", i)
		oneOf(r, at, f, AddressFamilies())
		if j, found := seen[f]; found {
			r.add(at, fmt.Sprintf("%s is item %d of the list already", clip(string(f)), j), "delete one of them")
			continue
		}
		seen[f] = i
	}
}

func (r *report) holdTimes(s *CustomerSpec) {
	if s.HoldTime != 0 {
		r.holdTime("spec.holdTime", s.HoldTime)
	}
	r.holdTime("spec.minHoldTime", s.MinHoldTime)
	if s.HoldTime != 0 && s.MinHoldTime > s.HoldTime {
		r.add("spec.minHoldTime", fmt.Sprintf("%v is more than the hold time of %v, and no session would be acceptable", s.MinHoldTime, s.HoldTime), "write at most "+s.HoldTime.String())
	}
}

func (r *report) limits(s *CustomerSpec) {
	if p := s.MaxPrefixes; p != nil {
		within(r, "spec.maxPrefixes.limit", p.Limit, 1, maxRoutesLimit)
		oneOf(r, "spec.maxPrefixes.action", p.Action, []MaxPrefixesAction{MaxPrefixesWarn, MaxPrefixesDrop, MaxPrefixesClose})
		within(r, "spec.maxPrefixes.warnAt", p.WarnAt, 1, 100)
	}
	within(r, "spec.limits.memoryMiB", s.Limits.MemoryMiB, 0, maxMemoryMiB)
	within(r, "spec.limits.updatesPerSecond", s.Limits.UpdatesPerSecond, 0, maxUpdateRate)
}

// CheckCustomerName tells whether a name may be that of who owns sessions: a
// Customer's, or POOL.NEIGHBOR for a neighbour that stands in a pool.
func CheckCustomerName(name string) error {
	pool, neighbor, inPool := strings.Cut(name, ".")
	if inPool {
		if err := CheckName(neighbor); err != nil {
			return err
		}
	}
	return CheckName(pool)
}
