package agent

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/peerage/peerage/agent/probe"
	"github.com/peerage/peerage/api"
)

// wait lets virtual time pass, and everything that is due happen.
func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// live is a source and a store that change while the agent runs.
type live struct {
	mu      sync.Mutex // guards the fields below
	changed []chan struct{}
	state   *api.State
	applied map[string]*api.Applied
	puts    int
	deleted []string
	hang    bool
	targets []probe.Target
}

func (l *live) State() *api.State {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state
}

func (l *live) Subscribe() (<-chan struct{}, func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ch := make(chan struct{}, 1)
	l.changed = append(l.changed, ch)
	return ch, func() {}
}

func (l *live) Set(targets []probe.Target, _ time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.targets = targets
}

func (l *live) PutApplied(ctx context.Context, a *api.Applied) error {
	l.mu.Lock()
	hang := l.hang
	l.mu.Unlock()
	if hang {
		<-ctx.Done()
		return ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.puts++
	l.applied[a.Pool] = a
	return nil
}

func (l *live) DeleteApplied(_ context.Context, pool, lb string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.applied, pool)
	l.deleted = append(l.deleted, pool+"/"+lb)
	return nil
}

func (l *live) told(pool string) *api.Applied {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.applied[pool]
}

// set changes the state and tells of it.
func (l *live) set(s *api.State) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state = s
	for _, ch := range l.changed {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

// loop runs an agent on a machine until the test ends, or stop is called.
type loop struct {
	*scenario
	live    *live
	stop    func()
	metrics *prometheus.Registry
}

func newLoop(t *testing.T, dir string) *loop {
	archive, err := txtar.ParseFile("testdata/two-pools.txtar")
	if err != nil {
		t.Fatal(err)
	}
	s := newScenario(t, archive, dir)
	for _, line := range []string{"site site.yaml", "plan plan-1.yaml"} {
		verb, arg, _ := strings.Cut(line, " ")
		if err := s.command(verb, []string{arg}); err != nil {
			t.Fatal(err)
		}
	}
	l := &loop{scenario: s, live: &live{state: s.state, applied: map[string]*api.Applied{}}}
	l.metrics = prometheus.NewPedanticRegistry()
	a, err := New(Config{
		Name: self, Host: s.m.host(), Source: l.live, Store: l.live, Prober: l.live,
		Metrics: NewMetrics(l.metrics), HostID: s.m.hostID, StateDir: dir,
	})
	if err != nil {
		t.Fatal(err)
	}
	l.a = a
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	l.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(l.stop)
	return l
}

// follow makes the store hold what the scenario's site says.
func (l *loop) follow(t *testing.T, verb, arg string) {
	t.Helper()
	if err := l.command(verb, []string{arg}); err != nil {
		t.Fatal(err)
	}
	l.live.set(l.state)
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l := newLoop(t, dir)
		wait(time.Second)
		a := l.live.told("edge")
		if a == nil || a.Generation != 1 || a.Error != "" || len(a.VIPs) != 2 || !a.VIPs["203.0.113.179"].Announced || a.Peers["rt"].State != "Established" {
			t.Fatalf("applied %+v", a)
		}
		if want := api.Fingerprint(l.live.state.Plans["edge"].Tables()); a.Fingerprint != want {
			t.Errorf("fingerprint %s, want %s", a.Fingerprint, want)
		}
		if len(l.live.targets) != 2 || len(l.live.targets[0].Paths) != 2 {
			t.Errorf("targets %v", l.live.targets)
		}
		if err := l.a.Ready(); err != nil {
			t.Errorf("ready: %v", err)
		}

		// A change is applied and told without waiting for a timer.
		l.follow(t, "plan", "plan-2.yaml")
		wait(20 * time.Millisecond)
		if a := l.live.told("edge"); a.Generation != 2 {
			t.Errorf("generation %d after a change", a.Generation)
		}

		// A store that hangs does not hold up the host, and hears of it later.
		l.live.set(l.state)
		l.live.mu.Lock()
		l.live.hang = true
		l.live.mu.Unlock()
		l.follow(t, "plan", "other.yaml")
		wait(time.Minute)
		if !strings.Contains(l.m.table(), "203.0.113.179:1179") {
			t.Error("the host waited for the store")
		}
		l.live.mu.Lock()
		l.live.hang = false
		l.live.mu.Unlock()
		wait(10 * time.Second)
		if a := l.live.told("other"); a == nil || a.Generation != 1 {
			t.Errorf("applied %+v after the store was back", a)
		}

		// Stopping changes nothing.
		host, lines := l.m.String(), len(l.m.log)
		l.stop()
		if got := l.m.String(); got != host || len(l.m.log) != lines {
			t.Errorf("the stop changed the host (-before +after):\n%s", cmp.Diff(host, got))
		}
	})
}

// TestLostApplied: what the store lost is told again; what it should not hold
// any more is taken back.
func TestLostApplied(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l := newLoop(t, dir)
		wait(time.Second)
		mirror := func() { // the store's watch brings back what was told
			l.change(func(st *api.State) {
				st.Applied = map[string]map[string]*api.Applied{}
				for _, pool := range []string{"edge", "other"} {
					if a := l.live.told(pool); a != nil {
						st.Applied[pool] = map[string]*api.Applied{self: a}
					}
				}
			})
			l.live.set(l.state)
		}
		mirror()
		wait(10 * time.Second) // the first counters are told
		mirror()
		puts := l.live.puts
		wait(time.Minute)
		if l.live.puts != puts {
			t.Errorf("%d writes without a reason", l.live.puts-puts)
		}
		l.live.mu.Lock()
		clear(l.live.applied)
		l.live.mu.Unlock()
		mirror()
		wait(time.Minute)
		if l.live.told("edge") == nil {
			t.Error("what the store lost was not told again")
		}
		mirror()
		l.follow(t, "unplan", "edge")
		l.follow(t, "drop", "Pool/edge")
		wait(30 * time.Second)
		if !slices.Contains(l.live.deleted, "edge/"+self) || l.live.told("edge") != nil {
			t.Errorf("deleted %v", l.live.deleted)
		}
		if strings.Contains(l.m.table(), ":179 -s mh") {
			t.Error("the services are still there")
		}
	})
}

// TestRetry: what failed is tried again soon, without a change.
func TestRetry(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l := newLoop(t, dir)
		l.m.breaks(partAddresses, errBroken)
		wait(500 * time.Millisecond)
		if err := l.a.Ready(); !errors.Is(err, errBroken) {
			t.Errorf("ready: %v", err)
		}
		l.m.breaks(partAddresses, nil)
		wait(time.Second)
		if err := l.a.Ready(); err != nil {
			t.Errorf("ready: %v", err)
		}
	})
}

// TestMetrics compares all of /metrics, and lets the linter see it.
func TestMetrics(t *testing.T) {
	dir := t.TempDir()
	var got []byte
	synctest.Test(t, func(t *testing.T) {
		l := newLoop(t, dir)
		wait(time.Second)
		l.follow(t, "plan", "other.yaml")
		wait(time.Second)
		l.follow(t, "plan", "other-bad.yaml")
		m := l.a.cfg.Metrics
		m.Probed("edge", "rs-1", true, 3*time.Millisecond)
		m.Probed("edge", "rs-2", false, 0)
		m.Judged("edge", "rs-1", true)
		m.Judged("edge", "rs-2", false)
		m.Judged("edge", "rs-3", true)
		m.Forgotten("edge", "rs-3")
		m.BirdFailed()
		if err := l.m.addrs.Remove(t.Context()); err != nil {
			t.Fatal(err)
		}
		wait(30 * time.Second)
		l.stop()

		families, err := l.metrics.Gather()
		if err != nil {
			t.Fatal(err)
		}
		problems, err := promlint.NewWithMetricFamilies(families).Lint()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range problems {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
		got = metricsText(t, l.metrics)
	})
	golden := "testdata/metrics.txt"
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}

func metricsText(t *testing.T, r *prometheus.Registry) []byte {
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&b, f); err != nil {
			t.Fatal(err)
		}
	}
	return []byte(b.String())
}
