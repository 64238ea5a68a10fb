package garbage

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

func TestPercent(t *testing.T) {
	for name, test := range map[string]struct {
		m    memory
		want int
	}{
		"nothing":                  {memory{}, 20},
		"routes alone":             {memory{live: 1000 << 20, scanned: 1 << 20}, 20},
		"sessions alone":           {memory{live: 20 << 20, scanned: 16 << 20}, 180},
		"sessions and routes":      {memory{live: 100 << 20, scanned: 16 << 20}, 52},
		"hardly anything":          {memory{live: 1 << 20, scanned: 1 << 20}, 70},
		"more stacks than objects": {memory{live: 8 << 20, scanned: 32 << 20}, 400},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.m.percent(); got != test.want {
				t.Errorf("%d %%, want %d", got, test.want)
			}
		})
	}
}

func TestWasteful(t *testing.T) {
	for name, test := range map[string]struct {
		m    memory
		want bool
	}{
		"garbage within its share": {memory{live: 100 << 20, held: 124 << 20}, false},
		"beyond its share":         {memory{live: 100 << 20, held: 125 << 20}, true},
		"not worth a thought":      {memory{live: 1 << 20, held: 5 << 20}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.m.wasteful(); got != test.want {
				t.Errorf("%t, want %t", got, test.want)
			}
		})
	}
}

func TestCollector(t *testing.T) {
	now := time.Unix(1000, 0)
	after := func(d time.Duration) time.Time { now = now.Add(d); return now }
	sessions := memory{live: 20 << 20, scanned: 16 << 20}
	var c collector
	expect := func(what string, got, want int) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %d, want %d", what, got, want)
		}
	}
	expect("the first collection", c.collected(now, sessions), 0)
	expect("long after it", c.collected(after(time.Minute), sessions), 0)
	if c.rest() {
		t.Error("a quiet time ends that was none")
	}
	expect("the first after a rest", c.collected(after(time.Second), sessions), 0)
	expect("soon after it", c.collected(after(time.Second), sessions), 180)
	expect("with more routes", c.collected(after(time.Second), memory{live: 100 << 20, scanned: 16 << 20}), 52)
	expect("late, but nobody has called it quiet", c.collected(after(2*pause), sessions), 180)
	if !c.rest() {
		t.Error("a busy time ended that was not seen")
	}
	expect("after that", c.collected(after(time.Second), sessions), 0)
}

// gcPercent is what the runtime goes by.
func gcPercent() uint64 {
	s := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

func TestRun(t *testing.T) {
	t.Setenv("GOGC", "")
	defer debug.SetGCPercent(debug.SetGCPercent(77))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- Run(ctx) }()
	await(t, "a quiet time's share", func() bool { return gcPercent() == quiet })
	await(t, "a busy time's share", func() bool {
		runtime.GC()
		return gcPercent() > quiet
	})
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := gcPercent(); got != 77 {
		t.Errorf("%d %% is left behind, want 77", got)
	}
}

func TestRunLeavesGOGC(t *testing.T) {
	t.Setenv("GOGC", "100")
	defer debug.SetGCPercent(debug.SetGCPercent(77))
	if err := Run(t.Context()); err != nil {
		t.Error(err)
	}
	if got := gcPercent(); got != 77 {
		t.Errorf("%d %%, want 77 as before", got)
	}
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 1000 {
		if ok() {
			return
		}
		select {
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Fatalf("not seen: %s; GC percent is %d", what, gcPercent())
}
