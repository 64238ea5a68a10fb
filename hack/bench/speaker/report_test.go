package speaker

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"
)

func sample() *Report {
	reflect := Load{Feeds: 10, Prefixes: 100_000, Receivers: 20, PerGroup: 20}
	r := &Report{At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Kernel: "6.1", CPUs: 2}
	r.put(Row{Work: "reflect", Engine: reference, Version: "BIRD 2", Load: reflect, Runs: make([]Measures, 3), Measures: Measures{Wall: 4, CPU: 3.5, System: 0.7, PeakMiB: 140, PerUpdate: 4.2}})
	r.put(Row{Work: "reflect", Engine: ours, Version: "Peerage 1", Load: reflect, Error: "an earlier run"})
	r.put(Row{Work: "reflect", Engine: ours, Version: "Peerage 1", Load: reflect, Runs: make([]Measures, 3), Measures: Measures{Wall: 0.4, CPU: 0.5, System: 0.1, PeakMiB: 90, PerUpdate: 4}})
	r.put(Row{Work: "reflect", Engine: "gobgp", Version: "GoBGP 4", Load: reflect, Error: "of 5 prefixes 1 is missing\nmore"})
	r.put(Row{Work: "idle", Engine: ours, Version: "Peerage 1", Load: Load{Idle: 1000}, Measures: Measures{Up: 0.2, KiBPerSession: 9, IdlePercent: 0.1}})
	r.put(Row{Work: "lookup", Engine: ours, Version: "Peerage 1", Load: Load{Feeds: 100, Prefixes: 1_000_000}, Measures: Measures{LookupSession: 1450, LookupCustomer: 600, LookupAll: 2000}})
	r.put(Row{Work: "collect", Engine: ours, Version: "Peerage 1", Load: Load{Feeds: 100, Prefixes: 1_000_000, Sharing: shareHop}, Measures: Measures{Wall: 44, ResidentMiB: 2229}})
	for _, cores := range []Load{{Cores: 2, Shards: 24}, {Cores: 1}, {Cores: 2}} {
		m := map[Load]Measures{
			{Cores: 1}:             {Wall: 2, CPU: 2},
			{Cores: 2}:             {Wall: 1.35, CPU: 2.2, GeneratorCPU: 0.3},
			{Cores: 2, Shards: 24}: {Wall: 1.5, CPU: 2.64},
		}[cores]
		cores.Feeds, cores.Receivers, cores.PerGroup = 10, 20, 5
		r.put(Row{Work: "scale", Engine: ours, Load: cores, Measures: m})
	}
	for _, n := range []int{100, 200} {
		r.put(Row{Work: "routes", Engine: ours, Version: "Peerage 1", Load: Load{Feeds: 10, Prefixes: n, Receivers: 1, PerGroup: 1}, Measures: Measures{CPU: float64(n)}})
	}
	return r
}

func TestMarkdown(t *testing.T) {
	var b bytes.Buffer
	if err := sample().performance(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| reflect | BIRD's CPU over ours, 10 feeds × 100 k → 20 receivers | ≥ 8× | 7.0× | **missed** |",
		"| reflect | BIRD's wall time over ours, 10 feeds × 100 k → 20 receivers | ≥ 8× | 10.0× | met |",
		"| reflect | our peak memory over BIRD's | ≤ 0.5× | 0.64× | **missed** |",
		"| rr | BIRD's CPU over ours | ≥ 8× | – | not measured |",
		"| idle | 1000 sessions: memory of each | ≤ 8 KiB | 9 KiB | **missed** |",
		"| idle | 1000 sessions: idle CPU | ≤ 1 % of a core | 0.1 % of a core | met |",
		"| lookup | 100 feeds × 1 M: one session's longest match, in the table | ≤ 500 ns | 1450 ns | **missed** |",
		"| 100 feeds × 1 M | Peerage 1 | 0 | 1450 | 600 | 2000 |",
		"| 100 feeds × 1 M, shared: hop | Peerage 1 | 0 | 44.00 | 0.00 | 2229 | 0 | 0.0 | – | 0.0 |",
		"| 10 feeds × 100 k → 20 receivers | Peerage 1 | 3 | 0.40 (10.0×) | 0.50 (7.0×) | 20 % | 90 (1.6×) | 4.0 |",
		"Measured: 2 times the routes take 2 times the processor time.",
		"| GoBGP 4 | 0 | failed: of 5 prefixes 1 is missing | | | | | |",
		"the wall time falls 1.48×, and 1.67×",
		"20.0 % of the work as serial from that, shared caches and memory included: no number of\ncores is more than 5 times",
		"24 shards and workers take 20 % more processor time",
		"| times as fast as one | 1.7 | 2.5 | 3.2 | 3.5 | 3.6 |",
		"![Route reflection: processor time by routes](speaker-routes-cpu.svg)",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

func TestModel(t *testing.T) {
	m, _, ok := fit(&Measures{Wall: 1}, &Measures{Wall: 0.5})
	if !ok || m.speedup(24) != 24 {
		t.Errorf("no loss: %+v, %v", m, m.speedup(24))
	}
	m = model{serial: 0.1, costs: []cost{{8, 0.06}, {24, 0.3}}}
	for n, want := range map[int]float64{1: 0, 2: 0, 5: 0.03, 8: 0.06, 16: 0.18, 24: 0.3, 48: 0.3} {
		if got := m.more(n); math.Abs(got-want) > 1e-9 {
			t.Errorf("cost of %d shards: %v, want %v", n, got, want)
		}
	}
	if got, want := m.speedup(24), 24/3.3/1.3; math.Abs(got-want) > 1e-9 {
		t.Errorf("24 cores: %v, want %v", got, want)
	}
}

func TestMedians(t *testing.T) {
	m := medians([]Measures{{Wall: 3, CPU: 1}, {Wall: 1, CPU: 9}, {Wall: 2, CPU: 2}})
	if m.Wall != 2 || m.CPU != 2 {
		t.Errorf("%+v", m)
	}
}
