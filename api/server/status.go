package server

import (
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/peerage/peerage/api"
)

// BuildStatus puts everything that is known of the site into one view. It is
// pure; now decides which intents are in force.
func BuildStatus(s *api.State, now time.Time) *api.Status {
	st := &api.Status{
		At:            now,
		Store:         storeStatus(s),
		Leader:        s.Leader,
		Controllers:   []api.NodeStatus{},
		LoadBalancers: []api.LBStatus{},
		RealServers:   []api.RealServerStatus{},
		Pools:         []api.PoolStatus{},
	}
	for _, name := range keys(s.LiveControllers) {
		st.Controllers = append(st.Controllers, nodeStatus(name, s.LiveControllers[name], nil))
	}
	for _, name := range keys(s.LoadBalancers) {
		st.LoadBalancers = append(st.LoadBalancers, lbStatus(s, s.LoadBalancers[name]))
	}
	members := membership(s)
	for _, name := range keys(s.RealServers) {
		st.RealServers = append(st.RealServers, realServerStatus(s, s.RealServers[name], members[name], now))
	}
	for _, name := range poolNames(s) {
		st.Pools = append(st.Pools, poolStatus(s, name))
	}
	st.Warnings = warnings(st)
	return st
}

func keys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func storeStatus(s *api.State) api.StoreStatus {
	st := api.StoreStatus{
		ClusterID: strconv.FormatUint(s.ClusterID, 16),
		Revision:  s.Revision,
		Synced:    s.Synced,
		FromCache: s.FromCache,
		Stale:     staleReason(s),
		Alarms:    s.Alarms,
	}
	if st.Stale != "" {
		st.StaleSince = s.StaleSince
	}
	if s.Held != nil {
		st.Held = s.Held.Error()
	}
	for _, key := range keys(s.Bad) {
		st.Bad = append(st.Bad, api.BadKey{Key: key, Reason: s.Bad[key].Error()})
	}
	return st
}

// staleReason says why the state may be behind the store, or nothing.
func staleReason(s *api.State) string {
	switch {
	case s.Stale != nil:
		return s.Stale.Error()
	case s.FromCache:
		return "read from disk; the store has not answered yet"
	case !s.Synced:
		return "the store was not read yet"
	}
	return ""
}

func nodeStatus(name string, live *api.Live, configured []netip.Addr) api.NodeStatus {
	n := api.NodeStatus{Name: name, Addresses: configured}
	if live == nil {
		return n
	}
	n.Live, n.Version, n.StartedAt, n.API = true, live.Version, live.StartedAt, live.API
	if len(n.Addresses) == 0 {
		n.Addresses = live.Addresses
	}
	return n
}

func lbStatus(s *api.State, lb *api.LoadBalancer) api.LBStatus {
	st := api.LBStatus{NodeStatus: nodeStatus(lb.Name, s.LiveLBs[lb.Name], lb.Spec.Addresses), Peers: []api.PeerStatus{}}
	reported := peers(s, lb.Name)
	for _, p := range lb.Spec.Fabric.Peers {
		r := reported[p.Name]
		st.Peers = append(st.Peers, api.PeerStatus{Name: p.Name, State: r.State, BFD: r.BFD})
	}
	slices.SortFunc(st.Peers, func(a, b api.PeerStatus) int { return strings.Compare(a.Name, b.Name) })
	return st
}

// peers are the fabric sessions of an LB by its newest report. Nothing that a
// dead LB said of them still holds.
func peers(s *api.State, lb string) map[string]api.FabricState {
	if s.LiveLBs[lb] == nil {
		return nil
	}
	var newest *api.Applied
	for _, pool := range keys(s.Applied) {
		if a := s.Applied[pool][lb]; a != nil && (newest == nil || a.At.After(newest.At)) {
			newest = a
		}
	}
	if newest == nil {
		return nil
	}
	return newest.Peers
}

func realServerStatus(s *api.State, rs *api.RealServer, pools []string, now time.Time) api.RealServerStatus {
	st := api.RealServerStatus{
		NodeStatus: nodeStatus(rs.Name, s.LiveRealServers[rs.Name], rs.Spec.Addresses),
		Configured: rs.Spec.Weight,
		Pools:      pools,
	}
	if st.Pools == nil {
		st.Pools = []string{}
	}
	if in := s.Intents[rs.Name]; in != nil {
		if in.Depooled.Active(now) {
			st.Depooled = in.Depooled
		}
		if in.Weight != nil && in.Weight.Active(now) {
			st.Weight = in.Weight
		}
	}
	return st
}

// membership lists the pools of every real server, configured or planned.
func membership(s *api.State) map[string][]string {
	m := make(map[string][]string)
	for _, pool := range poolNames(s) {
		for _, name := range members(s, pool) {
			m[name] = append(m[name], pool)
		}
	}
	return m
}

// poolNames are the pools that are configured or still have a plan.
func poolNames(s *api.State) []string {
	names := make(map[string]bool)
	for n := range s.Pools {
		names[n] = true
	}
	for n := range s.Plans {
		names[n] = true
	}
	return keys(names)
}

// members are the real servers of a pool in the plan's order, then those that
// the plan does not have yet.
func members(s *api.State, pool string) []string {
	var names []string
	if plan := s.Plans[pool]; plan != nil {
		for _, d := range plan.Destinations {
			names = append(names, d.Server)
		}
	}
	if p := s.Pools[pool]; p != nil {
		for _, n := range slices.Sorted(slices.Values(p.Spec.RealServers)) {
			if !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
	}
	return names
}
