package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/store/storetest"
)

// join opens a cluster of three.
func join(t testing.TB, c *storetest.Cluster, change ...func(*Config)) *Store {
	t.Helper()
	return open(t, c.Endpoints(), append([]func(*Config){func(cfg *Config) { cfg.TLS, cfg.RequestTimeout = c.TLS(), 0 }}, change...)...)
}

// work is a site at work on a cluster: configuration, a node of each kind on
// its lease, two controllers that lead in turn and write plans, an operator who
// appends to the trail, and somebody who reads along. Each has a client of its
// own. What any of them must never see or do is checked in the end.
type work struct {
	t       testing.TB
	ttl     time.Duration // of all leases
	store   *Store        // of the observer
	mirror  *running
	metrics *Metrics
	stop    func() // ends the work, and waits
	blind   func() // ends the judging of states

	terms   atomic.Int64 // leaderships that began
	losses  atomic.Int64 // leaderships that were lost
	plans   atomic.Int64 // plans that were written
	asks    atomic.Int64 // times that the reader asked again
	stales  atomic.Int64 // states that were not current
	mu      sync.Mutex   // guards the fields below
	written []string     // IDs of events that the store took
	read    []string     // IDs of events that the reader was handed
}

// realServers of the site; none of them must ever be missing.
const realServers = 5

func startWork(t testing.TB, c *storetest.Cluster, ttl time.Duration) *work {
	t.Helper()
	w := &work{t: t, ttl: ttl, metrics: NewMetrics(prometheus.NewRegistry())}
	w.store = join(t, c, func(cfg *Config) { cfg.Metrics = w.metrics })
	update(t, w.store, func(tx *Tx) {
		for n := range realServers {
			tx.Put(realServer(n))
		}
	})
	w.mirror = run(t, w.store.Mirror(MirrorOptions{}))
	w.mirror.awaitCurrent()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	w.stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(w.stop)
	for _, node := range []api.Live{live(api.RoleLB, "lb-1"), live(api.RoleRealServer, "rs-1")} {
		s := join(t, c)
		wg.Go(func() {
			if err := s.Register(ctx, node, ttl); err != nil {
				t.Errorf("register %s: %v", node.Name, err)
			}
		})
	}
	for _, name := range []string{"ctl-1", "ctl-2"} {
		s := join(t, c)
		wg.Go(func() { w.control(ctx, s, name) })
	}
	writer, reader := join(t, c), join(t, c)
	wg.Go(func() { w.append(ctx, writer) })
	wg.Go(func() { w.readAlong(ctx, reader) })
	w.mirror.await("the nodes and a leader", func(st *api.State) bool {
		return st.LiveLBs["lb-1"] != nil && st.LiveRealServers["rs-1"] != nil && st.Leader != ""
	})
	looking, blind := context.WithCancel(ctx)
	w.blind = blind
	wg.Go(func() { w.look(looking) })
	return w
}

// control leads whenever it is elected, and writes plans of a pool with its own
// name, so that who wrote them is seen in the history.
func (w *work) control(ctx context.Context, s *Store, name string) {
	generation := int64(0)
	for ctx.Err() == nil {
		l, err := s.Campaign(ctx, name, w.ttl)
		if err != nil {
			sleep(ctx, 50*time.Millisecond)
			continue
		}
		w.terms.Add(1)
		for ctx.Err() == nil && !errors.Is(err, ErrNotLeader) && !lost(l) {
			generation++
			if err = l.PutPlan(ctx, plan(name, generation)); err == nil {
				w.plans.Add(1)
			}
			sleep(ctx, 20*time.Millisecond)
		}
		if ctx.Err() != nil {
			_ = l.Resign(context.Background())
		} else {
			w.losses.Add(1)
		}
	}
}

func lost(l *Leadership) bool {
	select {
	case <-l.Lost():
		return true
	default:
		return false
	}
}

// append appends events, each once: one that failed may be there all the same.
func (w *work) append(ctx context.Context, s *Store) {
	for n := 0; ctx.Err() == nil; n++ {
		id := fmt.Sprintf("%08d", n)
		if err := s.AppendEvent(ctx, api.Event{ID: id, By: "op"}); err == nil {
			w.mu.Lock()
			w.written = append(w.written, id)
			w.mu.Unlock()
		}
		sleep(ctx, 10*time.Millisecond)
	}
}

// readAlong watches the events, and asks again where it stopped, as the API's
// clients do.
func (w *work) readAlong(ctx context.Context, s *Store) {
	after := ""
	for ctx.Err() == nil {
		w.asks.Add(1)
		_ = s.WatchEvents(ctx, cmp.Or(after, "0"), func(e api.Event) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.read = append(w.read, e.ID)
			after = e.ID
			return nil
		})
		sleep(ctx, 20*time.Millisecond)
	}
}

// look judges each state that the observer's mirror shows.
func (w *work) look(ctx context.Context) {
	changed, cancel := w.mirror.Subscribe()
	defer cancel()
	var last int64
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
		if ctx.Err() != nil {
			return
		}
		st := w.mirror.State()
		switch {
		case len(st.RealServers) != realServers || len(st.Bad) > 0:
			w.t.Errorf("state at revision %d: %d real servers, bad %v", st.Revision, len(st.RealServers), st.Bad)
		case last > 0 && (st.LiveLBs["lb-1"] == nil || st.LiveRealServers["rs-1"] == nil):
			w.t.Errorf("state at revision %d: a node that is there is not live", st.Revision)
		case st.Revision < last:
			w.t.Errorf("the state went back from revision %d to %d", last, st.Revision)
		case st.Held != nil:
			w.t.Errorf("held: %v", st.Held)
		case st.Stale != nil:
			w.stales.Add(1)
		}
		last = st.Revision
	}
}

// goesOn waits until everything that runs by itself did something more, and
// writes something that the mirror must show.
func (w *work) goesOn(what string) {
	w.t.Helper()
	w.mu.Lock()
	events, read := len(w.written), len(w.read)
	w.mu.Unlock()
	plans := w.plans.Load()
	var revision int64
	eventually(w.t, "an update after "+what, func() (ok bool) {
		r, err := w.store.Update(w.t.Context(), func(tx *Tx) error { tx.PutIntent(depooled(1, what)); return nil })
		revision = r
		return err == nil
	})
	w.mirror.await("the update after "+what, func(st *api.State) bool {
		return st.Revision >= revision && current(st) && st.Intents["rs-1"].Depooled.Reason == what
	})
	eventually(w.t, "plans and events after "+what, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.plans.Load() > plans && len(w.written) > events && len(w.read) > read
	})
	w.mirror.await("the nodes after "+what, func(st *api.State) bool {
		return st.LiveLBs["lb-1"] != nil && st.LiveRealServers["rs-1"] != nil
	})
}

// finishLed ends the work; the leadership moved once at most.
func (w *work) finishLed() {
	w.t.Helper()
	w.finish()
	if n := w.terms.Load(); n > 2 {
		w.t.Errorf("%d terms: the leadership moved more than once", n)
	}
}

// finish ends the work, and compares what everybody saw with what is there.
func (w *work) finish() {
	w.t.Helper()
	written, err := w.store.Events(w.t.Context(), 0)
	if err != nil {
		w.t.Fatal(err)
	}
	last := written[len(written)-1].ID
	eventually(w.t, "the reader to catch up", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.read) > 0 && w.read[len(w.read)-1] >= last
	})
	w.blind()
	w.stop()
	stored := map[string]bool{}
	events, err := w.store.Events(w.t.Context(), 0)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range events {
		stored[e.ID] = true
	}
	for _, id := range w.written {
		if !stored[id] {
			w.t.Errorf("event %s was taken, and is gone", id)
		}
	}
	var want []string
	for _, e := range written {
		want = append(want, e.ID)
	}
	got := slices.DeleteFunc(slices.Clone(w.read), func(id string) bool { return id > last })
	if diff := gocmp.Diff(want, got); diff != "" {
		w.t.Errorf("events (-stored +read):\n%s", diff)
	}
	w.checkPlans()
	w.t.Logf("%d events, asked %d times; %d plans in %d terms; %d states not current; %v watches broke, %v lists", len(w.written), w.asks.Load(),
		w.plans.Load(), w.terms.Load(), w.stales.Load(), measure(w.t, w.metrics.restarts), measure(w.t, w.metrics.lists))
}

// checkPlans replays the history: each plan was written by whoever led at that
// revision.
func (w *work) checkPlans() {
	w.t.Helper()
	now, err := w.store.ping(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	leaders, plans := newBuilder(), 0
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	for r := range w.store.client.Watch(ctx, root, clientv3.WithPrefix(), clientv3.WithRev(1), clientv3.WithProgressNotify()) {
		if r.Err() != nil {
			w.t.Fatal(r.Err())
		}
		for _, e := range r.Events {
			key := string(e.Kv.Key)
			switch {
			case e.Type == clientv3.EventTypeDelete:
				leaders.remove(key)
			case hasAnyPrefix(key, leaderKeys+"/"):
				leaders.put(e.Kv)
			case hasAnyPrefix(key, planKeys):
				plans++
				if author := key[len(planKeys):]; author != leaders.state().Leader {
					w.t.Errorf("at revision %d %s wrote a plan while %q led", e.Kv.ModRevision, author, leaders.state().Leader)
				}
			}
			if e.Kv.ModRevision >= now.Revision {
				cancel()
			}
		}
	}
	if int64(plans) < w.plans.Load() {
		w.t.Errorf("%d plans in the history, %d were written", plans, w.plans.Load())
	}
}
