package store

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/peerage/peerage/api"
)

// MirrorOptions says what a mirror does beside mirroring.
type MirrorOptions struct {
	// CacheFile keeps the last good copy on disk: configuration, intent and
	// plans, not what nodes measured. Empty: none.
	CacheFile string
}

var errUnread = errors.New("etcd was not read yet")

// Mirror is a local copy of the store at one revision.
//
// The copy is replaced only by a newer complete one. While etcd does not
// answer, State.Stale says why and the copy stays. When another store answers
// than before (another cluster, an older revision, or keys whose history does
// not continue: a backup was restored), State.Held says so and the copy stays,
// until operators accept the store.
type Mirror struct {
	store *Store
	cache *cache

	// Owned by Run.
	builder  *builder
	identity identity
	listed   bool  // the builder holds a complete list
	behind   error // why the copy may be behind the store; nil once caught up

	mu          sync.Mutex // guards the fields below
	state       *api.State
	basis       basis // of state
	subscribers []chan struct{}
}

// Mirror prepares a mirror. When there is a good cache, its content is the
// state until etcd answers. A store has one mirror at a time: it is what the
// store's writes are checked against.
func (s *Store) Mirror(o MirrorOptions) *Mirror {
	m := &Mirror{store: s, cache: newCache(o.CacheFile, s.log.Named("cache"), s.metrics), builder: newBuilder(), behind: errUnread}
	fromCache := m.cache.load(m.builder, &m.identity)
	m.state = m.builder.state()
	m.state.FromCache = fromCache
	m.state.ClusterID, m.state.Revision = m.identity.ClusterID, m.identity.Revision
	m.state.Stale, m.state.StaleSince = errUnread, time.Now()
	s.metrics.observe(m.state)
	s.mirror.Store(m)
	return m
}

// held says why the store is not believed, as far as its mirror knows.
func (s *Store) held() error {
	if m := s.mirror.Load(); m != nil {
		return m.State().Held
	}
	return nil
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
		m.report(err)
		if time.Since(began) > 10*checkEvery {
			again.reset()
		}
		again.wait(ctx)
	}
	return nil
}

// publish hands out what was collected.
func (m *Mirror) publish() {
	old := m.State()
	st := m.builder.state()
	st.Synced = true
	st.ClusterID, st.Revision = m.identity.ClusterID, m.identity.Revision
	if st.StoreIntent != nil && st.StoreIntent.At.After(m.identity.AcceptedAt) {
		m.identity.AcceptedAt = st.StoreIntent.At
	}
	if m.behind != nil {
		st.Stale, st.StaleSince = m.behind, old.StaleSince
	}
	for key, why := range st.Bad {
		if old.Bad[key] == nil {
			m.store.log.Warn("value refused, the last good one stays", "key", key, "error", why)
		}
	}
	m.cache.save(m.builder, m.identity)
	m.replace(old, st, m.builder.basis())
}

// report keeps the state and says why it may be behind, or why the store that
// answers is not believed. A watch that ended while etcd answers is mended by
// the next attempt, and is told all the same: for that moment the state may be
// behind.
func (m *Mirror) report(err error) {
	old := m.State()
	st := *old
	if errors.Is(err, ErrHeld) {
		st.Held = err
		st.Stale, st.StaleSince = nil, time.Time{} // it does answer
		m.behind = err
	} else {
		st.Stale, m.behind = err, err
		if old.Stale == nil {
			st.StaleSince = time.Now()
		}
	}
	m.replace(old, &st, m.basisNow())
}

func (m *Mirror) replace(old, st *api.State, at basis) {
	switch {
	case st.Held != nil && old.Held == nil:
		m.store.log.Error("store held", "error", st.Held)
	case st.Stale != nil && old.Stale == nil:
		m.store.log.Warn("store stale", "error", st.Stale)
	case st.Stale == nil && st.Held == nil && (old.Stale != nil || old.Held != nil):
		m.store.log.Info("store current", "revision", st.Revision)
	}
	m.store.metrics.observe(st)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state, m.basis = st, at
	for _, ch := range m.subscribers {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}
