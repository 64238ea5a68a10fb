package swarm

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/peerage/peerage/hack/swarm/mrt"
	"github.com/peerage/peerage/realserver/bgp"
)

// NewMRTTable is the table of one peer of a collector, for each family the one
// with the most routes, from a file in the format MRT TABLE_DUMP_V2. The
// attributes are what an eBGP neighbour may see: next hop, LOCAL_PREF and what
// is not transitive give way to the session's own.
func NewMRTTable(path string) (*Table, error) {
	counts := map[feed]int{}
	err := readMRT(path, func(r *mrt.Route) error {
		counts[feed{r.Peer, r.IPv6}]++
		return nil
	})
	if err != nil {
		return nil, err
	}
	best := map[feed]bool{}
	for _, v6 := range []bool{false, true} {
		most := feed{-1, v6}
		for f, n := range counts {
			if f.v6 == v6 && (n > counts[most] || n == counts[most] && f.peer < most.peer) {
				most = f
			}
		}
		best[most] = true
	}
	g := grouper{at: map[string]int{}}
	if err := readMRT(path, func(r *mrt.Route) error {
		if best[feed{r.Peer, r.IPv6}] {
			return g.add(r)
		}
		return nil
	}); err != nil {
		return nil, err
	}
	if len(g.groups) == 0 {
		return nil, fmt.Errorf("%s has no unicast routes in the format MRT TABLE_DUMP_V2", path)
	}
	return g.table()
}

// feed is the routes of one family from one peer.
type feed struct {
	peer int
	v6   bool
}

func readMRT(path string, use func(*mrt.Route) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	r, err := mrt.NewReader(f)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for {
		route, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = use(route)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
}

// grouper collects the prefixes that share their attributes.
type grouper struct {
	at     map[string]int // attributes and family -> groups
	groups []group
}

type group struct {
	v4         bool
	attributes Attributes
	nlri       []byte
}

func (g *grouper) add(r *mrt.Route) error {
	key := string(r.Attributes)
	if r.IPv6 {
		key += "6"
	}
	i, ok := g.at[key]
	if !ok {
		a, err := exported(r.Attributes)
		if err != nil {
			return err
		}
		i = len(g.groups)
		g.at[key] = i
		g.groups = append(g.groups, group{v4: !r.IPv6, attributes: a})
	}
	g.groups[i].nlri = append(g.groups[i].nlri, r.Prefix...)
	return nil
}

func (g *grouper) table() (*Table, error) {
	var b Builder
	for i := range g.groups {
		one := &g.groups[i]
		if err := b.Add(one.v4, one.attributes, one.nlri); err != nil && !errors.Is(err, errSetTooLarge) {
			return nil, err
		}
	}
	return b.Table(), nil
}

// exported picks the attributes that a router passes on to another AS.
func exported(attributes []byte) (a Attributes, err error) {
	for one, err := range bgp.Attributes(attributes) {
		if err != nil {
			return a, err
		}
		switch one.Type {
		case bgp.AttrOrigin:
			if len(one.Value) == 1 && one.Value[0] <= 2 {
				a.Origin = one.Value[0]
			}
		case bgp.AttrASPath:
			if validPath(one.Value) {
				a.Path = bytes.Clone(one.Value)
			}
		case bgp.AttrMED, bgp.AttrAtomicAggregate, bgp.AttrAggregator, bgp.AttrCommunities, bgp.AttrExtendedCommunities, bgp.AttrLargeCommunities:
			if validLength(one.Type, len(one.Value)) {
				a.More = bgp.AppendAttribute(a.More, one.Flags, one.Type, one.Value)
			}
		case bgp.AttrNextHop, bgp.AttrLocalPref, bgp.AttrMPReach, bgp.AttrMPUnreach:
		}
	}
	return a, nil
}

// validLength tells whether an attribute can be what it says it is (RFC 7606
// section 7): what a collector took in need not be well-formed.
func validLength(t bgp.AttrType, n int) bool {
	switch t {
	case bgp.AttrMED:
		return n == 4
	case bgp.AttrAtomicAggregate:
		return n == 0
	case bgp.AttrAggregator, bgp.AttrExtendedCommunities:
		return n > 0 && n%8 == 0 && (t != bgp.AttrAggregator || n == 8)
	case bgp.AttrLargeCommunities:
		return n > 0 && n%12 == 0
	default:
		return n > 0 && n%4 == 0
	}
}

// validPath tells whether b is segments of 4-octet numbers.
func validPath(b []byte) bool {
	for len(b) > 0 {
		if len(b) < 2 || b[1] == 0 || len(b) < 2+4*int(b[1]) {
			return false
		}
		b = b[2+4*int(b[1]):]
	}
	return true
}
