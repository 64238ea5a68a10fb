package api

import "time"

// State is everything the store holds, decoded, as of one revision. A State
// is never changed after it was handed out: readers may keep it.
//
// A value that could not be decoded (truncated, or of a newer schema) leaves
// the last good one in place and is named in Bad.
type State struct {
	// ClusterID and Revision say which store, and when.
	ClusterID uint64
	Revision  int64
	// Synced is false until the store was read in full once. A State that is
	// not synced and not from the cache is no information at all.
	Synced bool
	// FromCache says that the state was read from disk, not from the store.
	FromCache bool
	// Stale is why the state may be behind, such as a lost connection; nil
	// while the store answers. StaleSince is when it began.
	Stale      error
	StaleSince time.Time
	// Held is why the store is not believed: it was restored from a backup.
	// The rest of the state is then from before.
	Held error
	// Alarms are those that etcd has raised, such as NOSPACE: it refuses writes.
	Alarms []string
	// Bad lists keys whose newest value was refused, with the reason.
	Bad map[string]error

	Pools         map[string]*Pool
	LoadBalancers map[string]*LoadBalancer
	RealServers   map[string]*RealServer
	Customers     map[string]*Customer
	Settings      *Settings // never nil: defaults when the site has none

	Intents     map[string]*ServerIntent // by real server
	StoreIntent *StoreIntent
	Routes      map[string]*RouteIntent // by RouteIntent.ID; ended ones too

	LiveLBs         map[string]*Live
	LiveRealServers map[string]*Live
	LiveControllers map[string]*Live
	// Leader is the name of the elected controller, or empty.
	Leader string
	// LeaderRevision is the store's revision at which the leader's candidacy
	// began: it tells one leadership of a controller from another.
	LeaderRevision int64

	Paths   map[string]*PathObservation   // by LB
	Servers map[string]*ServerObservation // by real server

	Plans   map[string]*Plan               // by pool
	Applied map[string]map[string]*Applied // by pool, then LB
}

// Objects lists the configuration objects in the order of Kinds, then by name.
func (s *State) Objects() []Object {
	var all []Object
	if s.Settings != nil && s.Settings.Name != "" {
		all = append(all, s.Settings)
	}
	for _, n := range sortedKeys(s.LoadBalancers) {
		all = append(all, s.LoadBalancers[n])
	}
	for _, n := range sortedKeys(s.RealServers) {
		all = append(all, s.RealServers[n])
	}
	for _, n := range sortedKeys(s.Pools) {
		all = append(all, s.Pools[n])
	}
	for _, n := range sortedKeys(s.Customers) {
		all = append(all, s.Customers[n])
	}
	return all
}

// Object is one configuration object, or nil.
func (s *State) Object(kind Kind, name string) Object {
	switch kind {
	case KindPool:
		return object(s.Pools[name])
	case KindLoadBalancer:
		return object(s.LoadBalancers[name])
	case KindRealServer:
		return object(s.RealServers[name])
	case KindCustomer:
		return object(s.Customers[name])
	case KindSettings:
		if s.Settings != nil && s.Settings.Name == name && name != "" {
			return s.Settings
		}
	}
	return nil
}

// object makes a nil pointer a nil interface.
func object[T any, P interface {
	*T
	Object
}](p P) Object {
	if p == nil {
		return nil
	}
	return p
}

// ActiveRoutes are the routes in force at now, in the order of their IDs.
func (s *State) ActiveRoutes(now time.Time) []RouteIntent {
	var all []RouteIntent
	for _, id := range sortedKeys(s.Routes) {
		if r := s.Routes[id]; r.Active(now) {
			all = append(all, *r)
		}
	}
	return all
}
