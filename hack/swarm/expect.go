package swarm

import (
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Expectation is a condition on a summary, such as "flapped==0" or
// "outage.p99<3s".
type Expectation struct {
	text   string
	metric string
	op     string
	value  float64 // durations in nanoseconds
}

// metrics are what an expectation may name. Durations are in nanoseconds.
func metrics(s *Summary) map[string]float64 {
	return map[string]float64{
		"sessions": float64(s.Sessions), "established": float64(s.Established),
		"connecting": float64(s.Connecting), "down": float64(s.Down),
		"flapped": float64(s.Flapped), "flaps": float64(s.Flaps), "moves": float64(s.Moves), "resets": float64(s.Resets), "acked": float64(s.Acked), "failures": float64(s.Failures),
		"outage.count": float64(s.Outage.Count), "outage.p50": float64(s.Outage.P50),
		"outage.p99": float64(s.Outage.P99), "outage.max": float64(s.Outage.Max),
		"silence.p50": float64(s.Silence.P50), "silence.p99": float64(s.Silence.P99), "silence.max": float64(s.Silence.Max),
		"announced": float64(s.Announced), "withdrawn": float64(s.Withdrawn),
		"servers": float64(len(s.Servers.Servers)), "servers.max_over_mean": s.Servers.MaxOverMean, "servers.cv": s.Servers.CV,
		"self.held_back": float64(s.Self.HeldBack), "self.lag": float64(s.Self.Lag),
	}
}

var expectation = regexp.MustCompile(`^\s*([a-z0-9_.]+)\s*(==|!=|<=|>=|<|>)\s*(\S+)\s*$`)

// ParseExpectation reads METRIC OPERATOR VALUE; the value is a number or, for
// outage and silence, a duration with a unit.
func ParseExpectation(text string) (Expectation, error) {
	m := expectation.FindStringSubmatch(text)
	if m == nil {
		return Expectation{}, fmt.Errorf("expectation %q: write METRIC OPERATOR VALUE, such as 'flapped==0' or 'outage.p99<3s'", text)
	}
	e := Expectation{text: strings.TrimSpace(text), metric: m[1], op: m[2]}
	known := metrics(&Summary{})
	if _, ok := known[e.metric]; !ok {
		return e, fmt.Errorf("expectation %q: metric %q is not known; the metrics are %s", text, e.metric, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
	}
	if e.timed() {
		d, err := time.ParseDuration(m[3])
		if err != nil {
			return e, fmt.Errorf("expectation %q: %q is not a duration; write one with a unit, such as 500ms or 3s", text, m[3])
		}
		e.value = float64(d)
		return e, nil
	}
	v, err := strconv.ParseFloat(m[3], 64)
	if err != nil {
		return e, fmt.Errorf("expectation %q: %q is not a number", text, m[3])
	}
	e.value = v
	return e, nil
}

// timed tells whether the metric is a duration.
func (e Expectation) timed() bool {
	group, _, _ := strings.Cut(e.metric, ".")
	return group == "silence" || group == "self" || group == "outage" && e.metric != "outage.count"
}

// String is the expectation as it was written.
func (e Expectation) String() string { return e.text }

// Check tells whether the summary meets the expectation, and if not, what it
// has instead.
func (e Expectation) Check(s *Summary) error {
	got := metrics(s)[e.metric]
	ok := map[string]bool{
		"==": got == e.value, "!=": got != e.value, "<": got < e.value,
		"<=": got <= e.value, ">": got > e.value, ">=": got >= e.value,
	}[e.op]
	if ok {
		return nil
	}
	shown := strconv.FormatFloat(got, 'g', 6, 64)
	if e.timed() {
		shown = time.Duration(got).Round(time.Millisecond).String()
	}
	return fmt.Errorf("expected %s, but %s is %s", e.text, e.metric, shown)
}

// writeMetrics lists what an expectation may name.
func writeMetrics(w io.Writer) error {
	for _, name := range slices.Sorted(maps.Keys(metrics(&Summary{}))) {
		unit := "number"
		if (Expectation{metric: name}).timed() {
			unit = "duration, such as 500ms or 3s"
		}
		if _, err := fmt.Fprintf(w, "%-24s %s\n", name, unit); err != nil {
			return err
		}
	}
	return nil
}
