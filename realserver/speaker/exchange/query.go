package exchange

import (
	"context"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strings"

	"github.com/peerage/peerage/realserver/bgp"
	"github.com/peerage/peerage/realserver/rib"
)

// Filter restricts a lookup. Empty fields do not.
type Filter struct {
	Customer string
	// Session is the Name of a peer.
	Session string
}

// Route is one route that a peer announced.
type Route struct {
	Session, Customer, Pool string
	Prefix                  netip.Prefix
	NextHop, LinkLocal      netip.Addr
	// Attributes is the canonical set, a copy.
	Attributes []byte
	// Best: it is the best of its group.
	Best bool
}

// Lookup finds the routes with the longest prefix that holds addr, among those
// of the filter, sorted by session. Each customer mode and reflect group has a
// longest prefix of its own.
func (x *Exchange) Lookup(addr netip.Addr, f Filter) []Route {
	addr = addr.Unmap()
	var routes []Route
	v := x.look()
	var one [1]rib.Wanted
	for _, w := range v.wanted(f, one[:0]) {
		if addr.Is4() {
			x.layout.Lookup4(x.tables, w, addr, nil, func(_ *rib.Shard, found []rib.Found[rib.K4]) {
				routes = appendRoutes(x, v, routes, found)
			})
		} else if addr.Is6() {
			x.layout.Lookup6(x.tables, w, addr, nil, func(_ *rib.Shard, found []rib.Found[rib.K6]) {
				routes = appendRoutes(x, v, routes, found)
			})
		}
	}
	if len(routes) < 2 {
		return routes
	}
	slices.SortFunc(routes, func(a, b Route) int { return strings.Compare(a.Session, b.Session) })
	return routes
}

// view is who is there. It does not change.
type view struct {
	peers   []*Peer // by number
	names   map[string]*Peer
	domains []rib.Domain
}

func (x *Exchange) look() *view {
	if v := x.view.Load(); v != nil {
		return v
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	v := &view{names: map[string]*Peer{}}
	for id, p := range x.peers {
		for int(id) >= len(v.peers) {
			v.peers = append(v.peers, nil)
		}
		v.peers[id] = p
	}
	for name, p := range x.names {
		v.names[name] = p
	}
	for _, d := range x.domains {
		v.domains = append(v.domains, d.number)
	}
	x.view.Store(v)
	return v
}

func (v *view) peer(id rib.PeerID) *Peer {
	if int(id) < len(v.peers) {
		return v.peers[id]
	}
	return nil
}

// wanted says where to look.
func (v *view) wanted(f Filter, ws []rib.Wanted) []rib.Wanted {
	if f.Session != "" {
		p := v.names[f.Session]
		if p == nil || p.ended.Load() || f.Customer != "" && f.Customer != p.config.Customer {
			return nil
		}
		return append(ws, rib.Wanted{Domain: p.d.number, Peer: p.id})
	}
	domains := v.domains
	if f.Customer != "" {
		seen := map[rib.Domain]bool{}
		domains = nil
		for _, p := range v.peers {
			if p != nil && p.config.Customer == f.Customer && !seen[p.d.number] {
				seen[p.d.number] = true
				domains = append(domains, p.d.number)
			}
		}
	}
	for _, d := range domains {
		ws = append(ws, rib.Wanted{Domain: d, Filter: func(id rib.PeerID) bool {
			p := v.peer(id)
			return p != nil && !p.ended.Load() && (f.Customer == "" || p.config.Customer == f.Customer)
		}})
	}
	return ws
}

// appendRoutes appends what was found in a shard. The caller holds its lock.
func appendRoutes[K rib.Key[K]](x *Exchange, v *view, dst []Route, found []rib.Found[K]) []Route {
	dst = slices.Grow(dst, len(found))
	for _, r := range found {
		p := v.peer(r.Peer)
		if p == nil || p.ended.Load() {
			continue
		}
		set := x.sets.Bytes(r.Attr)
		hop, canonical := splitKey(make([]byte, 0, 2*len(set)), set)
		route := Route{
			Session: p.config.Name, Customer: p.config.Customer, Pool: p.config.Pool,
			Prefix: r.Key.Prefix(), Attributes: canonical, Best: r.Best,
		}
		route.NextHop, route.LinkLocal = bgp.NextHops(hop)
		dst = append(dst, route)
	}
	return dst
}

// walkSize is how many routes are read under one lock.
const walkSize = 256

// Routes iterates over the routes of the peer of that name, in no particular
// order. Routes that change meanwhile may be missing or be seen in either
// state. It ends early with the error of ctx, and when the session ends.
func (x *Exchange) Routes(ctx context.Context, session string) iter.Seq2[Route, error] {
	return func(yield func(Route, error) bool) {
		v := x.look()
		p := v.names[session]
		if p == nil {
			yield(Route{}, fmt.Errorf("routes of session %s: there is no such session", session))
			return
		}
		for _, s := range x.tables {
			if !walk(ctx, x, v, p, s, s.Walk4, yield) || !walk(ctx, x, v, p, s, s.Walk6, yield) {
				return
			}
		}
	}
}

func walk[K rib.Key[K]](ctx context.Context, x *Exchange, v *view, p *Peer, s *rib.Shard,
	step func(rib.PeerID, uint32, int, []rib.Found[K]) ([]rib.Found[K], uint32), yield func(Route, error) bool) bool {
	found := make([]rib.Found[K], 0, walkSize)
	routes := make([]Route, 0, walkSize)
	for next := uint32(0); ; {
		if err := ctx.Err(); err != nil {
			yield(Route{}, err)
			return false
		}
		s.RLock()
		if p.ended.Load() {
			s.RUnlock()
			yield(Route{}, fmt.Errorf("routes of session %s: the session ended while they were read; ask again when it is up", p.config.Name))
			return false
		}
		found, next = step(p.id, next, walkSize, found[:0])
		routes = appendRoutes(x, v, routes[:0], found)
		s.RUnlock()
		for _, r := range routes {
			if !yield(r, nil) {
				return false
			}
		}
		if next == 0 {
			return true
		}
	}
}
