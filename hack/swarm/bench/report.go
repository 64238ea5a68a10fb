package bench

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/peerage/peerage/hack/bench/result"
)

// Report is what was measured.
type Report struct {
	Bench       string    `json:"bench"`
	At          time.Time `json:"at"`
	Kernel      string    `json:"kernel"`
	CPUs        int       `json:"cpus"`
	HoldSeconds float64   `json:"hold_seconds"`
	Rounds      int       `json:"rounds"`
	// Load is the machine's load average before: above the number of CPUs the
	// times say little, the CPU seconds and the memory still do.
	Load    float64  `json:"load"`
	Runs    []Run    `json:"runs"`
	Ceiling *Ceiling `json:"ceiling,omitempty"`
}

// Run is one contender with one number of sessions.
type Run struct {
	Contender string `json:"contender"`
	Sessions  int    `json:"sessions"`
	// Up is how many came up within the limit, UpSeconds when the last of them
	// did, from the start of the program; Held how many stood at the end.
	Up           int     `json:"up"`
	UpSeconds    float64 `json:"up_seconds"`
	UpCPUSeconds float64 `json:"up_cpu_seconds"`
	Held         int     `json:"held"`
	// MemoryKiB is anonymous resident memory at the end of the hold, PeakKiB
	// the most resident memory of all kinds.
	MemoryKiB             int     `json:"memory_kib"`
	PeakKiB               int     `json:"peak_kib"`
	KiBPerSession         float64 `json:"kib_per_session"`
	IdleCPUPercentPer1000 float64 `json:"idle_cpu_percent_per_1000"`
}

// median is a run with the median of each figure, the lower one of two.
func median(runs []Run) Run {
	out := runs[0]
	for _, figure := range []func(r *Run) *float64{
		func(r *Run) *float64 { return &r.UpSeconds }, func(r *Run) *float64 { return &r.UpCPUSeconds },
		func(r *Run) *float64 { return &r.KiBPerSession }, func(r *Run) *float64 { return &r.IdleCPUPercentPer1000 },
	} {
		*figure(&out) = middle(runs, figure)
	}
	for _, figure := range []func(r *Run) *int{
		func(r *Run) *int { return &r.Up }, func(r *Run) *int { return &r.Held },
		func(r *Run) *int { return &r.MemoryKiB }, func(r *Run) *int { return &r.PeakKiB },
	} {
		*figure(&out) = middle(runs, figure)
	}
	return out
}

func middle[T cmp.Ordered](runs []Run, figure func(r *Run) *T) T {
	values := make([]T, 0, len(runs))
	for i := range runs {
		values = append(values, *figure(&runs[i]))
	}
	slices.Sort(values)
	return values[(len(values)-1)/2]
}

// rate is sessions brought up per second.
func (r *Run) rate() float64 {
	if r.UpSeconds == 0 {
		return 0
	}
	return float64(r.Up) / r.UpSeconds
}

func (r *Run) line() string {
	return fmt.Sprintf("%s: %d of %d up in %.1f s (%.0f/s, %.1f s of CPU), %d held, %.1f KiB per session, idle %.2f %% of a CPU per 1,000",
		r.Contender, r.Up, r.Sessions, r.UpSeconds, r.rate(), r.UpCPUSeconds, r.Held, r.KiBPerSession, r.IdleCPUPercentPer1000)
}

// base is our run of the same size.
func (r *Report) base(n int) *Run {
	for i := range r.Runs {
		if r.Runs[i].Contender == contenders()[0].name && r.Runs[i].Sessions == n {
			return &r.Runs[i]
		}
	}
	return nil
}

// Markdown is the report for people.
func (r *Report) Markdown(w io.Writer) error {
	b := fmt.Appendf(nil, "# swarm\n\n%s, kernel %s, %d CPUs. One passive BIRD 2 on loopback, fresh for each run; hold time 90 s, held %.0f s; median of %d rounds.\n"+
		"Load of the machine before: %.1f. "+
		"Memory is anonymous resident memory of the whole program by session held. In brackets: how many times ours.\n\n",
		r.At.Format(time.DateOnly), r.Kernel, r.CPUs, r.HoldSeconds, r.Rounds, r.Load)
	b = append(b, "| sessions | who | up, held | up in s | up/s | CPU s to bring up | KiB per session | idle CPU % per 1,000 |\n|---|---|---|---|---|---|---|---|\n"...)
	for i := range r.Runs {
		run := &r.Runs[i]
		ours := r.base(run.Sessions)
		if ours == nil {
			ours = &Run{}
		}
		b = fmt.Appendf(b, "| %d | %s | %d, %d | %.1f | %.0f | %.1f (%s) | %.1f (%s) | %.2f (%s) |\n", run.Sessions, run.Contender, run.Up, run.Held,
			run.UpSeconds, run.rate(), run.UpCPUSeconds, result.Ratio(run.UpCPUSeconds, ours.UpCPUSeconds),
			run.KiBPerSession, result.Ratio(run.KiBPerSession, ours.KiBPerSession),
			run.IdleCPUPercentPer1000, result.Ratio(run.IdleCPUPercentPer1000, ours.IdleCPUPercentPer1000))
	}
	if c := r.Ceiling; c != nil {
		b = fmt.Appendf(b, "\nAgainst a sink in Go that only answers, both ends on this machine: %d sessions come up at %.0f a second, and %d feeds of %d routes\n"+
			"leave at %.1f million routes a second from one table of %d KiB.\n",
			c.Sessions, c.SessionsPerSecond, c.Feeds, c.Routes, c.RoutesPerSecond/1e6, c.TableKiB)
	}
	_, err := w.Write(b)
	return err
}
