package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/peerage/peerage/api"
)

// MirrorOptions says what a mirror does beside mirroring.
type MirrorOptions struct {
	// CacheFile keeps the last good copy on disk: configuration, intent and
	// plans, not what nodes measured. Empty: none.
	CacheFile string
}

// Mirror is a local copy of the store at one revision.
//
// The copy is replaced only by a newer complete one. While etcd does not
// answer, State.Stale says why and the copy stays. When another store answers
// than before (another cluster, or an older revision: a backup was restored),
// State.Held says so and the copy stays, until operators accept the store.
type Mirror struct {
	store *Store
	cache *cache

	// Owned by Run.
	builder  *builder
	identity identity
	listed   bool // the builder holds a complete list

	mu          sync.Mutex
	state       *api.State
	subscribers []chan struct{}
}

// identity is what tells one store from another.
type identity struct {
	ClusterID uint64 `json:"clusterID"`
	Revision  int64  `json:"revision"`
	// AcceptedAt is the time of the last acceptance seen, so that one that
	// came out of the backup itself does not count.
	AcceptedAt time.Time `json:"acceptedAt,omitzero"`
}

// checkEvery is how often a mirror that hears nothing asks whether etcd is
// still there, and still the same.
const checkEvery = time.Second

// Mirror prepares a mirror. When there is a good cache, its content is the
// state until etcd answers.
func (s *Store) Mirror(o MirrorOptions) *Mirror {
	m := &Mirror{store: s, cache: newCache(o.CacheFile, s.log.Named("cache")), builder: newBuilder()}
	if m.cache.load(m.builder, &m.identity) {
		m.state = m.builder.state()
		m.state.FromCache = true
		m.state.ClusterID, m.state.Revision = m.identity.ClusterID, m.identity.Revision
	} else {
		m.state = m.builder.state()
	}
	m.state.Stale, m.state.StaleSince = errors.New("etcd was not read yet"), time.Now()
	return m
}

// State is the newest state. It is never nil and never changes.
func (m *Mirror) State() *api.State {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state
}

// Subscribe returns a channel that gets one value at once, and one when the
// state changed since the last one was taken. cancel ends the subscription.
func (m *Mirror) Subscribe() (changed <-chan struct{}, cancel func()) {
	ch := make(chan struct{}, 1)
	ch <- struct{}{}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.subscribers = append(m.subscribers, ch)
	return ch, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.subscribers = slices.DeleteFunc(m.subscribers, func(c chan struct{}) bool { return c == ch })
	}
}

// Run mirrors until ctx ends. It is called once, and returns nil.
func (m *Mirror) Run(ctx context.Context) error {
	var saver sync.WaitGroup
	saver.Go(func() { m.cache.run(ctx) })
	defer saver.Wait()
	again := newRetry()
	for ctx.Err() == nil {
		began := time.Now()
		err := m.follow(ctx)
		if ctx.Err() != nil {
			break
		}
		m.stale(err)
		m.store.metrics.restarts.Inc()
		if time.Since(began) > 10*checkEvery {
			again.reset()
		}
		again.wait(ctx)
	}
	return nil
}

// follow lists if it must, watches, and returns when the watch broke.
func (m *Mirror) follow(ctx context.Context) error {
	now, err := m.store.ping(ctx)
	if err != nil {
		return err
	}
	if err := m.trust(ctx, now); err != nil {
		return err
	}
	if !m.listed {
		if err := m.list(ctx); err != nil {
			return err
		}
	} else {
		m.publish()
	}
	err = m.watch(ctx)
	if errors.Is(err, rpctypes.ErrCompacted) {
		m.listed = false
	}
	return err
}

// trust compares the store that answers with the one that was known. A fresh
// mirror has nothing to compare, and trusts.
func (m *Mirror) trust(ctx context.Context, now identity) error {
	why := m.identity.differs(now)
	if why == nil {
		return nil
	}
	accepted, err := m.store.acceptance(ctx)
	if err != nil {
		return err
	}
	if accepted == nil || accepted.ClusterID != formatCluster(now.ClusterID) || !accepted.At.After(m.identity.AcceptedAt) {
		return &heldError{why}
	}
	m.store.log.Info("restored store accepted", "cluster", accepted.ClusterID, "by", accepted.By, "reason", accepted.Reason)
	m.identity = identity{ClusterID: now.ClusterID, AcceptedAt: accepted.At}
	m.listed = false
	return nil
}

// differs says why now cannot be the store that was known before.
func (id identity) differs(now identity) error {
	switch {
	case id.ClusterID == 0:
		return nil
	case id.ClusterID != now.ClusterID:
		return fmt.Errorf("%w: cluster %s answers, known is %s; check it, then run `peeragectl store accept --accept-risk=%s`",
			ErrHeld, formatCluster(now.ClusterID), formatCluster(id.ClusterID), api.RiskRestoredStore)
	case now.Revision < id.Revision:
		return fmt.Errorf("%w: it is at revision %d, known is %d; check it, then run `peeragectl store accept --accept-risk=%s`",
			ErrHeld, now.Revision, id.Revision, api.RiskRestoredStore)
	}
	return nil
}

func formatCluster(id uint64) string { return strconv.FormatUint(id, 16) }

// heldError ends a follow because the store is not believed.
type heldError struct{ error }

// Unwrap gives the reason.
func (e *heldError) Unwrap() error { return e.error }

// list reads everything at one revision.
func (m *Mirror) list(ctx context.Context) error {
	kvs, id, err := m.store.list(ctx)
	if err != nil {
		return err
	}
	m.builder.replace(kvs)
	m.listed = true
	m.advance(id)
	m.publish()
	return nil
}

// advance notes how far the copy is.
func (m *Mirror) advance(to identity) {
	m.identity.ClusterID = to.ClusterID
	m.identity.Revision = max(m.identity.Revision, to.Revision)
}

// watch takes changes as they come. Between them it asks every checkEvery
// whether etcd still answers: a watch alone waits in silence for a lost server,
// and for ever on one whose revision went back.
func (m *Mirror) watch(ctx context.Context) error {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	alarm := make(chan error, 1)
	var checker sync.WaitGroup
	defer checker.Wait()
	defer cancel()
	known := m.identity
	// The check begins first, and its alarm ends the watch: Watch itself waits
	// in silence for a server that went away after it was last asked.
	checker.Go(func() {
		alarm <- m.store.check(ctx, known)
		cancel()
	})
	events := m.store.client.Watch(ctx, root, clientv3.WithPrefix(), clientv3.WithRev(m.identity.Revision+1))
	for {
		select {
		case err := <-alarm:
			return err
		case r, ok := <-events:
			err := r.Err()
			if err == nil && ok {
				m.take(r)
				continue
			}
			select {
			case cause := <-alarm:
				return cause
			default:
				return fmt.Errorf("etcd watch: %w", cmp.Or(err, errors.New("closed")))
			}
		}
	}
}

// check returns when etcd does not answer, or is another one than known.
func (s *Store) check(ctx context.Context, known identity) error {
	for sleep(ctx, checkEvery) {
		now, err := s.ping(ctx)
		if err != nil {
			return err
		}
		if why := known.differs(now); why != nil {
			return why // follow will look closer
		}
		known.Revision = now.Revision
	}
	return ctx.Err()
}

// take applies one batch of changes and publishes the result.
func (m *Mirror) take(r clientv3.WatchResponse) {
	changed := false
	for _, e := range r.Events {
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
	m.advance(identity{ClusterID: r.Header.ClusterId, Revision: r.Header.Revision})
	if changed {
		m.publish()
	}
}

// publish hands out what was collected.
func (m *Mirror) publish() {
	st := m.builder.state()
	st.Synced = true
	st.ClusterID, st.Revision = m.identity.ClusterID, m.identity.Revision
	if st.StoreIntent != nil && st.StoreIntent.At.After(m.identity.AcceptedAt) {
		m.identity.AcceptedAt = st.StoreIntent.At
	}
	m.cache.save(m.builder, m.identity)
	m.replace(st)
	m.store.metrics.observe(st)
}

// stale keeps the state and says why it may be behind. A closed watch or a
// compaction while etcd answers is mended by the next attempt, and is said all
// the same: for that moment the state may be behind.
func (m *Mirror) stale(err error) {
	old := m.State()
	st := *old
	var held *heldError
	if errors.As(err, &held) {
		st.Held = held.error
		if old.Held == nil {
			m.store.log.Error("restored store is held", "error", held.error)
		}
	}
	if old.Stale == nil {
		st.StaleSince = time.Now()
		m.store.log.Warn("store is stale", "error", err)
	}
	st.Stale = err
	m.replace(&st)
	m.store.metrics.observe(&st)
}

func (m *Mirror) replace(st *api.State) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.state.Stale != nil && st.Stale == nil {
		m.store.log.Info("store is current", "revision", st.Revision)
	}
	m.state = st
	for _, ch := range m.subscribers {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}
