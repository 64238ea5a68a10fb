package speaker

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// alarm rings a number of times at a distance.
type alarm struct {
	timer
	every time.Duration
	left  int
	rang  []time.Time
}

func (a *alarm) due(now time.Time) time.Time {
	a.rang = append(a.rang, now)
	if a.left--; a.left <= 0 {
		return time.Time{}
	}
	return now.Add(a.every)
}

func newAlarm(every time.Duration, times int) *alarm {
	a := &alarm{every: every, left: times}
	a.of = a
	return a
}

func TestWheelRings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		w := newWheel(begin)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.run(ctx) }()
		short, long := newAlarm(time.Second, 3), newAlarm(8*time.Minute, 2)
		w.set(&short.timer, begin.Add(time.Second))
		w.set(&long.timer, begin.Add(8*time.Minute))
		time.Sleep(time.Hour)
		synctest.Wait()
		since := func(a *alarm) (all []time.Duration) {
			for _, r := range a.rang {
				all = append(all, r.Sub(begin))
			}
			return all
		}
		if d := cmp.Diff([]time.Duration{time.Second, 2 * time.Second, 3 * time.Second}, since(short)); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff([]time.Duration{8 * time.Minute, 16 * time.Minute}, since(long)); d != "" {
			t.Error(d)
		}
		if w.count != 0 {
			t.Errorf("%d timers are left", w.count)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// Whatever is set, moved and stopped in whatever order: a timer rings once,
// never early, and at most a tick late.
func TestWheelModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(1000, 0)
		w := newWheel(now)
		alarms := map[int]*alarm{}
		want := map[int]time.Time{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			id := rapid.IntRange(0, 9).Draw(t, "id")
			if alarms[id] == nil {
				alarms[id] = newAlarm(0, 1)
			}
			switch rapid.SampledFrom([]string{"set", "stop", "advance"}).Draw(t, "step") {
			case "set":
				at := now.Add(time.Duration(rapid.IntRange(0, 120_000).Draw(t, "ms")) * time.Millisecond)
				w.set(&alarms[id].timer, at)
				if before, on := want[id]; !on || at.Before(before) {
					want[id] = at
				}
			case "stop":
				w.stop(&alarms[id].timer)
				w.set(&alarms[id].timer, now) // too late
				delete(want, id)
				alarms[id] = nil
			case "advance":
				now = now.Add(time.Duration(rapid.IntRange(0, 90_000).Draw(t, "ms")) * time.Millisecond)
				w.advance(now)
				for id, at := range want {
					rang := len(alarms[id].rang) > 0
					if rang && at.After(now) || !rang && !at.After(now.Add(-2*wheelTick)) {
						t.Fatalf("timer for %v rang %v at %v", at, rang, now)
					}
					if rang {
						delete(want, id)
						alarms[id] = nil
					}
				}
			}
		}
		if w.count != len(want) {
			t.Fatalf("%d timers are on, not %d", w.count, len(want))
		}
	})
}
