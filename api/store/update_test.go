package store

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/store/storetest"
)

// blackhole is a route to one customer.
func blackhole(customer string) *api.RouteIntent {
	return &api.RouteIntent{Target: api.RouteTarget{Customer: customer}, Prefix: netip.MustParsePrefix("192.0.2.1/32"),
		NextHop: netip.MustParseAddr("192.0.2.254"), Communities: []string{"65535:666"}}
}

func withCount() []clientv3.OpOption {
	return []clientv3.OpOption{clientv3.WithPrefix(), clientv3.WithCountOnly()}
}

// Two verbs cannot both pass a guard that only one of them may pass.
func TestUpdatesAreSerialised(t *testing.T) {
	t.Parallel()
	etcd, s := site(t)
	const servers, allowed = 8, 3
	var passed, ran atomic.Int64
	refused := errors.New("guard")
	var wg sync.WaitGroup
	for n := range servers {
		other := open(t, etcd.Endpoints())
		wg.Go(func() {
			_, err := other.Update(t.Context(), func(tx *Tx) error {
				ran.Add(1)
				if len(tx.State().Intents) >= allowed {
					return refused
				}
				tx.PutIntent(depooled(n, "test"))
				return nil
			})
			switch {
			case err == nil:
				passed.Add(1)
			case !errors.Is(err, refused):
				t.Errorf("update %d: %v", n, err)
			}
		})
	}
	wg.Wait()
	if passed.Load() != allowed {
		t.Errorf("%d passed, %d may", passed.Load(), allowed)
	}
	_, err := s.Update(t.Context(), func(tx *Tx) error {
		if n := len(tx.State().Intents); n != allowed {
			return fmt.Errorf("%d intents", n)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	t.Logf("%d runs of %d updates", ran.Load(), servers)
}

// An Update that is overtaken again and again gives up, with ErrConflict.
func TestUpdateGivesUp(t *testing.T) {
	t.Parallel()
	_, s := site(t)
	ran := 0
	_, err := s.Update(t.Context(), func(tx *Tx) error {
		ran++
		put(t, s, sequenceKey, fmt.Sprint(ran))
		tx.PutIntent(depooled(1, "test"))
		return nil
	})
	if !errors.Is(err, ErrConflict) || ran != updateAttempts {
		t.Errorf("%v after %d runs", err, ran)
	}
}

// The caller's end of patience ends an Update; its reason is told.
func TestUpdateEndsWithItsContext(t *testing.T) {
	t.Parallel()
	_, s := site(t)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := s.Update(ctx, func(tx *Tx) error {
		put(t, s, sequenceKey, "x")
		tx.PutIntent(depooled(1, "test"))
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("update: %v", err)
	}
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	_, s := site(t)
	m := run(t, s.Mirror(MirrorOptions{}))
	before := m.awaitCurrent().Revision

	// An error, and a fn that writes nothing, change nothing.
	mine := fmt.Errorf("mine: %w", ErrConflict)
	ran := 0
	if _, err := s.Update(t.Context(), func(tx *Tx) error { ran++; tx.Put(realServer(1)); return mine }); !errors.Is(err, mine) || ran != 1 {
		t.Errorf("error of fn: %v after %d runs", err, ran)
	}
	if revision := update(t, s, func(*Tx) {}); revision != before {
		t.Errorf("an empty update moved the store from %d to %d", before, revision)
	}

	// Of several writes to one object the last counts.
	update(t, s, func(tx *Tx) {
		tx.Put(realServer(1))
		tx.Delete(realServer(1))
		tx.Delete(realServer(2))
		tx.Put(realServer(2))
		tx.PutIntent(depooled(2, "test"))
		tx.Event(api.Event{By: "op", Verb: "apply"})
	})
	st := m.await("the change", func(st *api.State) bool { return st.Intents["rs-2"] != nil })
	if st.RealServers["rs-1"] != nil || st.RealServers["rs-2"] == nil || st.Intents["rs-2"].Schema != api.Schema {
		t.Errorf("state: %+v", st)
	}
	// An empty intent is removed.
	update(t, s, func(tx *Tx) { tx.PutIntent(&api.ServerIntent{Server: "rs-2"}) })
	m.await("the intent to go", func(st *api.State) bool { return st.Intents["rs-2"] == nil })
	if events, err := s.Events(t.Context(), 0); err != nil || len(events) != 1 {
		t.Errorf("events: %v, %v", events, err)
	}

	// What cannot be written makes the whole fail.
	big := depooled(3, strings.Repeat("x", maxValue))
	for name, fn := range map[string]func(tx *Tx){
		"a name with slashes": func(tx *Tx) { o := realServer(4); o.Name = "../intent/store"; tx.Put(o) },
		"an empty name":       func(tx *Tx) { tx.Delete(&api.Pool{}) },
		"an intent's name":    func(tx *Tx) { tx.PutIntent(&api.ServerIntent{Server: "a/b"}) },
		"a route's target":    func(tx *Tx) { tx.PutRoute(blackhole("a/b")) },
		"a route's next hop":  func(tx *Tx) { r := blackhole("acme"); r.NextHop = netip.Addr{}; tx.PutRoute(r) },
		"a route's id":        func(tx *Tx) { tx.DeleteRoute("../store") },
		"a large value":       func(tx *Tx) { tx.PutIntent(big) },
	} {
		_, err := s.Update(t.Context(), func(tx *Tx) error { tx.Put(realServer(5)); fn(tx); return nil })
		if err == nil || name == "a large value" && !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
	update(t, s, func(tx *Tx) {
		if tx.State().RealServers["rs-5"] != nil {
			t.Error("half an update was made")
		}
	})
}

// A site of thousands of objects is one change, also for an etcd that takes
// 128 operations at a time; what is too much is a clear error.
func TestUpdateOfManyObjects(t *testing.T) {
	t.Parallel()
	etcd := storetest.StartServer(t)
	s := open(t, etcd.Endpoints(), func(c *Config) { c.RequestTimeout = patience })
	many := func(n int) func(tx *Tx) error {
		return func(tx *Tx) error {
			for i := range n {
				o := realServer(1)
				o.Name = fmt.Sprintf("rs-%d", i)
				tx.Put(o)
			}
			return nil
		}
	}
	for _, n := range []int{groupSize, groupSize + 1, 256, maxOps} {
		if _, err := s.Update(t.Context(), many(n)); err != nil {
			t.Errorf("%d objects: %v", n, err)
		}
	}
	if _, err := s.Update(t.Context(), many(maxOps+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too many objects: %v", err)
	}
	_, err := s.Update(t.Context(), func(tx *Tx) error {
		for n := range 3 {
			tx.PutIntent(depooled(n, strings.Repeat("x", maxValue/2)))
		}
		return nil
	})
	if !errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), "apply fewer") {
		t.Errorf("too many bytes: %v", err)
	}
}

// The groups fit into etcd's default limit, whatever their number.
func TestGroupsFitEtcdsDefault(t *testing.T) {
	t.Parallel()
	const limit = 128
	for n := 1; n <= maxOps; n++ {
		top := 1 + (n+groupSize-1)/groupSize // and the sequence
		if n <= groupSize {
			top = n + 1
		}
		if top > limit || n > groupSize && groupSize > limit-top {
			t.Fatalf("%d operations make %d at the top", n, top)
		}
	}
}

func TestSizeOfValues(t *testing.T) {
	t.Parallel()
	_, s := site(t)
	o := &api.PathObservation{LB: "lb-1", Paths: map[string]map[string]api.Path{"edge": {"rs-1": {Reason: strings.Repeat("x", maxValue-1000)}}}}
	if err := s.PutPaths(t.Context(), o); err != nil {
		t.Errorf("a value under the limit: %v", err)
	}
	o.Paths["edge"]["rs-2"] = api.Path{Reason: strings.Repeat("x", 1000)}
	if err := s.PutPaths(t.Context(), o); !errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), pathKeys+"lb-1") {
		t.Errorf("a value over the limit: %v", err)
	}
	if o.Schema != 0 {
		t.Error("the caller's value was changed")
	}
	for _, err := range []error{
		s.PutPaths(t.Context(), &api.PathObservation{LB: "a/b"}),
		s.PutServer(t.Context(), &api.ServerObservation{}),
		s.PutApplied(t.Context(), &api.Applied{Pool: "a/b", LB: "lb-1"}),
		s.PutApplied(t.Context(), &api.Applied{Pool: "edge", LB: "a/b"}),
	} {
		if err == nil {
			t.Error("a bad name was taken")
		}
	}
}

// Every request ends by itself when nobody answers, and says what to do.
func TestRequestsAreBounded(t *testing.T) {
	t.Parallel()
	s := open(t, []string{"http://127.0.0.1:1"}, func(c *Config) { c.RequestTimeout = 50 * time.Millisecond })
	for name, fn := range map[string]func() error{
		"ping":   func() error { return s.Ping(t.Context()) },
		"put":    func() error { return s.PutServer(t.Context(), &api.ServerObservation{Server: "rs-1"}) },
		"delete": func() error { return s.DeleteApplied(t.Context(), "edge", "lb-1") },
		"update": func() error {
			_, err := s.Update(t.Context(), func(tx *Tx) error { tx.Put(realServer(1)); return nil })
			return err
		},
		"events":   func() error { _, err := s.Events(t.Context(), 1); return err },
		"append":   func() error { return s.AppendEvent(t.Context(), api.Event{}) },
		"watch":    func() error { return s.WatchEvents(t.Context(), "", nil) },
		"campaign": func() error { _, err := s.Campaign(t.Context(), "ctl-1", time.Second); return err },
	} {
		if err := fn(); err == nil || !strings.Contains(err.Error(), "no answer from http://127.0.0.1:1") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	if _, err := Open(Config{}); err == nil {
		t.Error("no endpoint was taken")
	}
	if _, err := Open(Config{Endpoints: []string{"https://192.0.2.1:2379"}}); err == nil || !strings.Contains(err.Error(), "TLS") {
		t.Errorf("https without TLS: %v", err)
	}
}
