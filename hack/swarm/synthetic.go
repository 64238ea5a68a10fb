package swarm

import (
	"math"
	"math/rand/v2"
	"net/netip"

	"github.com/peerage/peerage/realserver/bgp"
)

// MaxSynthetic bounds the routes of a synthetic table in one family.
const MaxSynthetic = 2_000_000

// share is how often a value occurs.
type share struct {
	value  int
	weight float64
}

// shape is the statistics of a synthetic full table. docs/swarm.md says where
// the numbers come from; a test compares what is generated with them.
type shape struct {
	// lengths4 and lengths6 are the prefix lengths.
	lengths4, lengths6 []share
	// path is the AS path length without the session's own AS.
	path []share
	// communities is how many an attribute set has.
	communities []share
	// alpha is the exponent of the Pareto distribution of the number of
	// prefixes that share an attribute set, maxGroup its end.
	alpha    float64
	maxGroup int
	// origins is the number of AS numbers that occur.
	origins int
}

// internetShape is today's Internet as one full feed shows it.
func internetShape() shape {
	return shape{
		// Mean 22.9, as bgp.potaroo.net/as2.0 had in November 2025.
		lengths4: []share{{24, .630}, {23, .100}, {22, .106}, {21, .047}, {20, .042}, {19, .025}, {18, .014}, {17, .008}, {16, .025}, {15, .001}, {14, .002}},
		// Mean 42.9, as bgp.potaroo.net/v6/as2.0 had in April 2025.
		lengths6: []share{{48, .465}, {47, .025}, {46, .040}, {45, .015}, {44, .105}, {42, .020}, {40, .095}, {36, .055}, {33, .015}, {32, .140}, {29, .025}},
		// Mean 3.5 and the session's own AS: 4.5.
		path:        []share{{1, .04}, {2, .16}, {3, .34}, {4, .27}, {5, .12}, {6, .05}, {8, .02}},
		communities: []share{{0, .20}, {2, .25}, {4, .25}, {8, .20}, {16, .10}},
		alpha:       1.15, maxGroup: 200,
		origins: 80_000,
	}
}

// pick draws a value.
func pick(r *rand.Rand, shares []share) int {
	x := r.Float64()
	for _, s := range shares {
		if x < s.weight {
			return s.value
		}
		x -= s.weight
	}
	return shares[0].value
}

// NewSyntheticTable is n routes in each of the families that look like a full
// feed.
func NewSyntheticTable(n int, seed uint64, families ...bgp.Family) (*Table, error) {
	var b Builder
	for _, f := range families {
		v4 := f == bgp.IPv4Unicast
		g := generator{shape: internetShape(), v4: v4, random: rand.New(rand.NewPCG(seed, 1)), seen: make(map[netip.Prefix]struct{}, n)}
		for left := n; left > 0; {
			set := g.next(left)
			left -= len(set.Prefixes)
			if err := b.AddSet(set); err != nil {
				return nil, err
			}
		}
	}
	return b.Table(), nil
}

// generator makes route sets.
type generator struct {
	shape  shape
	v4     bool
	random *rand.Rand
	seen   map[netip.Prefix]struct{}
}

// next makes a set of at most limit routes.
func (g *generator) next(limit int) RouteSet {
	r := g.random
	size := int(math.Pow(1-r.Float64(), -1/g.shape.alpha))
	set := RouteSet{Prefixes: make([]netip.Prefix, max(1, min(size, g.shape.maxGroup, limit)))}
	for i := range set.Prefixes {
		set.Prefixes[i] = g.prefix()
	}
	for range pick(r, g.shape.path) {
		set.Path = append(set.Path, uint32(1+r.IntN(g.shape.origins)))
	}
	for range pick(r, g.shape.communities) {
		// Never a well-known one (RFC 1997).
		set.Communities = append(set.Communities, uint32(1+r.IntN(64000))<<16|uint32(r.IntN(1000)))
	}
	return set
}

// prefix makes a prefix that was not there yet: IPv4 from 1.0.0.0 to
// 223.255.255.255 without 10/8 and 127/8, IPv6 from 2000::/4.
func (g *generator) prefix() netip.Prefix {
	r := g.random
	for {
		var p netip.Prefix
		if g.v4 {
			x := r.Uint32()
			a := netip.AddrFrom4([4]byte{byte(1 + x>>24%223), byte(x >> 16), byte(x >> 8), 0})
			p = netip.PrefixFrom(a, pick(r, g.shape.lengths4)).Masked()
			if first := p.Addr().As4()[0]; first == 0 || first == 10 || first == 127 {
				continue
			}
		} else {
			var a [16]byte
			x := r.Uint64()
			for i := range 6 {
				a[i] = byte(x >> (8 * i))
			}
			a[0] = 0x20 | a[0]&0x0f
			p = netip.PrefixFrom(netip.AddrFrom16(a), pick(r, g.shape.lengths6)).Masked()
		}
		if _, seen := g.seen[p]; !seen {
			g.seen[p] = struct{}{}
			return p
		}
	}
}
