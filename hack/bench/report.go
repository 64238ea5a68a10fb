package bench

import (
	"fmt"
	"io"
	"math"
	"text/tabwriter"
	"time"

	"github.com/peerage/peerage/hack/lab"
)

// Report is what one run of a benchmark measured.
type Report struct {
	Bench  string    `json:"bench"`
	At     time.Time `json:"at"`
	Kernel string    `json:"kernel"`
	// Mode says whether the kernel was the machine's own (host) or an emulated
	// guest's (vm).
	Mode string `json:"mode"`
	CPUs int    `json:"cpus"`
	// Note is what a reader must know of the run.
	Note   string   `json:"note,omitempty"`
	Change []Change `json:"change,omitempty"`
	Noop   *Noop    `json:"noop,omitempty"`
}

// Change compares how long a depool takes from its acceptance until the last
// LB's kernel shows it.
type Change struct {
	Servers       int    `json:"servers"`
	LoadBalancers int    `json:"loadBalancers"`
	Peerage       Sample `json:"peerage"`
	// Keepalived: its file is edited, SIGHUP is sent, until every kernel shows it.
	Keepalived Sample `json:"keepalived"`
	// RatioP50 and RatioP99 are keepalived's time over ours.
	RatioP50 float64 `json:"ratio_p50"`
	RatioP99 float64 `json:"ratio_p99"`
}

// Sample are quantiles of measurements, in milliseconds.
type Sample struct {
	N     int     `json:"n"`
	MinMS float64 `json:"min_ms"`
	P50MS float64 `json:"p50_ms"`
	P99MS float64 `json:"p99_ms"`
}

// Noop is the cost of rounds that find nothing to do.
type Noop struct {
	Services     int `json:"services"`
	Destinations int `json:"destinations"`
	Rounds       int `json:"rounds"`
	// RoundMS is how long a full round takes, CPUMS what the process spends on
	// everything in the time of one.
	RoundMS float64 `json:"round_ms"`
	CPUMS   float64 `json:"cpu_ms_per_round"`
	// Syscalls counts the system calls of the process in the time of one round.
	Syscalls float64 `json:"syscalls_per_round"`
	// ByName are the most frequent ones.
	ByName map[string]float64 `json:"by_name"`
}

func sample(all []time.Duration) Sample {
	ms := func(d time.Duration) float64 { return round(float64(d) / float64(time.Millisecond)) }
	return Sample{N: len(all), MinMS: ms(lab.Quantile(all, 0)), P50MS: ms(lab.Quantile(all, 0.5)), P99MS: ms(lab.Quantile(all, 0.99))}
}

func newChange(servers, lbs int, ours, theirs []time.Duration) Change {
	c := Change{Servers: servers, LoadBalancers: lbs, Peerage: sample(ours), Keepalived: sample(theirs)}
	if c.Peerage.P50MS > 0 && c.Peerage.P99MS > 0 {
		c.RatioP50, c.RatioP99 = round(c.Keepalived.P50MS/c.Peerage.P50MS), round(c.Keepalived.P99MS/c.Peerage.P99MS)
	}
	return c
}

func round(v float64) float64 { return math.Round(v*10) / 10 }

// Markdown is the report for people.
func (r *Report) Markdown(out io.Writer) error {
	fmt.Fprintf(out, "# %s\n\n%s, kernel %s, %s, %d CPUs.\n", r.Bench, r.At.UTC().Format(time.DateOnly), r.Kernel, where(r.Mode), r.CPUs)
	if r.Note != "" {
		fmt.Fprintf(out, "\n%s\n", r.Note)
	}
	if len(r.Change) > 0 {
		fmt.Fprint(out, "\nFrom the API's acceptance of a depool until the last LB's kernel shows it; keepalived: from the\nedit of its file, which a SIGHUP follows. Both check the servers' health at the same interval.\n\n"+
			"| real servers | LBs | Peerage p50 / p99 ms | keepalived p50 / p99 ms | ratio p50 / p99 | n |\n|---|---|---|---|---|---|\n")
		for _, c := range r.Change {
			fmt.Fprintf(out, "| %d | %d | %.1f / %.1f | %.1f / %.1f | %.1f / %.1f | %d, %d |\n", c.Servers, c.LoadBalancers,
				c.Peerage.P50MS, c.Peerage.P99MS, c.Keepalived.P50MS, c.Keepalived.P99MS, c.RatioP50, c.RatioP99, c.Peerage.N, c.Keepalived.N)
		}
	}
	if n := r.Noop; n != nil {
		fmt.Fprintf(out, "\nA round over %d services × %d destinations that finds nothing to do: %.1f ms, %.1f ms of CPU, %.0f system calls (mean of %d).\n",
			n.Services, n.Destinations, n.RoundMS, n.CPUMS, n.Syscalls, n.Rounds)
	}
	return nil
}

func where(mode string) string {
	if mode == "host" {
		return "on the machine itself"
	}
	return "in an emulated guest (milliseconds are upper bounds)"
}

// progress prints a line for people who wait.
func (c Change) progress(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%d servers, %d LBs\tPeerage %.1f / %.1f ms\tkeepalived %.1f / %.1f ms\tratio %.1f / %.1f (p50 / p99)\n",
		c.Servers, c.LoadBalancers, c.Peerage.P50MS, c.Peerage.P99MS, c.Keepalived.P50MS, c.Keepalived.P99MS, c.RatioP50, c.RatioP99)
	return w.Flush()
}
