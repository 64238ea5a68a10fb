package server

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/store"
)

// believed is what the mirror knows, unless that is of a store that was
// restored from a backup: then nothing may be written.
func (s *Server) believed() (*api.State, error) {
	known := s.cfg.Mirror.State()
	if known.Held != nil {
		return nil, held(known.Held)
	}
	return known, nil
}

// base is the state that a write is judged by: the linearizable one, believed
// only if the mirror knows no later one. What cannot be decoded in it is
// taken from the mirror, which keeps the last good value, because a plan that
// seems absent would let a change pass every guard.
//
// known is what the mirror knew before the transaction began: a newer one
// would rightly be ahead of it.
func base(tx *store.Tx, known *api.State) (*api.State, error) {
	fresh := tx.State()
	if known.ClusterID != 0 && (fresh.ClusterID != known.ClusterID || fresh.Revision < known.Revision) {
		return nil, held(fmt.Errorf("%w: cluster %x at revision %d answers, known is %x at %d",
			store.ErrHeld, fresh.ClusterID, fresh.Revision, known.ClusterID, known.Revision))
	}
	if len(fresh.Bad) == 0 {
		return fresh, nil
	}
	st := *fresh
	st.Plans, st.Intents, st.Applied = maps.Clone(fresh.Plans), maps.Clone(fresh.Intents), maps.Clone(fresh.Applied)
	st.Pools, st.LoadBalancers, st.RealServers = maps.Clone(fresh.Pools), maps.Clone(fresh.LoadBalancers), maps.Clone(fresh.RealServers)
	st.Customers, st.Routes = maps.Clone(fresh.Customers), maps.Clone(fresh.Routes)
	for _, key := range keys(fresh.Bad) {
		if !keep(&st, known, key) {
			return nil, &api.Error{Code: api.ErrorUnavailable,
				Message: fmt.Sprintf("nothing can be changed while the value of %s cannot be read: %v", key, fresh.Bad[key]),
				Hint:    "restore the key, or delete it with etcdctl"}
		}
	}
	return &st, nil
}

// keep puts the last good value of a key into st. It is false when there is
// none and guards depend on it. Configuration without one counts as absent:
// applying it again is the way to repair it.
func keep(st, known *api.State, key string) bool {
	_, key, _ = strings.Cut(key, "/v1/")
	in := func(prefix string) (name string, ok bool) { return strings.CutPrefix(key, prefix) }
	if name, ok := in("plan/"); ok {
		return copyKey(st.Plans, known.Plans, name)
	}
	if name, ok := in("intent/realservers/"); ok {
		return copyKey(st.Intents, known.Intents, name)
	}
	if name, ok := in("config/pools/"); ok {
		copyKey(st.Pools, known.Pools, name)
	} else if name, ok := in("config/lbs/"); ok {
		copyKey(st.LoadBalancers, known.LoadBalancers, name)
	} else if name, ok := in("config/realservers/"); ok {
		copyKey(st.RealServers, known.RealServers, name)
	} else if name, ok := in("config/customers/"); ok {
		copyKey(st.Customers, known.Customers, name)
	} else if name, ok := in("intent/routes/"); ok {
		copyKey(st.Routes, known.Routes, name)
	} else if name, ok := in("applied/"); ok {
		pool, lb, _ := strings.Cut(name, "/")
		if last := known.Applied[pool][lb]; last != nil {
			byLB := clone(st.Applied[pool])
			byLB[lb] = last
			st.Applied[pool] = byLB
		}
	}
	return true
}

func copyKey[V any](to, from map[string]V, key string) bool {
	v, found := from[key]
	if found {
		to[key] = v
	}
	return found
}

// planned says why a wish for a real server would not be acted on: the leader
// leaves a plan alone that it cannot read. Without this the verb would be
// refused for what follows from it, load balancers that refuse the plan too, or
// be taken and come to nothing.
func planned(st *api.State, server string) error {
	for _, key := range keys(st.Bad) {
		_, rest, _ := strings.Cut(key, "/v1/")
		pool, ok := strings.CutPrefix(rest, "plan/")
		if !ok || !slices.Contains(members(st, pool), server) {
			continue
		}
		return &api.Error{Code: api.ErrorUnavailable, Object: "RealServer/" + server,
			Message: fmt.Sprintf("the plan of pool %s in the store is unreadable, so that nothing is planned for it: %v", pool, st.Bad[key]),
			Hint:    "upgrade the controllers when a newer version wrote the plan; if it is damaged, delete " + key + " with etcdctl, and the leader writes it anew"}
	}
	return nil
}
