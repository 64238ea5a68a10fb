package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/peerage/peerage/api"
)

// updateAttempts bounds how often Update tries again after a conflict.
const updateAttempts = 16

// Update runs fn on a linearizable state and commits its writes, if no other
// Update committed meanwhile; else fn runs again on a newer state. So two
// verbs cannot both pass a guard that only one of them may pass. When fn makes
// no write, nothing is committed. An error of fn ends the Update unchanged.
//
// While the store is held, only its acceptance can be written: the rest is
// refused with ErrHeld. After an error that is neither fn's nor a sentinel of
// this package, the change may or may not have been made.
//
// It returns the store's revision after the commit.
func (s *Store) Update(ctx context.Context, fn func(tx *Tx) error) (revision int64, err error) {
	if revision, done, err := s.quickUpdate(ctx, fn); done {
		return revision, err
	}
	again := &retry{first: 10 * time.Millisecond, most: 250 * time.Millisecond}
	for range updateAttempts {
		revision, err := s.tryUpdate(ctx, fn)
		if !errors.Is(err, errOvertaken) {
			return revision, err
		}
		if !again.wait(ctx) {
			return 0, context.Cause(ctx)
		}
	}
	return 0, fmt.Errorf("store update: %w, %d times in a row: try again", ErrConflict, updateAttempts)
}

// errOvertaken asks for another attempt. It is not ErrConflict: fn may return
// that, and mean it.
var errOvertaken = errors.New("overtaken")

func (s *Store) tryUpdate(ctx context.Context, fn func(tx *Tx) error) (int64, error) {
	// The mirror's state comes first: what is read after it must not be older.
	known := &api.State{}
	if m := s.mirror.Load(); m != nil {
		known = m.State()
	}
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
	why := known.Held
	if why == nil {
		why = identityOf(known).differs(id)
	}
	if why == nil {
		b.recall(known)
	}
	tx := &Tx{state: b.state(), ops: map[string]op{}}
	tx.state.Held, tx.state.Synced = why, true
	tx.state.ClusterID, tx.state.Revision = id.ClusterID, id.Revision
	if err := fn(tx); err != nil {
		return 0, err
	}
	if err := errors.Join(tx.errs...); err != nil {
		return 0, err
	}
	if len(tx.ops) == 0 {
		return id.Revision, nil
	}
	if why != nil && !tx.accepts() {
		return 0, why
	}
	return s.commit(ctx, tx, sequence, id.Revision)
}

func (s *Store) commit(ctx context.Context, tx *Tx, sequence, revision int64, conditions ...clientv3.Cmp) (int64, error) {
	ops, err := tx.operations()
	if err != nil {
		return 0, err
	}
	conditions = append(conditions, clientv3.Compare(clientv3.ModRevision(sequenceKey), "=", sequence))
	committed, err := s.once(ctx, sequence, conditions, ops, strconv.FormatInt(revision, 10)+" "+rand.Text())
	if err != nil {
		return 0, err
	}
	if tx.events {
		s.trimEvents(ctx)
	}
	return committed, nil
}

// once commits a change once, and returns its revision. An attempt that was not
// answered may have made the change: the next one, which the sequence number
// keeps from making it again, knows it by its signature there.
func (s *Store) once(ctx context.Context, sequence int64, conditions []clientv3.Cmp, ops []clientv3.Op, signature string) (revision int64, err error) {
	ops = append(ops, clientv3.OpPut(sequenceKey, signature))
	var open atomic.Int64 // attempts that may have made the change, or may yet
	revision, err = tryFor(ctx, s, "update", s.allow(len(ops)), func(ctx context.Context) (int64, error) {
		open.Add(1)
		r, err := s.client.Txn(ctx).If(conditions...).Then(ops...).Else(clientv3.OpGet(sequenceKey)).Commit()
		switch {
		case errors.Is(err, rpctypes.ErrNoLeader):
			open.Add(-1)
			return 0, err
		case err != nil && ctx.Err() == nil && !unavailable(err):
			if open.Add(-1) > 0 {
				return 0, fmt.Errorf("%w: %w", errDoubt, err)
			}
			return 0, err
		case err != nil:
			return 0, err
		case r.Succeeded:
			return r.Header.Revision, nil
		}
		// A refused attempt is refused for good: what it compares only grows.
		others := open.Add(-1)
		for _, kv := range r.Responses[0].GetResponseRange().Kvs {
			switch {
			case string(kv.Value) == signature:
				return kv.ModRevision, nil
			case kv.ModRevision != sequence && others > 0:
				return 0, errDoubt // its signature may have been there, before others came
			}
		}
		return 0, nil
	})
	if err == nil && revision == 0 {
		err = errOvertaken
	}
	return revision, err
}
