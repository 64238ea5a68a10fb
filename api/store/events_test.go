package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/peerage/peerage/api"
)

func messages(events []api.Event) []string {
	var all []string
	for _, e := range events {
		all = append(all, e.Message)
	}
	return all
}

// The trail is bounded whoever appends; the oldest go first.
func TestEventsAreBounded(t *testing.T) {
	t.Parallel()
	etcd, _ := site(t)
	const most = 20
	s := open(t, etcd.Endpoints(), func(c *Config) { c.MaxEvents = most })
	count := func() int64 {
		r, err := s.client.Get(t.Context(), eventKeys, withCount()...)
		if err != nil {
			t.Fatal(err)
		}
		return r.Count
	}
	for n := range 3 * most {
		e := api.Event{By: "op", Verb: "test", Message: fmt.Sprint(n)}
		if n%2 == 0 {
			if err := s.AppendEvent(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		} else {
			update(t, s, func(tx *Tx) { tx.Event(e) })
		}
		if got := count(); got > most+most/10 {
			t.Fatalf("%d events after %d", got, n+1)
		}
	}
	events, err := s.Events(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"57", "58", "59"}, messages(events)); diff != "" {
		t.Error(diff)
	}
	for _, e := range events {
		if e.Schema != api.Schema || e.ID == "" || e.At.IsZero() {
			t.Errorf("event: %+v", e)
		}
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range most {
				if err := s.AppendEvent(t.Context(), api.Event{Verb: "test"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := count(); got > most+most/10 {
		t.Errorf("%d events after concurrent appends", got)
	}
}

// A watch goes on after the last event that was seen, without gap or repetition.
func TestWatchEvents(t *testing.T) {
	t.Parallel()
	_, s := site(t)
	add := func(from, to int) {
		for n := from; n < to; n++ {
			if err := s.AppendEvent(t.Context(), api.Event{Message: fmt.Sprint(n)}); err != nil {
				t.Error(err)
			}
		}
	}
	add(0, 3)
	put(t, s, eventKeys+"zzz", "nonsense") // hides no other
	all, err := s.Events(t.Context(), 0)
	if err != nil || len(all) != 3 {
		t.Fatalf("%v, %v", all, err)
	}
	enough := errors.New("enough")
	var got []string
	err = s.WatchEvents(t.Context(), all[0].ID, func(e api.Event) error {
		got = append(got, e.Message)
		switch e.Message {
		case "2":
			add(3, 5)
		case "4":
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Errorf("watch: %v", err)
	}
	if diff := cmp.Diff([]string{"1", "2", "3", "4"}, got); diff != "" {
		t.Error(diff)
	}

	// Without an ID it begins with what comes, and ends with its context.
	ctx, cancel := context.WithCancel(t.Context())
	begun := make(chan struct{}, 1)
	done := make(chan error, 1)
	go func() {
		done <- s.WatchEvents(ctx, "", func(e api.Event) error {
			if e.Message != "new" {
				t.Errorf("event %q", e.Message)
			}
			select {
			case begun <- struct{}{}:
			default:
			}
			return nil
		})
	}()
	eventually(t, "a new event", func() bool {
		if err := s.AppendEvent(t.Context(), api.Event{Message: "new"}); err != nil {
			t.Error(err)
		}
		return len(begun) > 0
	})
	cancel()
	if err := within(t, "the end of the watch", done); err != nil {
		t.Errorf("watch: %v", err)
	}
}
