package speaker

import (
	"context"
	"sync"
	"time"
)

const (
	// wheelTick is the resolution of all timers: the shortest hold time is 3 s.
	wheelTick = 100 * time.Millisecond
	// wheelSlots make one turn 51 s, so that most keepalives need one turn.
	wheelSlots = 512
)

// timed is what the wheel calls: it does what is due and returns when it wants
// to be called next; the zero time: never again. It must not block.
type timed interface {
	due(now time.Time) (next time.Time)
}

// timer is a place on the wheel. It belongs to whoever embeds it, so that
// neither a start nor a stop allocates.
type timer struct {
	of         timed
	when       int64 // tick
	prev, next *timer
	on, dead   bool
}

// wheel has the timers of all sessions: a slot for each tick of a turn, with a
// list of what falls due in it, in this turn or a later one.
type wheel struct {
	start time.Time

	mu    sync.Mutex // guards the fields below, and every timer
	slots [wheelSlots]*timer
	tick  int64 // the last one that was done
	count int
	// batch is what falls due in the tick at hand; reused.
	batch []*timer
}

func newWheel(start time.Time) *wheel { return &wheel{start: start} }

// tickOf rounds up: nothing comes early.
func (w *wheel) tickOf(t time.Time) int64 {
	return int64((t.Sub(w.start) + wheelTick - 1) / wheelTick)
}

// set starts a timer, or moves one to an earlier time; a later one finds out
// by itself when it is called.
func (w *wheel) set(t *timer, when time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if t.dead {
		return
	}
	at := max(w.tickOf(when), w.tick+1)
	if t.on {
		if at >= t.when {
			return
		}
		w.unlink(t)
	}
	w.link(t, at)
}

// stop takes a timer off for good. A call that has begun goes on.
func (w *wheel) stop(t *timer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t.dead = true
	if t.on {
		w.unlink(t)
	}
}

func (w *wheel) link(t *timer, at int64) {
	slot := &w.slots[at%wheelSlots]
	t.when, t.prev, t.next, t.on = at, nil, *slot, true
	if t.next != nil {
		t.next.prev = t
	}
	*slot = t
	w.count++
}

func (w *wheel) unlink(t *timer) {
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		w.slots[t.when%wheelSlots] = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	}
	t.prev, t.next, t.on = nil, nil, false
	w.count--
}

// advance calls what is due until now.
func (w *wheel) advance(now time.Time) {
	last := int64(now.Sub(w.start) / wheelTick)
	for {
		w.mu.Lock()
		if w.count == 0 || w.tick >= last {
			w.tick = max(w.tick, last)
			w.mu.Unlock()
			return
		}
		w.tick++
		batch := w.take()
		w.mu.Unlock()
		for _, t := range batch {
			if next := t.of.due(now); !next.IsZero() {
				w.set(t, next)
			}
		}
	}
}

// take unlinks what is due in the current tick.
func (w *wheel) take() []*timer {
	w.batch = w.batch[:0]
	for t := w.slots[w.tick%wheelSlots]; t != nil; {
		next := t.next
		if t.when <= w.tick {
			w.unlink(t)
			w.batch = append(w.batch, t)
		}
		t = next
	}
	return w.batch
}

// run turns the wheel until ctx ends.
func (w *wheel) run(ctx context.Context) error {
	ticker := time.NewTicker(wheelTick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-ticker.C:
			w.advance(now)
		}
	}
}
