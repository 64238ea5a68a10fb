package store

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/peerage/peerage/api"
)

// Tx collects the writes of one Update. It is valid within fn alone. Of several
// writes to one object the last counts. What cannot be written makes the Update
// fail.
type Tx struct {
	state  *api.State
	ops    map[string]op // by key
	events bool
	errs   []error
}

// op is one write: a value, or a deletion.
type op struct {
	value  string
	delete bool
}

const (
	// maxOps bounds the writes of one transaction, maxChange their bytes;
	// etcd's own default is 1.5 MiB for a request.
	maxOps    = 4000
	maxChange = 5 << 18
	// groupSize makes transactions within a transaction, each of which may
	// have as many operations as etcd's default limit of 128 leaves: with n
	// groups 128-n-1.
	groupSize = 62
)

// State is the linearizable state that the Update runs on. It does not show
// the writes of the Tx. Where the newest value was refused (State.Bad), it
// shows the last good one that the mirror has, if any.
func (tx *Tx) State() *api.State { return tx.state }

// Put writes a configuration object.
func (tx *Tx) Put(o api.Object) {
	key, err := configKey(o.ObjectKind(), o.ObjectMeta().Name)
	tx.put(key, err, o)
}

// Delete removes a configuration object.
func (tx *Tx) Delete(o api.Object) {
	key, err := configKey(o.ObjectKind(), o.ObjectMeta().Name)
	tx.delete(key, err)
}

// PutIntent writes what operators want of a real server; an empty intent is
// removed. The schema is filled in.
func (tx *Tx) PutIntent(i *api.ServerIntent) {
	v := *i
	v.Schema = api.Schema
	key, err := intentKeys+v.Server, api.CheckName(v.Server)
	if v.Empty() {
		tx.delete(key, err)
		return
	}
	tx.put(key, err, &v)
}

// PutRoute writes a route that operators originate. The schema is filled in.
func (tx *Tx) PutRoute(r *api.RouteIntent) {
	v := *r
	v.Schema = api.Schema
	tx.put(routeKeys+v.ID(), v.Check(), &v)
}

// DeleteRoute removes an originated route.
func (tx *Tx) DeleteRoute(id string) {
	var err error
	if id == "" || strings.Contains(id, "/") {
		err = fmt.Errorf("key %s%s: %w", routeKeys, id, errName)
	}
	tx.delete(routeKeys+id, err)
}

// PutStoreIntent says which restored store is believed. The schema is filled
// in.
func (tx *Tx) PutStoreIntent(i *api.StoreIntent) {
	v := *i
	v.Schema = api.Schema
	tx.put(storeKey, nil, &v)
}

// Event appends to the audit trail with the other writes or not at all. An
// Update that makes nothing but events commits them too.
func (tx *Tx) Event(e api.Event) {
	e = Stamp(e)
	tx.events = true
	tx.put(eventKeys+e.ID, nil, e)
}

func (tx *Tx) put(key string, err error, v any) {
	var data string
	if err == nil {
		data, err = encode(key, v)
	}
	tx.add(key, err, op{value: data})
}

func (tx *Tx) delete(key string, err error) { tx.add(key, err, op{delete: true}) }

func (tx *Tx) add(key string, err error, o op) {
	if err != nil {
		tx.errs = append(tx.errs, err)
		return
	}
	tx.ops[key] = o
}

// accepts tells whether the Tx only accepts a restored store.
func (tx *Tx) accepts() bool {
	for key := range tx.ops {
		if key != storeKey && !strings.HasPrefix(key, eventKeys) {
			return false
		}
	}
	return true
}

// operations renders the writes in the order of keys, in groups where they are
// more than etcd takes in one.
func (tx *Tx) operations() ([]clientv3.Op, error) {
	if len(tx.ops) > maxOps {
		return nil, fmt.Errorf("store update: %d objects in one step: %w, which takes %d: apply fewer at once", len(tx.ops), ErrTooLarge, maxOps)
	}
	size := 0
	ops := make([]clientv3.Op, 0, len(tx.ops))
	for _, key := range slices.Sorted(maps.Keys(tx.ops)) {
		o := tx.ops[key]
		size += len(key) + len(o.value)
		if o.delete {
			ops = append(ops, clientv3.OpDelete(key))
		} else {
			ops = append(ops, clientv3.OpPut(key, o.value))
		}
	}
	if size > maxChange {
		return nil, fmt.Errorf("store update: %d objects of %d KiB in one step: %w, which takes %d KiB: apply fewer at once",
			len(ops), size>>10, ErrTooLarge, maxChange>>10)
	}
	if len(ops) <= groupSize {
		return ops, nil
	}
	var groups []clientv3.Op
	for group := range slices.Chunk(ops, groupSize) {
		groups = append(groups, clientv3.OpTxn(nil, group, nil))
	}
	return groups, nil
}
