package swarm

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestRateIsABound(t *testing.T) {
	for _, rate := range []int{1, 7, 500, 20_000} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			p := newPace(rate, 0)
			var all sync.WaitGroup
			var admitted atomic.Int64
			for range 50 {
				all.Go(func() {
					for {
						if _, ok := p.admit(ctx, false); !ok {
							return
						}
						admitted.Add(1)
					}
				})
			}
			const seconds = 10
			time.Sleep(seconds * time.Second)
			cancel()
			all.Wait()
			got, most := int(admitted.Load()), rate*seconds+max(1, rate/10)
			least := rate * seconds * 9 / 10
			if got > most || got < least {
				t.Errorf("rate %d: %d in %d s; want %d to %d", rate, got, seconds, least, most)
			}
		})
	}
}

// TestRampDoesNotWaitForTheSilent admits sessions whose attempts never end.
func TestRampDoesNotWaitForTheSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		p := newPace(10_000, 4)
		var all sync.WaitGroup
		var admitted atomic.Int64
		for range 40 {
			all.Go(func() {
				if _, ok := p.admit(ctx, true); ok {
					admitted.Add(1)
				}
			})
		}
		time.Sleep(rampPatience / 2)
		if n := admitted.Load(); n != 4 {
			t.Errorf("%d at once, not 4", n)
		}
		time.Sleep(rampPatience)
		if n := admitted.Load(); n != 8 {
			t.Errorf("%d after the patience is over, not 8", n)
		}
		if _, ok := p.admit(ctx, false); !ok {
			t.Error("a reconnection is held back by the ramp")
		}
		cancel()
		all.Wait()
	})
}

func TestRampGoesOnWhenAnAttemptEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		p := newPace(1000, 1)
		var all sync.WaitGroup
		began := time.Now()
		for range 10 {
			done, ok := p.admit(ctx, true)
			if !ok {
				t.Fatal("not admitted")
			}
			done()
			done()
		}
		if took := time.Since(began); took > 10*time.Millisecond {
			t.Errorf("took %s", took)
		}
		cancel()
		all.Wait()
	})
}

func TestHeldBackIsNoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		p := newPace(1, 0)
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() { p.admit(ctx, false) })
		}
		time.Sleep(6 * time.Second)
		if got := time.Duration(p.heldBack.take()); got < 4*time.Second || got > 6*time.Second {
			t.Errorf("held back %s", got)
		}
		if p.heldBack.get() != 0 || p.lag.get() != 0 {
			t.Errorf("held back %s, lag %s", p.heldBack.get(), p.lag.get())
		}
		cancel()
		all.Wait()
	})
}

func TestProfiles(t *testing.T) {
	for _, p := range Profiles() {
		last := time.Duration(0)
		for failures := range 20 {
			long, short := p.wait(failures, 0), p.wait(failures, 1)
			if short != long-long/4 || long > max(p.Max, p.First) || failures > 1 && long < last {
				t.Errorf("%s after %d failures: %s to %s", p.Name, failures, short, long)
			}
			last = long
		}
		if p.wait(0, 0) != p.First || p.wait(1, 0) != p.Retry {
			t.Errorf("%s begins with %s, %s", p.Name, p.wait(0, 0), p.wait(1, 0))
		}
	}
	if _, err := ProfileByName("fast"); err == nil {
		t.Error("profile fast is known")
	}
}

func TestJitterIsSpreadAndRepeatable(t *testing.T) {
	var low, high int
	for i := range uint64(10_000) {
		x := random(1, i, i%7)
		if x != random(1, i, i%7) || x < 0 || x >= 1 {
			t.Fatalf("random(%d) = %v", i, x)
		}
		if x < 0.25 {
			low++
		}
		if x >= 0.75 {
			high++
		}
	}
	if low < 2300 || low > 2700 || high < 2300 || high > 2700 {
		t.Errorf("%d low, %d high of 10000", low, high)
	}
}

// TestPatience: a slow speaker gets fewer sessions at once, a fast one and one
// that never answers do not stop the ramp.
func TestPatience(t *testing.T) {
	p := newPace(100, 4)
	if got := p.patience(); got != rampPatience {
		t.Errorf("at first %s", got)
	}
	for range 50 {
		p.succeeded(2 * time.Second)
	}
	if got := p.patience(); got < 7*time.Second || got > 8*time.Second {
		t.Errorf("with handshakes of 2 s %s", got)
	}
	for range 50 {
		p.succeeded(time.Minute)
	}
	if got := p.patience(); got != maxRampPatience {
		t.Errorf("with handshakes of a minute %s", got)
	}
	for range 100 {
		p.succeeded(time.Millisecond)
	}
	if got := p.patience(); got != rampPatience {
		t.Errorf("with fast ones again %s", got)
	}
}
