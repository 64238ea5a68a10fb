package bird

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"
	"strings"

	"github.com/peerage/peerage/realserver"
)

const (
	customerPrefix = "n_"
	probePrefix    = "probe_"
)

// group is one prefix of sources at one listener: one protocol of BIRD's.
type group struct {
	name     string // of the protocol
	pool     string
	neighbor string // empty for a probe
	listener netip.AddrPort
	prefix   netip.Prefix
	localAS  uint32
	as       uint32 // 0: any but the local one
	secret   string // the name of the key
	key      string
	lockPort uint16
}

// dynamic tells whether the protocol only spawns others.
func (g *group) dynamic() bool { return !g.prefix.IsSingleIP() }

func (g *group) probe() bool { return g.neighbor == "" }

// String names the group in messages.
func (g *group) String() string {
	if g.probe() {
		return fmt.Sprintf("pool %s: health checks from %s at %s", g.pool, g.prefix.Addr(), g.listener)
	}
	return fmt.Sprintf("pool %s: neighbor %s (%s at %s)", g.pool, g.neighbor, g.prefix, g.listener)
}

// groupName depends on nothing that may change while sessions live: BIRD
// restarts a protocol that changes its name.
func groupName(kind string, listener netip.AddrPort, prefix netip.Prefix) string {
	sum := sha256.Sum256([]byte(listener.String() + " " + prefix.String()))
	return kind + hex.EncodeToString(sum[:6])
}

// parentName is the group that a protocol belongs to: itself, or the dynamic
// one that spawned it as NAME_NUMBER.
func parentName(protocol string) (name string, spawned bool) {
	kind, rest, _ := strings.Cut(protocol, "_")
	if hash, _, ok := strings.Cut(rest, "_"); ok {
		return kind + "_" + hash, true
	}
	return protocol, false
}

// groupsOf lists the groups of a configuration in the order in which BIRD must
// have them: within a listener the longest prefix last.
func groupsOf(cfg realserver.SpeakerConfig) []*group {
	var all []*group
	seen := map[string]bool{}
	add := func(g *group) {
		if !seen[g.name] {
			seen[g.name] = true
			all = append(all, g)
		}
	}
	for _, s := range cfg.Services {
		for _, vip := range s.VIPs {
			listener := netip.AddrPortFrom(vip, s.Port)
			for _, n := range s.Neighbors {
				if n.Prefix.Addr().Is4() == vip.Is4() {
					add(&group{
						name: groupName(customerPrefix, listener, n.Prefix), pool: s.Pool, neighbor: n.Name,
						listener: listener, prefix: n.Prefix, localAS: s.LocalAS, as: n.AS, secret: n.MD5Secret,
					})
				}
			}
		}
		// Two services may share a port of the server's own addresses: the
		// first one's AS number is told there.
		for _, at := range slices.Concat(s.VIPs, cfg.Own) {
			for _, from := range cfg.Probes {
				// To a load balancer the VIP is an address of its own: only
				// the server itself can check there.
				foreign := !slices.Contains(cfg.Own, from) && slices.Contains(s.VIPs, at)
				if from.Is4() != at.Is4() || from == at || foreign {
					continue
				}
				listener, prefix := netip.AddrPortFrom(at, s.Port), netip.PrefixFrom(from, from.BitLen())
				add(&group{
					name: groupName(probePrefix, listener, prefix), pool: s.Pool,
					listener: listener, prefix: prefix, localAS: s.LocalAS,
				})
			}
		}
	}
	slices.SortFunc(all, func(a, b *group) int {
		return cmp.Or(a.listener.Compare(b.listener), cmp.Compare(a.prefix.Bits(), b.prefix.Bits()),
			a.prefix.Addr().Compare(b.prefix.Addr()), cmp.Compare(a.name, b.name))
	})
	lockPorts(all)
	return all
}

// lockPorts gives every group a port of the neighbour's that no other group
// has with which it may share an address: BIRD lets one protocol at a time use
// a pair of both. The port follows from the group alone, unless two meet by
// chance: a changed port would restart the protocol.
func lockPorts(groups []*group) {
	sorted := slices.SortedFunc(slices.Values(groups), func(a, b *group) int {
		return cmp.Or(a.prefix.Compare(b.prefix), a.listener.Compare(b.listener), cmp.Compare(a.name, b.name))
	})
	for g, around := range nested(sorted) {
		h := fnv.New32a()
		_, _ = h.Write([]byte(g.listener.String() + " " + g.prefix.String()))
		port := uint16(1 + h.Sum32()%65535)
		for slices.ContainsFunc(around, func(o *group) bool { return o.lockPort == port }) {
			port = max(1, port+1)
		}
		g.lockPort = port
	}
}

// nested yields each group with those before it whose prefix holds its own, for
// groups sorted by prefix: prefixes are nested or apart.
func nested(sorted []*group) func(yield func(*group, []*group) bool) {
	return func(yield func(*group, []*group) bool) {
		var around []*group
		for _, g := range sorted {
			for len(around) > 0 && !around[len(around)-1].prefix.Overlaps(g.prefix) {
				around = around[:len(around)-1]
			}
			if !yield(g, around) {
				return
			}
			around = append(around, g)
		}
	}
}
