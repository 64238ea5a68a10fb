package demo

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Result is what a demo ends with.
type Result struct {
	OK bool `json:"ok"`
	// Sessions is how many were established at the end.
	Sessions int `json:"sessions"`
	// Flapped counts the sessions that went down in each step.
	Flapped map[string]int `json:"flapped"`
	// ApplyMS is from the API's acceptance of a verb until a kernel shows it,
	// in milliseconds, over all verbs and LBs.
	ApplyMS Quantiles `json:"apply_ms"`
	// ApplyMSByLB are the single measurements, in the order of the verbs.
	ApplyMSByLB map[string][]float64 `json:"apply_ms_by_lb"`
	// FailoverMS is from the LB's death until the fabric's kernel routed
	// around it.
	FailoverMS float64 `json:"failover_ms"`
	// Servers counts the sessions of each real server, before and at the end.
	Servers map[string]Count `json:"servers"`
	// Seconds is how long everything took.
	Seconds float64 `json:"seconds"`
	// Failures are the expectations that did not hold.
	Failures []string `json:"failures,omitempty"`
}

// Count is a number of sessions at two moments.
type Count struct {
	Before int `json:"before"`
	After  int `json:"after"`
}

// Quantiles of a sample.
type Quantiles struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

// milliseconds rounds to what a measurement can tell.
func milliseconds(d time.Duration) float64 {
	return math.Round(float64(d)/float64(time.Millisecond)*10) / 10
}

// steps are the names of the steps in which flaps are counted, in order.
func steps() []string { return []string{"depool", "pool", "lb_kill", "lb_back"} }

// JSON is the result as one line.
func (r *Result) JSON() ([]byte, error) { return json.Marshal(r) }

// Table prints the result for people.
func (r *Result) Table(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "\nreal server\tsessions before\tafter")
	for _, name := range slices.Sorted(maps.Keys(r.Servers)) {
		fmt.Fprintf(w, "%s\t%d\t%d\n", name, r.Servers[name].Before, r.Servers[name].After)
	}
	fmt.Fprintln(w, "\nstep\tsessions that flapped")
	for _, step := range steps() {
		count := "not reached"
		if n, ok := r.Flapped[step]; ok {
			count = fmt.Sprint(n)
		}
		fmt.Fprintf(w, "%s\t%s\n", strings.ReplaceAll(step, "_", " "), count)
	}
	fmt.Fprintln(w, "\nload balancer\ttime to apply depool, pool (ms)")
	for _, lb := range slices.Sorted(maps.Keys(r.ApplyMSByLB)) {
		var times []string
		for _, ms := range r.ApplyMSByLB[lb] {
			times = append(times, fmt.Sprintf("%.1f", ms))
		}
		fmt.Fprintf(w, "%s\t%s\n", lb, cmp.Or(strings.Join(times, ", "), "–"))
	}
	fmt.Fprintln(w)
	return w.Flush()
}
