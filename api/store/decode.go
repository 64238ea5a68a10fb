package store

import (
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/peerage/peerage/api"
)

// builder collects decoded keys and hands out states. It is not safe for
// concurrent use; the states it hands out are.
type builder struct {
	values  map[string]any   // the last good value by key
	bad     map[string]error // keys whose newest value was refused
	leaders map[string]leader
	raw     map[string][]byte // what the cache keeps of values
	marks   map[string]mark   // the history of every key, refused ones too
	dirty   bool              // the cache's part changed since it was saved
	// sequence is the revision of the last Update.
	sequence int64
}

type leader struct {
	name    string
	created int64 // the lowest create revision leads
}

func newBuilder() *builder {
	return &builder{values: map[string]any{}, bad: map[string]error{}, leaders: map[string]leader{}, raw: map[string][]byte{}, marks: map[string]mark{}}
}

// forget drops what is known of the history, which another store continues.
func (b *builder) forget() { b.marks = map[string]mark{} }

// put takes a new value. One that cannot be decoded leaves the last good one.
func (b *builder) put(kv *mvccpb.KeyValue) {
	key := string(kv.Key)
	if key == sequenceKey {
		b.sequence = kv.ModRevision
	}
	if !mirrored(key) {
		return
	}
	b.marks[key] = markOf(kv)
	b.dirty = b.dirty || cached(key)
	if strings.HasPrefix(key, leaderKeys+"/") {
		b.leaders[key] = leader{string(kv.Value), kv.CreateRevision}
		return
	}
	v, err := decode(key, kv.Value)
	if err != nil {
		b.bad[key] = err
		return
	}
	delete(b.bad, key)
	b.values[key] = v
	if cached(key) {
		b.raw[key] = kv.Value
	}
}

// remove takes a deletion.
func (b *builder) remove(key string) {
	delete(b.values, key)
	delete(b.bad, key)
	delete(b.leaders, key)
	delete(b.raw, key)
	delete(b.marks, key)
	b.dirty = b.dirty || cached(key)
}

// replace takes a complete list: what is not in it is gone. What is in it but
// cannot be decoded keeps its last good value.
func (b *builder) replace(kvs []*mvccpb.KeyValue) {
	listed := make(map[string]bool, len(kvs))
	for _, kv := range kvs {
		listed[string(kv.Key)] = true
	}
	for _, keys := range []iter.Seq[string]{maps.Keys(b.values), maps.Keys(b.bad), maps.Keys(b.leaders)} {
		for key := range keys {
			if !listed[key] {
				b.remove(key)
			}
		}
	}
	b.sequence = 0
	for _, kv := range kvs {
		b.put(kv)
	}
}

// state assembles what was collected.
func (b *builder) state() *api.State {
	st := &api.State{
		Pools: map[string]*api.Pool{}, LoadBalancers: map[string]*api.LoadBalancer{}, RealServers: map[string]*api.RealServer{},
		Customers: map[string]*api.Customer{}, Intents: map[string]*api.ServerIntent{}, Routes: map[string]*api.RouteIntent{},
		LiveLBs: map[string]*api.Live{}, LiveRealServers: map[string]*api.Live{}, LiveControllers: map[string]*api.Live{},
		Paths: map[string]*api.PathObservation{}, Servers: map[string]*api.ServerObservation{},
		Plans: map[string]*api.Plan{}, Applied: map[string]map[string]*api.Applied{},
		Bad: maps.Clone(b.bad), Settings: &api.Settings{},
	}
	st.Settings.Default()
	for _, v := range b.values {
		place(st, v)
	}
	var first leader
	for _, l := range b.leaders {
		if first.created == 0 || l.created < first.created {
			first = l
		}
	}
	st.Leader, st.LeaderRevision = first.name, first.created
	return st
}

// place puts a decoded value where it belongs.
func place(st *api.State, v any) {
	switch v := v.(type) {
	case *api.Pool:
		st.Pools[v.Name] = v
	case *api.LoadBalancer:
		st.LoadBalancers[v.Name] = v
	case *api.RealServer:
		st.RealServers[v.Name] = v
	case *api.Settings:
		st.Settings = v
	case *api.Customer:
		st.Customers[v.Name] = v
	case *api.ServerIntent:
		st.Intents[v.Server] = v
	case *api.RouteIntent:
		st.Routes[v.ID()] = v
	case *api.StoreIntent:
		st.StoreIntent = v
	case *api.Live:
		map[api.Role]map[string]*api.Live{
			api.RoleLB: st.LiveLBs, api.RoleRealServer: st.LiveRealServers, api.RoleController: st.LiveControllers,
		}[v.Role][v.Name] = v
	case *api.PathObservation:
		st.Paths[v.LB] = v
	case *api.ServerObservation:
		st.Servers[v.Server] = v
	case *api.Plan:
		st.Plans[v.Pool] = v
	case *api.Applied:
		if st.Applied[v.Pool] == nil {
			st.Applied[v.Pool] = map[string]*api.Applied{}
		}
		st.Applied[v.Pool][v.LB] = v
	}
}

// decode reads the value of a key, and checks that it says of itself what the
// key says: a value under the wrong key must not pass for another's.
func decode(key string, data []byte) (any, error) {
	rest, ok := strings.CutPrefix(key, root)
	if !ok {
		return nil, fmt.Errorf("key %s is not Peerage's", key)
	}
	switch {
	case strings.HasPrefix(rest, "config/"):
		return decodeConfig(key, data)
	case key == storeKey:
		return decodeValue(key, data, func(*api.StoreIntent) string { return storeKey })
	case strings.HasPrefix(key, intentKeys):
		return decodeValue(key, data, func(v *api.ServerIntent) string { return intentKeys + v.Server })
	case strings.HasPrefix(key, routeKeys):
		return decodeValue(key, data, routeKey)
	case strings.HasPrefix(key, liveKeys):
		return decodeValue(key, data, liveKey)
	case strings.HasPrefix(key, pathKeys):
		return decodeValue(key, data, func(v *api.PathObservation) string { return pathKeys + v.LB })
	case strings.HasPrefix(key, serverKeys):
		return decodeValue(key, data, func(v *api.ServerObservation) string { return serverKeys + v.Server })
	case strings.HasPrefix(key, planKeys):
		return decodeValue(key, data, func(v *api.Plan) string { return planKeys + v.Pool })
	case strings.HasPrefix(key, appliedKeys):
		return decodeValue(key, data, appliedKey)
	}
	return nil, fmt.Errorf("key %s is of no known kind; a newer version may have written it", key)
}

// routeKey is empty for a route whose target or prefix could not be one's.
func routeKey(v *api.RouteIntent) string {
	if v.CheckTarget() != nil {
		return ""
	}
	return routeKeys + v.ID()
}

func liveKey(v *api.Live) string {
	switch v.Role {
	case api.RoleLB, api.RoleRealServer, api.RoleController:
		return liveKeys + string(v.Role) + "/" + v.Name
	}
	return ""
}

func appliedKey(v *api.Applied) string { return appliedKeys + v.Pool + "/" + v.LB }

func decodeConfig(key string, data []byte) (any, error) {
	o, err := api.Unmarshal(data)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", key, err)
	}
	if want, err := configKey(o.ObjectKind(), o.ObjectMeta().Name); err != nil || want != key {
		return nil, fmt.Errorf("key %s holds %s", key, api.Key(o))
	}
	return o, nil
}

// decodeValue reads the JSON of one value. Unknown fields are allowed within a
// schema: a newer minor version may add some. A newer schema is refused.
func decodeValue[T any](key string, data []byte, keyOf func(*T) string) (any, error) {
	var head struct {
		Schema int `json:"schema"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, fmt.Errorf("key %s: the value is truncated or no JSON: %w", key, err)
	}
	if head.Schema > api.Schema {
		return nil, fmt.Errorf("key %s: schema %d is of the future, this version reads %d: upgrade this node", key, head.Schema, api.Schema)
	}
	if head.Schema < 1 {
		return nil, fmt.Errorf("key %s: the value has no schema version", key)
	}
	v := new(T)
	if err := json.Unmarshal(data, v); err != nil {
		return nil, fmt.Errorf("key %s: %w", key, err)
	}
	if keyOf(v) != key {
		return nil, fmt.Errorf("key %s: the value is not about it", key)
	}
	return v, nil
}

// maxValue bounds a value; etcd refuses requests of 1.5 MiB.
const maxValue = 1 << 20

// encode renders a value for a key.
func encode(key string, v any) (string, error) {
	marshal := func() ([]byte, error) { return json.Marshal(v) }
	if o, ok := v.(api.Object); ok {
		marshal = func() ([]byte, error) { return api.Marshal(o) }
	}
	data, err := marshal()
	if err == nil && len(data) > maxValue {
		err = fmt.Errorf("%w: %d bytes, the limit is 1 MiB", ErrTooLarge, len(data))
	}
	if err != nil {
		return "", fmt.Errorf("key %s: %w", key, err)
	}
	return string(data), nil
}
