package store

import (
	"strings"

	"github.com/peerage/peerage/api"
)

// recall puts in the last good values of a state where the newest are bad.
func (b *builder) recall(known *api.State) {
	for key := range b.bad {
		if v := valueAt(known, key); v != nil {
			b.values[key] = v
		}
	}
}

// valueAt is what a state holds of a key, nil for nothing.
func valueAt(st *api.State, key string) any {
	dir, name := key[:strings.LastIndexByte(key, '/')+1], key[strings.LastIndexByte(key, '/')+1:]
	switch {
	case key == storeKey:
		return some(st.StoreIntent)
	case dir == settingsKeys && st.Settings != nil && st.Settings.Name == name:
		return some(st.Settings)
	case dir == poolKeys:
		return some(st.Pools[name])
	case dir == lbKeys:
		return some(st.LoadBalancers[name])
	case dir == realServerKeys:
		return some(st.RealServers[name])
	case dir == customerKeys:
		return some(st.Customers[name])
	case dir == routeKeys:
		return some(st.Routes[name])
	case dir == intentKeys:
		return some(st.Intents[name])
	case dir == planKeys:
		return some(st.Plans[name])
	case dir == pathKeys:
		return some(st.Paths[name])
	case dir == serverKeys:
		return some(st.Servers[name])
	case strings.HasPrefix(dir, appliedKeys):
		return some(st.Applied[strings.Trim(dir[len(appliedKeys):], "/")][name])
	}
	return nil
}

// some makes a nil pointer a nil interface.
func some[T any](p *T) any {
	if p == nil {
		return nil
	}
	return p
}
