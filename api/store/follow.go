package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/metadata"
)

const (
	// checkEvery is how often a mirror that hears nothing asks whether etcd
	// is still there, and still the same. A new watch is asked sooner.
	checkEvery = time.Second
	firstCheck = 20 * time.Millisecond
	// silence bounds how long a watch may leave such a question unanswered.
	silence = 5 * time.Second
)

// errOther lets follow look closer, which knows what operators accepted.
var errOther = errors.New("another etcd answers than before")

// errRelist asks for a listing: what the watch could not hand over is gone.
var errRelist = errors.New("the watch cannot be resumed")

// follow makes sure that the store is the known one, lists if it must,
// watches, and returns when the watch broke.
func (m *Mirror) follow(ctx context.Context) error {
	now, err := m.store.ping(ctx)
	if err != nil {
		return err
	}
	if err := m.trust(ctx, now, m.identity.differs(now)); err != nil {
		return err
	}
	target := now.Revision
	if m.listed {
		err = m.verify(ctx, now)
	} else {
		target, err = m.list(ctx)
	}
	if err != nil {
		return err
	}
	err = m.store.elsewhere(func() error {
		err := m.watch(ctx, target)
		m.store.metrics.restarts.Inc()
		return err
	})
	if errors.Is(err, errRelist) {
		m.listed = false
	}
	return err
}

// trust is where a store that cannot be the known one is held, until
// operators accept it. A fresh mirror has nothing to compare, and trusts.
func (m *Mirror) trust(ctx context.Context, now identity, why error) error {
	if why == nil {
		return nil
	}
	intent, err := m.store.acceptance(ctx)
	if err != nil {
		return err
	}
	if !m.identity.accepts(now, intent) {
		return why
	}
	m.store.log.Info("restored store accepted", "cluster", intent.ClusterID, "by", intent.By, "reason", intent.Reason)
	m.identity = identity{ClusterID: now.ClusterID, AcceptedAt: intent.At}
	m.builder.forget()
	m.listed = false
	return nil
}

// verify compares the history of the keys before a watch is resumed: the
// revision alone does not tell a restored store that has run on.
func (m *Mirror) verify(ctx context.Context, now identity) error {
	kvs, _, err := m.store.list(ctx, clientv3.WithKeysOnly())
	if err != nil {
		return err
	}
	if err := m.trust(ctx, now, contradicts(kvs, m.builder.marks, m.identity.Revision, mirrored)); err != nil {
		return err
	}
	if !m.listed { // accepted just now
		_, err = m.list(ctx)
	}
	return err
}

// list reads everything at one revision, which it returns.
func (m *Mirror) list(ctx context.Context) (int64, error) {
	kvs, id, err := m.store.list(ctx)
	if err != nil {
		return 0, err
	}
	if m.identity.Revision > 0 {
		// The cache knows what it keeps, and no more.
		if err := m.trust(ctx, id, contradicts(kvs, m.builder.marks, m.identity.Revision, cached)); err != nil {
			return 0, err
		}
	}
	m.store.metrics.lists.Inc()
	m.builder.replace(kvs)
	m.listed, m.behind = true, nil
	m.identity.ClusterID, m.identity.Revision = id.ClusterID, id.Revision
	m.publish()
	return id.Revision, nil
}

// watch takes changes as they come. A watch alone waits in silence for a lost
// server, and for ever on one whose revision went back. So it is asked all the
// time how far it is: a state is current when the watch has reached the
// revision that a linearizable read told before. target is the first of these.
func (m *Mirror) watch(ctx context.Context, target int64) error {
	// A stream of its own: progress is only told when every watch of a stream
	// has caught up.
	ctx = metadata.AppendToOutgoingContext(clientv3.WithRequireLeader(ctx), "peerage-watch", "mirror")
	ctx, cancel := context.WithCancelCause(ctx)
	known, pulses := m.identity, make(chan int64)
	var pulsing sync.WaitGroup
	pulsing.Go(func() { cancel(m.store.pulse(ctx, known, pulses)) })
	defer pulsing.Wait()
	defer cancel(nil)
	// It begins at the known revision, not after it, because etcd tells no
	// progress to watches that begin in the future. The call blocks until etcd
	// has begun it; only the end of the context bounds that.
	events := m.store.client.Watch(ctx, root, clientv3.WithPrefix(), clientv3.WithRev(max(1, m.identity.Revision)))

	at, since := m.identity.Revision, time.Now() // the last step forward
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case revision := <-pulses:
			if m.identity.Revision > at || m.identity.Revision >= target {
				at, since = m.identity.Revision, time.Now()
			}
			if time.Since(since) > silence {
				return fmt.Errorf("etcd: the watch stays at revision %d while etcd is at %d", at, target)
			}
			target = max(target, revision)
		case r, ok := <-events:
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err := m.broken(r, ok); err != nil {
				return err
			}
			m.take(r)
			if m.behind != nil && m.identity.Revision >= target {
				m.behind = nil
				m.publish()
			}
		}
	}
}

// broken says why an answer ends the watch.
func (m *Mirror) broken(r clientv3.WatchResponse, ok bool) error {
	switch {
	case errors.Is(r.Err(), rpctypes.ErrCompacted):
		return fmt.Errorf("%w: revision %d was compacted", errRelist, m.identity.Revision)
	case r.Err() != nil:
		return m.store.explain("watch", r.Err())
	case !ok:
		return errors.New("etcd: the watch ended")
	case r.Header.GetClusterId() != m.identity.ClusterID:
		return errOther
	}
	return nil
}

// pulse asks etcd now and then at which revision it is, and the watch of ctx to
// tell how far it is. It says why the watch must end: etcd does not answer, is
// another one than known, or nobody takes the pulses because the watch has not
// begun.
func (s *Store) pulse(ctx context.Context, known identity, pulses chan<- int64) error {
	for pause := firstCheck; ; pause = min(2*pause, checkEvery) {
		now, err := s.ping(ctx)
		if err != nil {
			return err
		}
		if known.differs(now) != nil {
			return errOther
		}
		known.Revision = now.Revision
		patience := time.NewTimer(silence)
		select {
		case pulses <- now.Revision:
			patience.Stop()
		case <-patience.C:
			return fmt.Errorf("etcd: no watch began within %v", silence)
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := s.requestProgress(ctx); err != nil {
			return err
		}
		if !sleep(ctx, pause) {
			return ctx.Err()
		}
	}
}

func (s *Store) requestProgress(ctx context.Context) error {
	ctx, cancel := s.request(ctx)
	defer cancel()
	return s.explain("watch", s.client.RequestProgress(ctx))
}

// take applies one batch of changes and publishes the result. The position is
// that of the changes: the header's revision is ahead of what was handed over
// while the watch catches up.
func (m *Mirror) take(r clientv3.WatchResponse) {
	changed := false
	to := m.identity.Revision
	for _, e := range r.Events {
		if e.Kv.ModRevision <= m.identity.Revision {
			continue // handed over before
		}
		to = max(to, e.Kv.ModRevision)
		if string(e.Kv.Key) == sequenceKey && e.Type == clientv3.EventTypePut {
			m.builder.put(e.Kv)
		}
		if !mirrored(string(e.Kv.Key)) {
			continue
		}
		changed = true
		if e.Type == clientv3.EventTypeDelete {
			m.builder.remove(string(e.Kv.Key))
		} else {
			m.builder.put(e.Kv)
		}
	}
	if r.IsProgressNotify() {
		to = max(to, r.Header.GetRevision())
	}
	m.identity.Revision = to
	if changed {
		m.publish()
	}
}
