package store

import (
	"fmt"
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

	intentKeys  = root + "intent/realservers/" // the API, from verbs
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

// mirrored tells whether the mirror holds a key: events and the sequence
// number are for others.
func mirrored(key string) bool {
	return !strings.HasPrefix(key, eventKeys) && key != sequenceKey
}

// configKey is where a configuration object lives.
func configKey(kind api.Kind, name string) (string, error) {
	if name == "" || strings.ContainsRune(name, '/') {
		return "", fmt.Errorf("%s %q: a name is neither empty nor has slashes", kind, name)
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
	}
	return "", fmt.Errorf("kind %q has no place in the store", kind)
}
