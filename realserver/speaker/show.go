package speaker

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/node"
	"github.com/peerage/peerage/realserver/bgp"
	"github.com/peerage/peerage/realserver/speaker/control"
	"github.com/peerage/peerage/realserver/speaker/exchange"
)

// Status implements control.Speaker.
func (s *Speaker) Status() control.Status {
	_, set := s.Config()
	st := control.Status{
		Schema: control.Schema, Version: node.Version, PID: os.Getpid(), StartedAt: s.startedAt, Configured: set, Pools: map[string]control.PoolCount{},
	}
	stats := s.exchange.Stats()
	st.Shards, st.Workers = len(stats.Shards), len(stats.Workers)
	for i := range stats.Shards {
		st.Routes += stats.Shards[i].Routes
	}
	s.mu.RLock()
	for _, l := range s.table.listeners {
		st.Pools[l.pool] = control.PoolCount{}
	}
	s.mu.RUnlock()
	s.eachRecord(func(r *record) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if c := r.current(); c != nil {
			count := st.Pools[r.key.pool()]
			count.Sessions++
			if c.now() == established {
				count.Established++
			}
			st.Pools[r.key.pool()] = count
		}
	})
	return st
}

// eachRecord calls f for every router.
func (s *Speaker) eachRecord(f func(*record)) {
	s.mu.RLock()
	all := make([]*record, 0, len(s.records))
	for _, r := range s.records {
		all = append(all, r)
	}
	s.mu.RUnlock()
	for _, r := range all {
		f(r)
	}
}

// Sessions implements control.Speaker.
func (s *Speaker) Sessions(f control.Filter) []control.Session {
	var all []control.Session
	s.eachRecord(func(r *record) {
		if f.Pool != "" && f.Pool != r.key.pool() || f.Peer.IsValid() && f.Peer.Unmap() != r.key.peer {
			return
		}
		if c := r.show(); f.Customer == "" || f.Customer == c.Customer {
			all = append(all, c)
		}
	})
	slices.SortFunc(all, func(a, b control.Session) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// lookup finds a router's record by the session's id.
func (s *Speaker) lookup(id string) (*record, error) {
	unknown := fmt.Errorf("session %s: %w", id, control.ErrNotFound)
	parts := strings.Split(id, ",")
	if len(parts) != 3 {
		return nil, fmt.Errorf("%w; an id has the form POOL,VIP,PEER", unknown)
	}
	vip, err1 := netip.ParseAddr(parts[1])
	peer, err2 := netip.ParseAddr(parts[2])
	if err1 != nil || err2 != nil {
		return nil, fmt.Errorf("%w; an id has the form POOL,VIP,PEER", unknown)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for at, l := range s.table.listeners {
		if at.Addr() == vip && l.pool == parts[0] {
			if r := s.records[keyOf(parts[0], at, peer.Unmap())]; r != nil {
				return r, nil
			}
		}
	}
	return nil, unknown
}

// Session implements control.Speaker.
func (s *Speaker) Session(id string) (control.Session, error) {
	r, err := s.lookup(id)
	if err != nil {
		return control.Session{}, err
	}
	return r.show(), nil
}

// Reset implements control.Speaker.
func (s *Speaker) Reset(id, text string) error {
	r, err := s.lookup(id)
	if err != nil {
		return err
	}
	r.mu.Lock()
	c := r.current()
	r.mu.Unlock()
	if c == nil {
		return fmt.Errorf("session %s is not up: %w", id, control.ErrNotFound)
	}
	reason := "reset by an operator"
	if text != "" {
		reason += ": " + text
	}
	c.stop(&bgp.Error{Notification: bgp.Shutdown(bgp.SubAdministrativeReset, text), Reason: reason})
	return nil
}

// Routes implements control.Speaker.
func (s *Speaker) Routes(ctx context.Context, id string) (iter.Seq2[control.Route, error], error) {
	r, err := s.lookup(id)
	if err != nil {
		return nil, err
	}
	return func(yield func(control.Route, error) bool) {
		for route, err := range s.exchange.Routes(ctx, r.key.id()) {
			if err != nil {
				yield(control.Route{}, err)
				return
			}
			if !yield(describe(&route), nil) {
				return
			}
		}
	}, nil
}

// Lookup implements control.Speaker.
func (s *Speaker) Lookup(_ context.Context, addr netip.Addr, f control.LookupFilter) ([]control.Route, error) {
	if f.Session != "" {
		if _, err := s.lookup(f.Session); err != nil {
			return nil, err
		}
	}
	var all []control.Route
	for _, r := range s.exchange.Lookup(addr, exchange.Filter{Customer: f.Customer, Session: f.Session}) {
		all = append(all, describe(&r))
	}
	return all, nil
}

// describe makes a route readable.
func describe(r *exchange.Route) control.Route {
	d := bgp.Describe(r.Attributes)
	return control.Route{
		Session: r.Session, Customer: r.Customer, Pool: r.Pool, Prefix: r.Prefix, NextHop: r.NextHop, LinkLocal: r.LinkLocal, Best: r.Best,
		Origin: d.Origin, ASPath: d.ASPath, MED: d.MED, LocalPref: d.LocalPref, AtomicAggregate: d.AtomicAggregate, Aggregator: d.Aggregator,
		Communities: d.Communities, ExtendedCommunities: d.ExtendedCommunities, LargeCommunities: d.LargeCommunities,
		OriginatorID: d.OriginatorID, ClusterList: d.ClusterList, Unknown: d.Unknown,
	}
}

// snapshot is the session as control has it, without what the record knows.
func (s *session) snapshot() control.Session {
	n := s.n.Load()
	out := control.Session{
		ID: s.rec.id(), Pool: n.pool, Customer: n.customer, VIP: s.rec.key.at(), Peer: netip.AddrPortFrom(s.rec.key.peer, s.port),
		State: s.now().String(), Since: time.Unix(0, s.since.Load()).UTC(), MD5: s.md5,
		Received: s.received.show(), Sent: s.sent.show(), Treated: s.treated.Load(),
	}
	a := s.agreed.Load()
	if a == nil {
		return out
	}
	out.AS, out.RouterID, out.HoldTime = a.as, a.id, api.Duration(a.hold)
	out.Capabilities = a.capabilities()
	for _, f := range a.families.List() {
		out.Families = append(out.Families, f.String())
	}
	if p := s.exchange.Load(); p != nil {
		counts := p.Counts()
		out.Dropped = counts.Refused
		for f, n := range counts.Routes {
			if out.Routes == nil {
				out.Routes = map[string]int64{}
			}
			out.Routes[f.String()] = n
		}
	}
	return out
}

// capabilities names those that both sides offered.
func (a *agreement) capabilities() (names []string) {
	for _, f := range a.families.List() {
		names = append(names, bgp.Multiprotocol(f).String())
	}
	for _, c := range []struct {
		on   bool
		code bgp.CapabilityCode
	}{
		{a.refresh, bgp.CapRouteRefresh}, {a.enhanced, bgp.CapEnhancedRefresh}, {a.extended, bgp.CapExtendedMessage}, {a.fourOctetAS, bgp.CapFourOctetAS},
	} {
		if c.on {
			names = append(names, bgp.Capability{Code: c.code}.String())
		}
	}
	return names
}

func (t *tally) show() control.MessageCount {
	return control.MessageCount{
		Updates: t.updates.Load(), Keepalives: t.keepalives.Load(), Refreshes: t.refreshes.Load(), Notifications: t.notifications.Load(), Bytes: t.bytes.Load(),
	}
}
