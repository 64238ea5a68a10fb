package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/peerage/peerage/api"
)

// Every kind of key is listed by a new mirror and watched by a running one,
// with the same result.
func TestMirrorListsAndWatches(t *testing.T) {
	t.Parallel()
	_, s := site(t)
	watching := run(t, s.Mirror(MirrorOptions{}))
	empty := watching.awaitCurrent()
	if empty.Settings == nil || empty.Revision == 0 || empty.ClusterID == 0 {
		t.Fatalf("state of an empty store: %+v", empty)
	}

	pool := &api.Pool{Meta: api.Meta{Name: "edge"}}
	lb := &api.LoadBalancer{Meta: api.Meta{Name: "lb-1"}}
	settings := &api.Settings{Meta: api.Meta{Name: "site"}}
	customer := &api.Customer{Meta: api.Meta{Name: "acme"}}
	for _, o := range []api.Object{pool, lb, settings, customer} {
		o.Default()
	}
	update(t, s, func(tx *Tx) {
		for _, o := range []api.Object{pool, lb, settings, customer, realServer(1), realServer(2)} {
			tx.Put(o)
		}
		tx.PutIntent(depooled(1, "disk"))
		tx.PutRoute(blackhole("acme"))
		tx.PutRoute(blackhole("gone"))
		tx.Event(api.Event{By: "op", Verb: "depool"})
	})
	at := time.Unix(1700000000, 0).UTC()
	for _, err := range []error{
		s.PutPaths(t.Context(), &api.PathObservation{LB: "lb-1", At: at}),
		s.PutServer(t.Context(), &api.ServerObservation{Server: "rs-1", At: at}),
		s.PutApplied(t.Context(), &api.Applied{Pool: "edge", LB: "lb-1", Generation: 7, At: at}),
		lead(t, s, "ctl-1").PutPlan(t.Context(), plan("edge", 7)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	last := update(t, s, func(tx *Tx) {
		tx.Delete(realServer(2))
		tx.DeleteRoute(blackhole("gone").ID())
	})

	got := watching.await("the last change", func(st *api.State) bool { return st.Revision >= last })
	fresh := run(t, open(t, s.cfg.Endpoints).Mirror(MirrorOptions{})).awaitCurrent()
	if diff := cmp.Diff(got, fresh, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}), cmpopts.IgnoreFields(api.State{}, "Revision"), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("watched and listed differ (-watched +listed):\n%s", diff)
	}
	if len(got.Pools) != 1 || len(got.LoadBalancers) != 1 || len(got.RealServers) != 1 || got.Settings.Name != "site" ||
		got.Customers["acme"] == nil || len(got.Routes) != 1 || got.Routes["customer,acme,192.0.2.1-32"] == nil ||
		got.Intents["rs-1"] == nil || got.Paths["lb-1"] == nil || got.Servers["rs-1"] == nil ||
		got.Applied["edge"]["lb-1"].Generation != 7 || got.Plans["edge"].Generation != 7 || got.Leader != "ctl-1" || len(got.Bad) != 0 {
		t.Errorf("state: %+v", got)
	}
}

// A list longer than a page is read at one revision.
func TestMirrorListsInPages(t *testing.T) {
	t.Parallel()
	_, s := site(t)
	const many = 2*pageSize + 7
	for from := 0; from < many; from += pageSize {
		update(t, s, func(tx *Tx) {
			for n := from; n < min(from+pageSize, many); n++ {
				o := realServer(n % 250)
				o.Name = fmt.Sprintf("rs-%d", n)
				tx.Put(o)
			}
		})
	}
	for range 3 { // events are left out of the middle
		if err := s.AppendEvent(t.Context(), api.Event{}); err != nil {
			t.Fatal(err)
		}
	}
	if st := run(t, s.Mirror(MirrorOptions{})).awaitCurrent(); len(st.RealServers) != many {
		t.Errorf("%d of %d real servers", len(st.RealServers), many)
	}
}

// While etcd is away the state stays and says since when; afterwards the watch
// goes on from its revision, without another list.
func TestMirrorResumesAfterRestart(t *testing.T) {
	t.Parallel()
	etcd, s := site(t)
	update(t, s, func(tx *Tx) { tx.Put(realServer(1)) })
	metrics := NewMetrics(prometheus.NewRegistry())
	other := open(t, etcd.Endpoints(), func(c *Config) { c.Metrics = metrics })
	m := run(t, other.Mirror(MirrorOptions{}))
	before := m.awaitCurrent()

	etcd.Stop()
	away := m.await("a stale state", func(st *api.State) bool { return st.Stale != nil })
	if !away.Synced || away.StaleSince.IsZero() || away.Revision != before.Revision || away.RealServers["rs-1"] == nil || away.Held != nil {
		t.Errorf("state without etcd: %+v", away)
	}
	if got := measure(t, metrics.stale); got == 0 {
		t.Error("metrics do not tell that the state is stale")
	}
	etcd.Start()
	back := m.awaitCurrent()
	if !back.StaleSince.IsZero() || back.RealServers["rs-1"] == nil {
		t.Errorf("state after the restart: %+v", back)
	}
	last := update(t, s, func(tx *Tx) { tx.Put(realServer(2)); tx.Delete(realServer(1)) })
	st := m.await("the change", func(st *api.State) bool { return st.Revision >= last })
	if st.RealServers["rs-1"] != nil || st.RealServers["rs-2"] == nil {
		t.Errorf("real servers after the change: %v", st.RealServers)
	}
	if lists := measure(t, metrics.lists); lists != 1 {
		t.Errorf("%v lists, want 1: the watch was not resumed", lists)
	}
	if got := measure(t, metrics.stale); got != 0 {
		t.Errorf("metrics tell that the state is stale since %v", got)
	}
}

// A mirror that was away while its revision was compacted lists again, and
// misses neither changes nor deletions.
func TestMirrorSurvivesCompaction(t *testing.T) {
	t.Parallel()
	_, s := site(t)
	update(t, s, func(tx *Tx) { tx.Put(realServer(1)); tx.Put(realServer(2)) })
	metrics := NewMetrics(prometheus.NewRegistry())
	m := open(t, s.cfg.Endpoints, func(c *Config) { c.Metrics = metrics }).Mirror(MirrorOptions{})
	first := run(t, m)
	first.awaitCurrent()
	first.stop() // a mirror that is not run is one that is cut off

	for n := range 5 {
		update(t, s, func(tx *Tx) { tx.PutIntent(depooled(1, fmt.Sprint(n))) })
	}
	last := update(t, s, func(tx *Tx) { tx.Delete(realServer(2)); tx.Put(realServer(3)) })
	compact(t, s)

	st := run(t, m).await("the last change", func(st *api.State) bool { return st.Revision >= last && current(st) })
	if st.RealServers["rs-2"] != nil || st.RealServers["rs-3"] == nil || st.Intents["rs-1"].Depooled.Reason != "4" {
		t.Errorf("state after compaction: %+v", st)
	}
	if lists := measure(t, metrics.lists); lists != 2 {
		t.Errorf("%v lists, want 2", lists)
	}
}

// A watch that catches up over many revisions is not taken for current before
// it is, and loses nothing.
func TestMirrorCatchesUp(t *testing.T) {
	t.Parallel()
	_, s := site(t)
	update(t, s, func(tx *Tx) { tx.Put(realServer(1)) })
	m := open(t, s.cfg.Endpoints).Mirror(MirrorOptions{})
	first := run(t, m)
	first.awaitCurrent()
	first.stop()
	const many = 2500 // etcd hands over 1000 revisions at a time
	var last int64
	for n := range many {
		last = put(t, s, pathKeys+fmt.Sprintf("lb-%d", n), fmt.Sprintf(`{"schema":1,"lb":"lb-%d"}`, n))
	}
	m.mu.Lock()
	m.state = &api.State{Stale: errUnread, StaleSince: time.Now()} // what the first run told must not pass for the second's
	m.mu.Unlock()
	m.behind = errUnread
	st := run(t, m).awaitCurrent()
	if st.Revision < last || len(st.Paths) != many {
		t.Errorf("current at revision %d of %d with %d of %d observations", st.Revision, last, len(st.Paths), many)
	}
}

// While a watch catches up, the header of an answer is ahead of the changes in
// it: the position from which the watch is resumed must not be.
func TestMirrorPosition(t *testing.T) {
	t.Parallel()
	m := open(t, []string{"http://127.0.0.1:1"}).Mirror(MirrorOptions{})
	m.identity = identity{ClusterID: 1, Revision: 40}
	answer := func(header int64, changes ...int64) clientv3.WatchResponse {
		r := clientv3.WatchResponse{Header: &pb.ResponseHeader{ClusterId: 1, Revision: header}}
		for _, mod := range changes {
			r.Events = append(r.Events, &clientv3.Event{Kv: &mvccpb.KeyValue{Key: []byte(pathKeys + "lb-1"), Value: []byte("{}"), ModRevision: mod, CreateRevision: 1}})
		}
		return r
	}
	for _, c := range []struct {
		name string
		r    clientv3.WatchResponse
		want int64
	}{
		{"behind its header", answer(1000, 41, 50), 50},
		{"handed over before", answer(1000, 50), 50},
		{"at its header", answer(60, 60), 60},
		{"progress", answer(70), 70},
		{"late progress", answer(65), 70},
	} {
		m.take(c.r)
		if m.identity.Revision != c.want {
			t.Errorf("%s: at revision %d, want %d", c.name, m.identity.Revision, c.want)
		}
	}
}

// What cannot be decoded leaves the last good value, and is named.
func TestMirrorKeepsLastGood(t *testing.T) {
	t.Parallel()
	_, s := site(t)
	leader := lead(t, s, "ctl-1")
	if err := leader.PutPlan(t.Context(), plan("edge", 3)); err != nil {
		t.Fatal(err)
	}
	update(t, s, func(tx *Tx) { tx.Put(realServer(1)) })
	m := run(t, s.Mirror(MirrorOptions{}))
	m.awaitCurrent()

	good, _ := json.Marshal(plan("edge", 4))
	for _, c := range []struct{ name, key, value, want string }{
		{"truncated", planKeys + "edge", string(good[:len(good)/2]), "truncated"},
		{"empty", planKeys + "edge", "", "truncated"},
		{"future schema", planKeys + "edge", strings.Replace(string(good), `"schema":1`, `"schema":99`, 1), "upgrade this node"},
		{"future type", planKeys + "edge", `{"schema":2,"pool":{"name":"edge"}}`, "upgrade this node"},
		{"no schema", planKeys + "edge", `{"pool":"edge"}`, "no schema"},
		{"other pool", planKeys + "edge", strings.Replace(string(good), `"edge"`, `"other"`, 1), "not about it"},
		{"unknown key", realServerKeys + "rs-1", `{"apiVersion":"peerage/v1","kind":"RealServer","metadata":{"name":"rs-1"},"spec":{"wait":1}}`, "wait"},
		{"future apiVersion", realServerKeys + "rs-1", `{"apiVersion":"peerage/v9","kind":"RealServer","metadata":{"name":"rs-1"},"spec":{}}`, "peerage/v9"},
		{"route of another prefix", routeKeys + "all,192.0.2.1-32", `{"schema":1,"target":{"all":true},"prefix":"192.0.2.2/32"}`, "not about it"},
		{"route without a target", routeKeys + "session,invalid IP,192.0.2.1-32", `{"schema":1,"prefix":"192.0.2.1/32"}`, "not about it"},
		{"other kind", realServerKeys + "rs-1", `{"apiVersion":"peerage/v1","kind":"Pool","metadata":{"name":"rs-1"},"spec":{}}`, "holds Pool/rs-1"},
	} {
		revision := put(t, s, c.key, c.value)
		st := m.await(c.name, func(st *api.State) bool { return st.Revision >= revision })
		if why := st.Bad[c.key]; why == nil || !strings.Contains(why.Error(), c.want) || !strings.Contains(why.Error(), c.key) {
			t.Errorf("%s: bad is %v, want %q", c.name, why, c.want)
		}
		if st.Plans["edge"] == nil || st.Plans["edge"].Generation != 3 || st.RealServers["rs-1"] == nil {
			t.Errorf("%s: the last good value is gone", c.name)
		}
		// An Update must not take a bad value for a missing object.
		if _, err := s.Update(t.Context(), func(tx *Tx) error {
			if tx.State().RealServers["rs-1"] == nil || tx.State().Plans["edge"] == nil || tx.State().Bad[c.key] == nil {
				return errors.New("it does")
			}
			return nil
		}); err != nil {
			t.Errorf("%s: update: %v", c.name, err)
		}
	}
	// A mirror that never saw a good one has none, and says why.
	fresh := run(t, open(t, s.cfg.Endpoints).Mirror(MirrorOptions{})).awaitCurrent()
	if fresh.Plans["edge"] != nil || fresh.Bad[planKeys+"edge"] == nil {
		t.Errorf("fresh mirror: plans %v bad %v", fresh.Plans, fresh.Bad)
	}
	// A good value, or a deletion, mends it.
	if err := leader.PutPlan(t.Context(), plan("edge", 5)); err != nil {
		t.Fatal(err)
	}
	update(t, s, func(tx *Tx) {
		tx.Delete(realServer(1))
		tx.DeleteRoute("all,192.0.2.1-32")
		tx.DeleteRoute("session,invalid IP,192.0.2.1-32")
	})
	st := m.await("nothing bad", func(st *api.State) bool { return len(st.Bad) == 0 })
	if st.Plans["edge"].Generation != 5 || st.RealServers["rs-1"] != nil {
		t.Errorf("state after mending: %+v", st)
	}
}

// Keys that a newer version added are no concern of this one.
func TestMirrorIgnoresWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	_, s := site(t)
	m := run(t, s.Mirror(MirrorOptions{}))
	m.awaitCurrent()
	put(t, s, root+"config/tenants/c-1", "{}")
	put(t, s, "/else/where", "{}")
	last := update(t, s, func(tx *Tx) { tx.Put(realServer(1)) })
	if st := m.await("the change", func(st *api.State) bool { return st.Revision >= last }); len(st.Bad) != 0 {
		t.Errorf("bad: %v", st.Bad)
	}
}

// States are never changed after they were handed out, and any number of
// changes make one signal.
func TestMirrorStatesAreImmutable(t *testing.T) {
	t.Parallel()
	_, s := site(t)
	m := run(t, s.Mirror(MirrorOptions{}))
	m.awaitCurrent()
	changed, cancel := m.Subscribe()
	<-changed
	old := m.State()
	last := update(t, s, func(tx *Tx) { tx.Put(realServer(1)) })
	last = max(last, update(t, s, func(tx *Tx) { tx.Put(realServer(2)) }))
	m.await("both", func(st *api.State) bool { return st.Revision >= last })
	if len(old.RealServers) != 0 || len(changed) != 1 {
		t.Errorf("old state has %d real servers, %d signals wait", len(old.RealServers), len(changed))
	}
	cancel()
	<-changed
	last = update(t, s, func(tx *Tx) { tx.Put(realServer(3)) })
	m.await("the third", func(st *api.State) bool { return st.Revision >= last })
	if len(changed) != 0 {
		t.Error("a cancelled subscription was signalled")
	}
}

func TestMirrorWithoutEtcd(t *testing.T) {
	t.Parallel()
	s := open(t, []string{"http://127.0.0.1:1"}, func(c *Config) { c.RequestTimeout = 100 * time.Millisecond })
	m := run(t, s.Mirror(MirrorOptions{}))
	if st := m.State(); st.Synced || st.Stale == nil || st.Settings == nil {
		t.Errorf("first state: %+v", st)
	}
	st := m.await("a reason", func(st *api.State) bool { return st.Stale != nil && !errors.Is(st.Stale, errUnread) })
	if st.Synced || !strings.Contains(st.Stale.Error(), "http://127.0.0.1:1") || !strings.Contains(st.Stale.Error(), "check that it runs") {
		t.Errorf("state without etcd: %+v", st)
	}
}
