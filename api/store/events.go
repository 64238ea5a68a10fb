package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/peerage/peerage/api"
)

// Stamp completes an event with an ID, a schema and a missing time. Who appends
// an event again after an error stamps it before, so that it is there once. IDs sort by time; the tail keeps those of one
// moment apart.
func Stamp(e api.Event) api.Event {
	if e.At.IsZero() {
		e.At = time.Now().UTC()
	}
	e.Schema = api.Schema
	if api.CheckName(e.ID) != nil {
		e.ID = fmt.Sprintf("%016x-%08x", e.At.UnixNano(), rand.Uint32())
	}
	return e
}

// AppendEvent adds to the audit trail, and trims it. ID, schema and a missing
// time are filled in.
func (s *Store) AppendEvent(ctx context.Context, e api.Event) error {
	e = Stamp(e)
	if err := s.put(ctx, eventKeys, e.ID, e); err != nil {
		return err
	}
	s.trimEvents(ctx)
	return nil
}

// trimEvents keeps the trail bounded. A trail that is too long for once is no
// reason to tell that what was appended is not there.
func (s *Store) trimEvents(ctx context.Context) {
	if err := s.tryTrim(ctx); err != nil {
		s.log.Warn("events not trimmed", "error", err)
	}
}

// tryTrim looks now and then only: a look is a passage of etcd, and what was
// appended since the last one may stand there a while longer.
func (s *Store) tryTrim(ctx context.Context) error {
	if every := int64(max(1, s.cfg.MaxEvents/20)); (s.appended.Add(1)-1)%every != 0 {
		return nil
	}
	ctx, cancel := s.request(ctx)
	defer cancel()
	r, err := s.client.Get(ctx, eventKeys, clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		return s.explain("events", err)
	}
	excess := r.Count - int64(s.cfg.MaxEvents)
	// A tenth more may stand there, so that not every append trims.
	if excess <= int64(s.cfg.MaxEvents/10) {
		return nil
	}
	old, err := s.client.Get(ctx, eventKeys, clientv3.WithPrefix(), clientv3.WithKeysOnly(), clientv3.WithLimit(excess))
	if err != nil {
		return s.explain("events", err)
	}
	if len(old.Kvs) == 0 {
		return nil // another has trimmed
	}
	last := string(old.Kvs[len(old.Kvs)-1].Key)
	if _, err := s.client.Delete(ctx, eventKeys, clientv3.WithRange(last+"\x00")); err != nil {
		return s.explain("events", err)
	}
	return nil
}

// Events reads the newest events, oldest first; limit 0 is all.
func (s *Store) Events(ctx context.Context, limit int) ([]api.Event, error) {
	r, err := s.get(ctx, "events", eventKeys, clientv3.WithPrefix(), clientv3.WithLimit(int64(limit)),
		clientv3.WithSort(clientv3.SortByKey, clientv3.SortDescend))
	if err != nil {
		return nil, err
	}
	slices.Reverse(r.Kvs)
	return decodeEvents(r.Kvs), nil
}

// decodeEvents leaves out what cannot be decoded: one bad line must not hide
// the others.
func decodeEvents(kvs []*mvccpb.KeyValue) []api.Event {
	events := make([]api.Event, 0, len(kvs))
	for _, kv := range kvs {
		var e api.Event
		if json.Unmarshal(kv.Value, &e) == nil && e.Schema <= api.Schema {
			events = append(events, e)
		}
	}
	return events
}

// WatchEvents calls fn for every event after the one with the ID after (empty:
// from now on), in order, until ctx ends (nil), or fn or the store fails.
func (s *Store) WatchEvents(ctx context.Context, after string, fn func(api.Event) error) error {
	past, revision, err := s.eventsAfter(ctx, after)
	if err != nil {
		return err
	}
	for _, e := range past {
		if err := fn(e); err != nil {
			return err
		}
	}
	err = s.elsewhere(func() error { return s.watchEvents(ctx, &revision, fn) })
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// watchEvents watches what comes after a revision, and moves that on.
func (s *Store) watchEvents(ctx context.Context, revision *int64, fn func(api.Event) error) error {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	for r := range s.client.Watch(ctx, eventKeys, clientv3.WithPrefix(), clientv3.WithRev(*revision+1), clientv3.WithFilterDelete()) {
		if err := r.Err(); err != nil {
			return s.explain("events", err)
		}
		for _, w := range r.Events {
			*revision = max(*revision, w.Kv.ModRevision)
			if !w.IsCreate() {
				continue // written twice, because the first time was not answered
			}
			for _, e := range decodeEvents([]*mvccpb.KeyValue{w.Kv}) {
				if err := fn(e); err != nil {
					return err
				}
			}
		}
	}
	return errors.New("events: the watch ended; ask again")
}

// eventsAfter reads the events behind an ID, and the revision of the answer.
func (s *Store) eventsAfter(ctx context.Context, after string) ([]api.Event, int64, error) {
	from, opts := eventKeys+after+"\x00", []clientv3.OpOption{clientv3.WithRange(clientv3.GetPrefixRangeEnd(eventKeys))}
	if after == "" {
		opts = append(opts, clientv3.WithCountOnly())
	}
	r, err := s.get(ctx, "events", from, opts...)
	if err != nil {
		return nil, 0, err
	}
	return decodeEvents(r.Kvs), r.Header.Revision, nil
}
