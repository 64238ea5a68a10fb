package exchange

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/peerage/peerage/realserver/bgp"
)

// op is one step of a scenario.
type op struct {
	Kind     string
	Router   int
	Prefixes []int
	Variant  int
	V6       bool
}

// kinds of routers: in two groups and in none, clients or not, old and new.
var routerKinds = []PeerConfig{
	{Group: "red", Client: true, FourOctetAS: true, Customer: "a"},
	{Group: "red", Client: true, FourOctetAS: true, Customer: "b", EnhancedRefresh: true},
	{Group: "red", Client: true, FourOctetAS: true, ExtendedMessage: true, Customer: "b"},
	{Group: "red", Client: false, FourOctetAS: true, Customer: "a"},
	{Group: "red", Client: false, Customer: "c", EnhancedRefresh: true},
	{Group: "blue", Client: true, FourOctetAS: true, Families: bgp.Families(bgp.IPv4Unicast), Customer: "a"},
	{Group: "blue", Client: true, FourOctetAS: true, Customer: "c"},
	{AS: 64999, FourOctetAS: true, Customer: "d", EnhancedRefresh: true},
	{AS: 64998, Customer: "d"},
}

func prefixOf(f bgp.Family, i int) netip.Prefix {
	if f == bgp.IPv4Unicast {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{203, byte(i), byte(i * 7), 0}), 20+i%5).Masked()
	}
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 0x01, 0xd, 0xb8, byte(i), byte(i * 7)}), 40+i%8).Masked()
}

const manyPrefixes = 60

func drawOps(t *rapid.T) []op {
	kinds := rapid.SampledFrom([]string{
		"join", "join", "leave", "announce", "announce", "announce", "announce", "withdraw", "withdraw",
		"read", "read", "refresh", "peerRefresh", "peerRefreshEnd", "originate", "settle", "stuck", "free",
	})
	step := rapid.Custom(func(t *rapid.T) op {
		return op{
			Kind:     kinds.Draw(t, "kind"),
			Router:   rapid.IntRange(0, len(routerKinds)-1).Draw(t, "router"),
			Prefixes: rapid.SliceOfN(rapid.IntRange(0, manyPrefixes-1), 1, 12).Draw(t, "prefixes"),
			Variant:  rapid.IntRange(0, 12).Draw(t, "variant"),
			V6:       rapid.Bool().Draw(t, "v6"),
		}
	})
	return rapid.SliceOfN(step, 5, 120).Draw(t, "ops")
}

// scenario is the exchange, its routers, and what is expected of them.
type scenario struct {
	t       testing.TB
	x       *Exchange
	routers []*router
	routes  []map[netip.Prefix]announced // what each has announced
	stale   []map[netip.Prefix]bool
	stuck   []bool
	origins []Origin
}

type announced struct {
	set  []byte
	rank bgp.Rank
	part bgp.Part
}

func (s *scenario) step(o op) {
	r := s.routers[o.Router]
	f := bgp.IPv4Unicast
	if o.V6 && r.config.Families.Has(bgp.IPv6Unicast) {
		f = bgp.IPv6Unicast
	}
	var prefixes []netip.Prefix
	for _, i := range o.Prefixes {
		if p := prefixOf(f, i); !slices.Contains(prefixes, p) {
			prefixes = append(prefixes, p)
		}
	}
	switch {
	case o.Kind == "originate":
		s.originate(o)
		return
	case o.Kind == "settle":
		s.settle()
		return
	case o.Kind == "join" && r.peer == nil:
		r.join(s.x)
		s.routes[o.Router], s.stale[o.Router] = map[netip.Prefix]announced{}, nil
		return
	case r.peer == nil:
		return
	}
	switch o.Kind {
	case "leave":
		r.leave()
		s.routes[o.Router] = nil
	case "announce":
		s.announce(o, r, f, prefixes)
	case "withdraw":
		r.send(update(f, nil, prefixes, nil, netip.Addr{}))
		for _, p := range prefixes {
			delete(s.routes[o.Router], p)
			delete(s.stale[o.Router], p)
		}
	case "read":
		r.receive(300+o.Variant*500, 1+o.Variant)
	case "refresh":
		r.peer.Refresh(f)
	case "stuck", "free":
		s.stuck[o.Router] = o.Kind == "stuck"
	case "peerRefresh":
		s.check(r.peer.RefreshBegin(context.Background(), bgp.IPv4Unicast))
		s.stale[o.Router] = map[netip.Prefix]bool{}
		for p := range s.routes[o.Router] {
			if p.Addr().Is4() {
				s.stale[o.Router][p] = true
			}
		}
	case "peerRefreshEnd":
		s.check(r.peer.RefreshEnd(context.Background(), bgp.IPv4Unicast))
		for p := range s.stale[o.Router] {
			delete(s.routes[o.Router], p)
		}
		s.stale[o.Router] = nil
	}
}

func (s *scenario) check(err error) {
	if err != nil {
		s.t.Error(err)
	}
}

func (s *scenario) announce(o op, r *router, f bgp.Family, prefixes []netip.Prefix) {
	m := update(f, prefixes, nil, attributes(o.Variant, r.config.AS == localAS), hop(f, o.Router))
	r.send(m)
	var routes bgp.Routes
	s.check(r.enc.Decode(m[bgp.HeaderLen:], &routes))
	a := announced{slices.Clone(routes.Attributes), routes.Rank, routes.Parts[0]}
	for _, p := range prefixes {
		s.routes[o.Router][p] = a
		delete(s.stale[o.Router], p)
	}
}

func (s *scenario) originate(o op) {
	s.origins = nil
	for n, i := range o.Prefixes {
		f := bgp.IPv4Unicast
		if n%3 == 2 {
			f = bgp.IPv6Unicast
		}
		r := Origin{Prefix: prefixOf(f, i), NextHop: hop(f, 99), Communities: []uint32{65535<<16 | 666, uint32(o.Variant + n)}}
		switch (o.Variant + n) % 4 {
		case 0:
			r.All = true
		case 1, 2:
			r.Customer = string(rune('a' + n%4))
		case 3:
			r.Session = s.routers[o.Router].config.PeerAddr
		}
		// One route for each target and prefix.
		s.origins = slices.DeleteFunc(s.origins, func(old Origin) bool { return old.Prefix == r.Prefix && old.target() == r.target() })
		s.origins = append(s.origins, r)
	}
	s.x.Originate(s.origins)
}

// settle lets everything happen, and everybody read who is not stuck.
func (s *scenario) settle() {
	for range 3 {
		time.Sleep(20 * time.Millisecond)
		synctest.Wait()
		for i, r := range s.routers {
			if r.peer != nil && !s.stuck[i] {
				r.receive(100000, 1<<20)
			}
		}
	}
}

// best is the RFC's choice among the routers of a group, by elimination.
func (s *scenario) best(group string, p netip.Prefix) int {
	var left []int
	for i, r := range s.routers {
		if _, ok := s.routes[i][p]; ok && r.config.Group == group {
			left = append(left, i)
		}
	}
	rank := func(i int) bgp.Rank { return s.routes[i][p].rank }
	keepLeast := func(value func(i int) int64) {
		least := int64(1 << 62)
		for _, i := range left {
			least = min(least, value(i))
		}
		left = slices.DeleteFunc(left, func(i int) bool { return value(i) != least })
	}
	keepLeast(func(i int) int64 { return -int64(rank(i).LocalPref) })
	keepLeast(func(i int) int64 { return int64(rank(i).PathLen) })
	keepLeast(func(i int) int64 { return int64(rank(i).Origin) })
	tied := slices.Clone(left)
	left = slices.DeleteFunc(left, func(i int) bool {
		return slices.ContainsFunc(tied, func(j int) bool { return rank(j).FirstAS == rank(i).FirstAS && rank(j).MED < rank(i).MED })
	})
	keepLeast(func(i int) int64 { return int64(i) }) // identifiers are in the order of routers
	if len(left) == 0 {
		return -1
	}
	return left[0]
}

// expected is what a router must have been sent.
func (s *scenario) expected(i int) map[netip.Prefix]string {
	r := s.routers[i]
	want := map[netip.Prefix]string{}
	for n := range manyPrefixes {
		for _, f := range r.config.Families.List() {
			p := prefixOf(f, n)
			if o := s.originFor(r, p); o != nil {
				want[p] = r.originated(o)
				continue
			}
			b := s.best(r.config.Group, p)
			if r.config.Group == "" || b < 0 || b == i || !r.config.Client && !s.routers[b].config.Client {
				continue
			}
			a := s.routes[b][p]
			set := bgp.AppendReflected(nil, a.set, s.routers[b].config.PeerID, localID)
			want[p] = string(bgp.AppendKey(nil, &a.part, set))
		}
	}
	return want
}

func (s *scenario) originFor(r *router, p netip.Prefix) (best *Origin) {
	specific := -1
	for i := range s.origins {
		o := &s.origins[i]
		rank := -1
		switch {
		case o.Prefix != p:
		case o.Session == r.config.PeerAddr:
			rank = 2
		case o.Customer != "" && o.Customer == r.config.Customer:
			rank = 1
		case o.All:
			rank = 0
		}
		if rank > specific {
			best, specific = o, rank
		}
	}
	return best
}

// originated is the key of an originated route as the router decodes it.
func (r *router) originated(o *Origin) string {
	b := bgp.AppendOrigin(nil, 0)
	if r.config.AS == localAS {
		b = bgp.AppendASPath(b)
		b = bgp.AppendAttribute(b, bgp.FlagTransitive, bgp.AttrLocalPref, binary.BigEndian.AppendUint32(nil, 100))
	} else {
		b = bgp.AppendASPath(b, localAS)
	}
	b = bgp.AppendCommunities(b, o.Communities...)
	return string(bgp.AppendKey(nil, &bgp.Part{NextHop: o.NextHop}, b))
}

func (s *scenario) run(ops []op, shards, workers int, l limits) (problem string) {
	s.x = New(Config{Shards: shards, Workers: workers})
	s.x.limits = l
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- s.x.Run(ctx) }()
	for i, c := range routerKinds {
		s.routers = append(s.routers, newRouter(s.t, i+1, c))
		s.routes = append(s.routes, nil)
		s.stale = append(s.stale, nil)
		s.stuck = append(s.stuck, false)
		if i%2 == 0 {
			s.step(op{Kind: "join", Router: i})
		}
	}
	for _, o := range ops {
		s.step(o)
	}
	s.stuck = make([]bool, len(s.routers))
	s.settle()
	problem = s.verify()
	for _, r := range s.routers {
		if r.peer != nil {
			r.leave()
		}
	}
	time.Sleep(2 * time.Second)
	synctest.Wait()
	if problem == "" {
		problem = s.x.leftovers()
	}
	stop()
	s.check(<-ended)
	return problem
}

func (s *scenario) verify() string {
	for i, r := range s.routers {
		if r.peer == nil {
			continue
		}
		if r.problem != "" {
			return r.problem
		}
		if diff := cmp.Diff(s.expected(i), r.table); diff != "" {
			return fmt.Sprintf("%s has been sent (-want +got):\n%s", r.config.Name, diff)
		}
		for _, f := range r.config.Families.List() {
			if r.ended[f] != 1 {
				return fmt.Sprintf("%s: %d End-of-RIB for %s", r.config.Name, r.ended[f], f)
			}
			if r.begun[f] != r.refreshed[f] {
				return fmt.Sprintf("%s: %d Begin-of-RR and %d End-of-RR", r.config.Name, r.begun[f], r.refreshed[f])
			}
		}
		digests, err := r.peer.Digests(context.Background())
		s.check(err)
		if diff := cmp.Diff(r.digests(), digests, cmp.AllowUnexported(Digest{})); diff != "" {
			return fmt.Sprintf("%s: digests (-of what it was sent +of what the exchange says):\n%s", r.config.Name, diff)
		}
		var held int64
		for _, n := range r.peer.Counts().Routes {
			held += n
		}
		if held != int64(len(s.routes[i])) {
			return fmt.Sprintf("%s: %d routes are held, not %d", r.config.Name, held, len(s.routes[i]))
		}
	}
	return ""
}

// digests are of what the router was sent.
func (r *router) digests() map[bgp.Family]Digest {
	all := map[bgp.Family]Digest{}
	for _, f := range r.config.Families.List() {
		var d Digest
		for p, key := range r.table {
			if p.Addr().Is4() == (f == bgp.IPv4Unicast) {
				h := sha256.Sum256([]byte(key))
				d.add(bgp.AppendPrefix(nil, p), &h)
			}
		}
		all[f] = d
	}
	return all
}

// leftovers tells what is kept although everybody has left.
func (x *Exchange) leftovers() string {
	st := x.Stats()
	var prefixes, routes int64
	for _, s := range st.Shards {
		prefixes += s.Prefixes
		routes += s.Routes
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	got := fmt.Sprintf("sets %d, prefixes %d, routes %d, peers %d, names %d, domains %d",
		st.AttributeSets, prefixes, routes, len(x.peers), len(x.names), len(x.domains)-1)
	if got != "sets 0, prefixes 0, routes 0, peers 0, names 0, domains 0" {
		return "is left: " + got
	}
	for _, w := range x.workers {
		if len(w.gone) > 0 {
			return "a worker keeps slots"
		}
	}
	return ""
}

// Whatever happens, in the end each peer has been sent what the model says:
// with any number of shards and workers, and however slowly it reads.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		ops := drawOps(rt)
		shards := rapid.IntRange(1, 3).Draw(rt, "shards")
		workers := rapid.IntRange(1, 2).Draw(rt, "workers")
		l := rapid.SampledFrom([]limits{defaultLimits(), {lag: 300, low: 100, stall: 30 * time.Millisecond}, {lag: 1, low: 1, stall: time.Second}}).Draw(rt, "limits")
		var problem string
		synctest.Test(t, func(t *testing.T) {
			problem = (&scenario{t: t}).run(ops, shards, workers, l)
		})
		if problem != "" {
			rt.Fatal(problem)
		}
	})
}
