package bench

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestReport(t *testing.T) {
	r := &Report{At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Kernel: "6.1", CPUs: 2, HoldSeconds: 60, Runs: []Run{
		{Contender: "peerage-swarm", Sessions: 1000, Up: 1000, Held: 1000, UpSeconds: 2, UpCPUSeconds: 0.1, KiBPerSession: 8, IdleCPUPercentPer1000: 0.1},
		{Contender: "gobgp", Sessions: 1000, Up: 1000, Held: 999, UpSeconds: 20, UpCPUSeconds: 5, KiBPerSession: 200, IdleCPUPercentPer1000: 0.15},
		{Contender: "exabgp", Sessions: 1000},
	}, Ceiling: &Ceiling{2000, 10_000, 50, 100_000, 2e7, 2048}}
	var b bytes.Buffer
	if err := r.Markdown(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| 1000 | peerage-swarm | 1000, 1000 | 2.0 | 500 | 0.1 (1.0×) | 8.0 (1.0×) | 0.10 (1.0×) |",
		"| 1000 | gobgp | 1000, 999 | 20.0 | 50 | 5.0 (50.0×) | 200.0 (25.0×) | 0.15 (1.5×) |",
		"| 1000 | exabgp | 0, 0 | 0.0 | 0 | 0.0 (–) | 0.0 (–) | 0.00 (–) |",
		"come up at 10000 a second",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

func TestMedian(t *testing.T) {
	got := median([]Run{
		{Contender: "gobgp", Sessions: 9, Up: 9, UpSeconds: 5, MemoryKiB: 30, KiBPerSession: 1},
		{Contender: "gobgp", Sessions: 9, Up: 7, UpSeconds: 1, MemoryKiB: 10, KiBPerSession: 3},
		{Contender: "gobgp", Sessions: 9, Up: 8, UpSeconds: 3, MemoryKiB: 20, KiBPerSession: 2},
	})
	if want := (Run{Contender: "gobgp", Sessions: 9, Up: 8, UpSeconds: 3, MemoryKiB: 20, KiBPerSession: 2}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestConfigurations(t *testing.T) {
	if customer(0).String() != "127.1.0.1" || speaker(299).String() != "127.2.1.44" {
		t.Errorf("%s, %s", customer(0), speaker(299))
	}
	if n := bytes.Count(gobgpConf(7), []byte("[[neighbors]]")); n != 7 {
		t.Errorf("%d neighbours", n)
	}
	if n := bytes.Count(exabgpConf(7), []byte("neighbor 127.2.0.")); n != 7 {
		t.Errorf("%d neighbours", n)
	}
	if _, err := contenderByName("frr"); err == nil {
		t.Error("frr is known")
	}
}

// TestSink checks the other end of the measurement of the ceiling.
func TestSink(t *testing.T) {
	s, err := newSink()
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if took, err := s.play(t.Context(), 20, nil); err != nil || took <= 0 {
		t.Error(took, err)
	}
}
