package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

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
	request, cancel := s.request(ctx)
	defer cancel()
	conditions = append(conditions, clientv3.Compare(clientv3.ModRevision(sequenceKey), "=", sequence))
	r, err := s.client.Txn(request).
		If(conditions...).
		Then(append(ops, clientv3.OpPut(sequenceKey, strconv.FormatInt(revision, 10)))...).
		Commit()
	switch {
	case err != nil:
		return 0, s.explain("update", err)
	case !r.Succeeded:
		return 0, errOvertaken
	}
	if tx.events {
		// The change is made: a trail that is too long for once is no reason
		// to tell otherwise.
		if err := s.trimEvents(ctx); err != nil {
			s.log.Warn("events not trimmed", "error", err)
		}
	}
	return r.Header.Revision, nil
}
