package server

import (
	"maps"

	"github.com/peerage/peerage/api"
)

// overlay is a state with changes on top. The state beneath stays as it is.
type overlay struct{ *api.State }

func newOverlay(base *api.State) overlay {
	st := *base
	st.Pools = clone(base.Pools)
	st.LoadBalancers = clone(base.LoadBalancers)
	st.RealServers = clone(base.RealServers)
	st.Customers = clone(base.Customers)
	st.Intents = clone(base.Intents)
	return overlay{&st}
}

// clone is maps.Clone that never gives nil.
func clone[V any](m map[string]V) map[string]V {
	if m == nil {
		return make(map[string]V)
	}
	return maps.Clone(m)
}

func (o overlay) put(object api.Object) {
	name := object.ObjectMeta().Name
	switch v := object.(type) {
	case *api.Pool:
		o.Pools[name] = v
	case *api.LoadBalancer:
		o.LoadBalancers[name] = v
	case *api.RealServer:
		o.RealServers[name] = v
	case *api.Customer:
		o.Customers[name] = v
	case *api.Settings:
		o.Settings = v
	}
}

func (o overlay) remove(object api.Object) {
	name := object.ObjectMeta().Name
	switch object.(type) {
	case *api.Pool:
		delete(o.Pools, name)
	case *api.LoadBalancer:
		delete(o.LoadBalancers, name)
	case *api.RealServer:
		delete(o.RealServers, name)
		delete(o.Intents, name)
	case *api.Customer:
		delete(o.Customers, name)
	case *api.Settings:
		o.Settings = &api.Settings{}
		o.Settings.Default()
	}
}

func (o overlay) intent(i *api.ServerIntent) {
	if i.Empty() {
		delete(o.Intents, i.Server)
		return
	}
	o.Intents[i.Server] = i
}
