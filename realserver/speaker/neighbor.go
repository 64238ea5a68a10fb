package speaker

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/node"
	"github.com/peerage/peerage/realserver/bgp"
	"github.com/peerage/peerage/realserver/speaker/control"
	"github.com/peerage/peerage/realserver/tcpmd5"
)

// where is one address and port to listen on.
type where = netip.AddrPort

// place identifies a neighbour: one prefix of sources at one listener.
type place struct {
	at     where
	prefix netip.Prefix
}

// String names the place in messages.
func (p place) String() string { return fmt.Sprintf("%s at %s", p.prefix, p.at) }

// neighbor is what one prefix of a customer's routers gets at one listener.
type neighbor struct {
	place
	pool, customer string
	terms
	as []uint32 // sorted; empty: as mode says
	// holdTime is offered, and minHoldTime the least that is taken; new ones
	// count from the next session on.
	holdTime, minHoldTime time.Duration
	ttlSecurity           int
	secret                string // its name
	key                   string
	limits                limits
	// offer is our OPEN, and hello the message: one for all sessions.
	offer *bgp.Open
	hello []byte
	// problem is why its routers are refused; nil: they are not.
	problem error
}

// terms are what the peers of the exchange are told apart by: when one changes,
// the session must begin anew.
type terms struct {
	localAS   uint32
	routerID  netip.Addr
	families  bgp.FamilySet
	group     string // empty: collect
	nonClient bool
}

// limits bound a session and its customer; they change while sessions live.
type limits struct {
	maxPrefixes      api.MaxPrefixes // Limit 0: no bound
	memory           int64           // bytes of the customer's; 0: no bound
	updatesPerSecond int             // of the customer's; 0: no bound
}

// routes are the limits of a session's quota.
func (l *limits) routes() (limit int64, drop bool) {
	return int64(l.maxPrefixes.Limit), l.maxPrefixes.Action != api.MaxPrefixesWarn
}

// String names the neighbour in messages.
func (n *neighbor) String() string {
	return fmt.Sprintf("customer %s: neighbor %s of pool %s", n.customer, n.place, n.pool)
}

// internal tells whether a router of an AS would be an internal peer.
func (t *terms) internal(as uint32) bool { return as == t.localAS }

// allows tells whether the neighbour's routers may have an AS.
func (n *neighbor) allows(as uint32) bool {
	reflected := n.group != "" // such sessions are internal
	if len(n.as) > 0 {
		return slices.Contains(n.as, as) && (!reflected || n.internal(as))
	}
	return n.internal(as) == reflected
}

// table is a configuration as the speaker uses it.
type table struct {
	routerID  netip.Addr
	listeners map[where]*listenerConfig
	probes    map[netip.Addr]bool
	own       map[netip.Addr]bool
	customers []string // sorted
}

// listenerConfig is what one listener accepts.
type listenerConfig struct {
	pool string
	// own tells that only health checks come here.
	own       bool
	localAS   uint32
	holdTime  time.Duration
	neighbors map[netip.Prefix]*neighbor
	// lengths are the prefix lengths of the neighbours, longest first.
	lengths []int
}

// match finds the neighbour with the longest prefix that holds a source.
func (l *listenerConfig) match(source netip.Addr) *neighbor {
	for _, bits := range l.lengths {
		if n := l.neighbors[netip.PrefixFrom(source, bits).Masked()]; n != nil {
			return n
		}
	}
	return nil
}

// secrets reads keys; node.Secrets is one.
type secrets interface {
	Get(name string) (node.Secret, error)
}

// compile derives a table from a configuration. What is wrong with a neighbour
// stands in its problem; an error is what makes the whole useless.
func compile(c control.Config, keys secrets, optmem int) (*table, error) {
	if !c.RouterID.Is4() || c.RouterID.IsUnspecified() {
		return nil, fmt.Errorf("%w configuration: router id %s must have the form of an IPv4 address", control.ErrInvalid, c.RouterID)
	}
	t := &table{routerID: c.RouterID, listeners: map[where]*listenerConfig{}, probes: set(c.Probes), own: set(c.Own)}
	for _, s := range c.Services {
		if s.Port == 0 || s.LocalAS == 0 {
			return nil, fmt.Errorf("%w configuration: pool %s needs a port and an AS number", control.ErrInvalid, s.Pool)
		}
		for _, vip := range s.VIPs {
			at := netip.AddrPortFrom(vip, s.Port)
			if other := t.listeners[at]; other != nil {
				return nil, fmt.Errorf("%w configuration: %s is in pool %s and in pool %s", control.ErrInvalid, at, other.pool, s.Pool)
			}
			t.listeners[at] = &listenerConfig{pool: s.Pool, localAS: s.LocalAS, holdTime: time.Duration(s.HoldTime), neighbors: map[netip.Prefix]*neighbor{}}
		}
	}
	for _, s := range c.Services { // after all VIPs: an own address may be one
		for _, own := range c.Own {
			// Two services may share a port of the server's own addresses:
			// the first one's AS number is told there.
			if at := netip.AddrPortFrom(own, s.Port); t.listeners[at] == nil {
				t.listeners[at] = &listenerConfig{pool: s.Pool, own: true, localAS: s.LocalAS, holdTime: time.Duration(s.HoldTime)}
			}
		}
	}
	for i := range c.Customers {
		t.customers = append(t.customers, c.Customers[i].Name)
		t.add(&c.Customers[i])
	}
	slices.Sort(t.customers)
	t.index()
	t.check(keys, optmem)
	return t, nil
}

func set(addrs []netip.Addr) map[netip.Addr]bool {
	m := make(map[netip.Addr]bool, len(addrs))
	for _, a := range addrs {
		m[a] = true
	}
	return m
}

// add enters a customer's neighbours at the listeners of its pools.
func (t *table) add(c *control.Customer) {
	for at, l := range t.listeners {
		if l.own || !slices.Contains(c.Pools, l.pool) {
			continue
		}
		for _, cn := range c.Neighbors {
			if cn.Prefix.Addr().Is4() != at.Addr().Is4() {
				continue
			}
			n := newNeighbor(c, cn, at, l, t.routerID)
			switch other := l.neighbors[n.prefix]; {
			case other == nil:
				l.neighbors[n.prefix] = n
			case other.problem == nil:
				other.problem = fmt.Errorf("customer %s has the same prefix: whose session it is cannot be told; give it to one of them", c.Name)
			}
		}
	}
}

func newNeighbor(c *control.Customer, cn api.CustomerNeighbor, at where, l *listenerConfig, id netip.Addr) *neighbor {
	n := &neighbor{
		place: place{at, cn.Prefix.Masked()}, pool: l.pool, customer: c.Name,
		terms: terms{
			localAS: l.localAS, routerID: id, families: families(c.Families), nonClient: cn.NonClient,
		},
		holdTime: cmp.Or(time.Duration(c.HoldTime), l.holdTime, 90*time.Second),
		as:       slices.Compact(slices.Sorted(slices.Values(cn.AS))), secret: cn.MD5Secret,
		minHoldTime: cmp.Or(time.Duration(c.MinHoldTime), 3*time.Second), ttlSecurity: c.TTLSecurity,
		limits: limits{memory: int64(c.Limits.MemoryMiB) << 20, updatesPerSecond: c.Limits.UpdatesPerSecond},
	}
	if c.Mode == api.CustomerReflect {
		n.group = cmp.Or(c.Group, "customer/"+c.Name)
	} else {
		n.nonClient = false
	}
	n.offer = offer(n)
	n.hello = n.offer.Append(nil)
	if m := c.MaxPrefixes; m != nil {
		n.limits.maxPrefixes = api.MaxPrefixes{Limit: m.Limit, Action: cmp.Or(m.Action, api.MaxPrefixesClose), WarnAt: cmp.Or(m.WarnAt, 80)}
	}
	return n
}

func families(of []api.AddressFamily) (s bgp.FamilySet) {
	if len(of) == 0 {
		return bgp.Families(bgp.IPv4Unicast, bgp.IPv6Unicast)
	}
	for _, name := range of {
		if f, ok := bgp.ParseFamily(string(name)); ok {
			s |= bgp.Families(f)
		}
	}
	return s
}

func (t *table) index() {
	for _, l := range t.listeners {
		seen := map[int]bool{}
		for p := range l.neighbors {
			seen[p.Bits()] = true
		}
		for bits := range seen {
			l.lengths = append(l.lengths, bits)
		}
		slices.SortFunc(l.lengths, func(a, b int) int { return cmp.Compare(b, a) })
	}
}

// sorted lists all neighbours in a fixed order: problems and keys must not
// depend on the order of a map.
func (t *table) sorted() []*neighbor {
	var all []*neighbor
	for _, l := range t.listeners {
		for _, n := range l.neighbors {
			all = append(all, n)
		}
	}
	slices.SortFunc(all, func(a, b *neighbor) int { return cmp.Or(a.at.Compare(b.at), a.prefix.Compare(b.prefix)) })
	return all
}

var errNoFamily = errors.New("none of its families is known")

// check reads the keys and finds what cannot be.
func (t *table) check(keys secrets, optmem int) {
	all := t.sorted()
	read := map[string]struct {
		key node.Secret
		err error
	}{}
	sources := make([]tcpmd5.Source, len(all))
	for i, n := range all {
		if n.families == 0 && n.problem == nil {
			n.problem = errNoFamily
		}
		if n.secret != "" {
			r, ok := read[n.secret]
			if !ok {
				r.key, r.err = keys.Get(n.secret)
				read[n.secret] = r
			}
			if n.key = r.key.Reveal(); r.err != nil && n.problem == nil {
				n.problem = fmt.Errorf("md5Secret: %w", r.err)
			}
		}
		// One whose key is missing counts as signed: it will be.
		sources[i] = tcpmd5.Source{Listener: n.at, Prefix: n.prefix, Signed: n.secret != "", Name: "customer " + n.customer}
	}
	for i, err := range tcpmd5.Check(sources, optmem, "") {
		if all[i].problem == nil {
			all[i].problem = err
		}
		if all[i].problem != nil {
			all[i].key = "" // it has no place on the listener
		}
	}
}

// keep puts back what neighbours had that cannot be configured now and that
// have sessions, unless their customer is gone: nothing would bound them then.
func (t *table) keep(old *table, live map[place]bool) {
	for at, l := range t.listeners {
		before := old.listeners[at]
		if before == nil {
			continue
		}
		for prefix, n := range l.neighbors {
			o := before.neighbors[prefix]
			if n.problem == nil || o == nil || o.problem != nil || !live[n.place] {
				continue
			}
			if _, stays := slices.BinarySearch(t.customers, o.customer); stays {
				l.neighbors[prefix] = o
			}
		}
	}
}

// problems lists what could not be configured.
func (t *table) problems() []string {
	var all []string
	for _, n := range t.sorted() {
		if n.problem != nil {
			all = append(all, fmt.Sprintf("%s: %v", n, n.problem))
		}
	}
	slices.Sort(all) // by customer
	return all
}
