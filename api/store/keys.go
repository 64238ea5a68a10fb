package store

import (
	"fmt"
	"slices"
	"strings"

	"github.com/peerage/peerage/api"
)

// The key layout. Each prefix has one writer.
const (
	root = "/peerage/v1/"

	poolKeys       = root + "config/pools/"       // the API, from files
	lbKeys         = root + "config/lbs/"         // the API, from files
	realServerKeys = root + "config/realservers/" // the API, from files
	settingsKeys   = root + "config/settings/"    // the API, from files
	customerKeys   = root + "config/customers/"   // the API, from files

	intentKeys  = root + "intent/realservers/" // the API, from verbs
	routeKeys   = root + "intent/routes/"      // the API, from verbs; the leader removes ended ones
	storeKey    = root + "intent/store"        // the API, from a verb
	sequenceKey = root + "intent/sequence"     // the API; serialises Update

	liveKeys = root + "live/" // each node, on its lease: ROLE/NAME

	leaderKeys = root + "leader" // the candidates, on their leases

	pathKeys   = root + "observed/lbs/"         // agents
	serverKeys = root + "observed/realservers/" // realservers

	planKeys    = root + "plan/"    // the leader, fenced: POOL
	appliedKeys = root + "applied/" // agents: POOL/LB
	eventKeys   = root + "events/"  // all, bounded; not mirrored
)

// mirrored tells whether the mirror holds a key: not events, nor the sequence
// number, nor what a newer version may have added.
func mirrored(key string) bool {
	return cached(key) || hasAnyPrefix(key, liveKeys, leaderKeys+"/", pathKeys, serverKeys, appliedKeys)
}

// cached tells whether a key is worth keeping on disk: what a site is and
// wants, and what was decided. What nodes measured is worthless when it is old.
func cached(key string) bool {
	return key == storeKey || hasAnyPrefix(key, poolKeys, lbKeys, realServerKeys, settingsKeys, customerKeys, intentKeys, routeKeys, planKeys)
}

func hasAnyPrefix(key string, prefixes ...string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(key, p) })
}

// configKey is where a configuration object lives.
func configKey(kind api.Kind, name string) (string, error) {
	if err := api.CheckName(name); err != nil {
		return "", fmt.Errorf("%s: %w", kind, err)
	}
	switch kind {
	case api.KindPool:
		return poolKeys + name, nil
	case api.KindLoadBalancer:
		return lbKeys + name, nil
	case api.KindRealServer:
		return realServerKeys + name, nil
	case api.KindSettings:
		return settingsKeys + name, nil
	case api.KindCustomer:
		return customerKeys + name, nil
	}
	return "", fmt.Errorf("kind %q has no place in the store", kind)
}
