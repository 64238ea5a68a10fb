package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/peerage/peerage/api"
)

// Tx collects the writes of one Update.
type Tx struct {
	state *api.State
	ops   []clientv3.Op
	errs  []error
}

// maxOps bounds the writes of one transaction, whatever etcd allows.
const maxOps = 4095

// updateAttempts bounds how often Update tries again after a conflict.
const updateAttempts = 16

// Update runs fn on a fresh, linearizable state and commits its writes, if no
// other Update committed meanwhile; else fn runs again on a newer state. So two
// verbs cannot both pass a guard that only one of them may pass. When fn makes
// no write, nothing is committed. An error of fn ends the Update unchanged.
//
// It returns the store's revision after the commit.
func (s *Store) Update(ctx context.Context, fn func(tx *Tx) error) (int64, error) {
	again := newRetry()
	for range updateAttempts {
		revision, err := s.tryUpdate(ctx, fn)
		if !errors.Is(err, ErrConflict) {
			return revision, err
		}
		if !again.wait(ctx) {
			return 0, ctx.Err()
		}
	}
	return 0, fmt.Errorf("store update: %w %d times in a row; try again", ErrConflict, updateAttempts)
}

func (s *Store) tryUpdate(ctx context.Context, fn func(tx *Tx) error) (int64, error) {
	kvs, id, err := s.list(ctx)
	if err != nil {
		return 0, err
	}
	b := newBuilder()
	b.replace(kvs)
	var sequence int64
	for _, kv := range kvs {
		if string(kv.Key) == sequenceKey {
			sequence = kv.ModRevision
		}
	}
	tx := &Tx{state: b.state()}
	tx.state.Synced, tx.state.ClusterID, tx.state.Revision = true, id.ClusterID, id.Revision
	if err := fn(tx); err != nil {
		return 0, err
	}
	if err := errors.Join(tx.errs...); err != nil {
		return 0, err
	}
	if len(tx.ops) == 0 {
		return id.Revision, nil
	}
	if len(tx.ops) > maxOps {
		return 0, fmt.Errorf("store update: %d writes in one step, the limit is %d; apply fewer objects at once", len(tx.ops), maxOps)
	}
	return s.commit(ctx, tx, sequence, id.Revision)
}

func (s *Store) commit(ctx context.Context, tx *Tx, sequence, revision int64) (int64, error) {
	ctx, cancel := s.request(ctx)
	defer cancel()
	r, err := s.client.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(sequenceKey), "=", sequence)).
		Then(append(tx.ops, clientv3.OpPut(sequenceKey, strconv.FormatInt(revision, 10)))...).
		Commit()
	switch {
	case errors.Is(err, rpctypes.ErrTooManyOps):
		return 0, fmt.Errorf("store update: %d objects in one step are more than this etcd takes; apply fewer at once, or start it with --max-txn-ops=%d: %w", len(tx.ops), maxOps+1, ErrTooLarge)
	case err != nil:
		return 0, fmt.Errorf("store update: %w", err)
	case !r.Succeeded:
		return 0, ErrConflict
	}
	return r.Header.Revision, nil
}

// State is the linearizable state that the Update runs on. It does not show
// the writes of the Tx.
func (tx *Tx) State() *api.State { return tx.state }

// Put writes a configuration object.
func (tx *Tx) Put(o api.Object) {
	key, err := configKey(o.ObjectKind(), o.ObjectMeta().Name)
	tx.put(key, err, o)
}

// Delete removes a configuration object.
func (tx *Tx) Delete(o api.Object) {
	key, err := configKey(o.ObjectKind(), o.ObjectMeta().Name)
	if err != nil {
		tx.errs = append(tx.errs, err)
		return
	}
	tx.ops = append(tx.ops, clientv3.OpDelete(key))
}

// PutIntent writes what operators want of a real server; an empty intent is
// removed.
func (tx *Tx) PutIntent(i *api.ServerIntent) {
	if i.Empty() {
		tx.ops = append(tx.ops, clientv3.OpDelete(intentKeys+i.Server))
		return
	}
	tx.put(intentKeys+i.Server, nil, i)
}

// PutStoreIntent says which restored store is believed.
func (tx *Tx) PutStoreIntent(i *api.StoreIntent) { tx.put(storeKey, nil, i) }

// Event appends to the audit trail with the other writes or not at all.
func (tx *Tx) Event(e api.Event) {
	e = stamp(e)
	tx.put(eventKeys+e.ID, nil, e)
}

func (tx *Tx) put(key string, err error, v any) {
	var data string
	if err == nil {
		data, err = encode(key, v)
	}
	if err != nil {
		tx.errs = append(tx.errs, err)
		return
	}
	tx.ops = append(tx.ops, clientv3.OpPut(key, data))
}
