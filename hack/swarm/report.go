package swarm

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// Report is what the command prints: the sums since the swarm was complete for
// the first time, or since its beginning, and what happened in each phase.
type Report struct {
	Summary
	// Since is the moment from which the sums count.
	Since  Seconds       `json:"since"`
	Phases []PhaseReport `json:"phases,omitempty"`
	// Failed says what was not as expected.
	Failed      []string `json:"failed,omitempty"`
	Interrupted bool     `json:"interrupted,omitempty"`

	outages []Seconds
}

// PhaseReport is one phase of a scenario.
type PhaseReport struct {
	Name   string  `json:"name"`
	Kind   string  `json:"kind"`
	From   Seconds `json:"from"`
	To     Seconds `json:"to"`
	Failed string  `json:"failed,omitempty"`
	// Summary counts from the beginning of the phase to its end.
	Summary Summary `json:"summary"`
}

// Line is a summary in one line, for a terminal that shows it again and again.
// before is the summary that was shown last.
func (s *Summary) Line(before *Summary) string {
	seconds := time.Duration(s.Elapsed - before.Elapsed).Seconds()
	routes := 0.0
	if seconds > 0 {
		routes = float64(s.Announced+s.Withdrawn-before.Announced-before.Withdrawn) / seconds
	}
	return fmt.Sprintf("%s  up %d  down %d  connecting %d  flaps %d  outage p50 %s p99 %s max %s  routes/s %.0f",
		time.Duration(s.Elapsed).Round(time.Second), s.Established, s.Down, s.Connecting, s.Flaps,
		s.Outage.P50, s.Outage.P99, s.Outage.Max, routes)
}

// Write writes the report as "json" or "table".
func (r *Report) Write(w io.Writer, format string) error {
	if format == "json" {
		return json.NewEncoder(w).Encode(r)
	}
	if err := r.writePhases(w); err != nil {
		return err
	}
	if err := r.WriteTable(w); err != nil || len(r.outages) == 0 {
		return err
	}
	fmt.Fprintln(w)
	return NewHistogram(r.outages).WriteText(w)
}

func (r *Report) writePhases(w io.Writer) error {
	if len(r.Phases) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PHASE\tFROM\tTOOK\tUP\tFLAPPED\tOUTAGE P99\tMAX\tRESULT")
	for i := range r.Phases {
		p := &r.Phases[i]
		result := "ok"
		if p.Failed != "" {
			result, _, _ = strings.Cut(p.Failed, "\n")
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%d\t%s\t%s\t%s\n", p.Name, p.From, p.To-p.From,
			p.Summary.Established, p.Summary.Flapped, p.Summary.Outage.P99, p.Summary.Outage.Max, result)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w)
	return err
}

// WriteTable writes a summary for people.
func (s *Summary) WriteTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "sessions\t%d\n", s.Sessions)
	fmt.Fprintf(t, "established\t%d\n", s.Established)
	fmt.Fprintf(t, "connecting, down\t%d, %d\n", s.Connecting, s.Down)
	fmt.Fprintf(t, "flapped\t%d sessions, %d times\n", s.Flapped, s.Flaps)
	fmt.Fprintf(t, "moved\t%d returns to another server than before\n", s.Moves)
	if s.Resets > 0 {
		fmt.Fprintf(t, "reset\t%d times, as asked\n", s.Resets)
	}
	fmt.Fprintf(t, "failed attempts\t%d\n", s.Failures)
	fmt.Fprintf(t, "outage\tp50 %s, p99 %s, max %s of %d\n", s.Outage.P50, s.Outage.P99, s.Outage.Max, s.Outage.Count)
	fmt.Fprintf(t, "silence\tp50 %s, p99 %s, max %s; %d sessions were acknowledged something\n", s.Silence.P50, s.Silence.P99, s.Silence.Max, s.Acked)
	fmt.Fprintf(t, "routes received\t%d announced, %d withdrawn\n", s.Announced, s.Withdrawn)
	writeCauses(t, "went down", s.Causes)
	writeCauses(t, "not up", s.Refusals)
	for _, server := range s.Servers.Servers {
		fmt.Fprintf(t, "server %s\t%d\t%s\n", server.Server, server.Sessions, bar(server.Sessions, s.Established))
	}
	if len(s.Servers.Servers) > 1 {
		fmt.Fprintf(t, "spread\tmax/mean %.2f, CV %.2f; a perfect hash by chance: %.2f, %.2f\n",
			s.Servers.MaxOverMean, s.Servers.CV, s.Servers.ChanceMaxOverMean, s.Servers.ChanceCV)
	}
	fmt.Fprintf(t, "swarm itself\tlate by up to %s; reconnections held back up to %s by the rate\n", s.Self.Lag, s.Self.HeldBack)
	if s.Self.ChurnSkipped > 0 {
		fmt.Fprintf(t, "churn\t%d turns skipped: session down or still sending\n", s.Self.ChurnSkipped)
	}
	return t.Flush()
}

// maxCauses bounds the causes that are shown to people.
const maxCauses = 10

func writeCauses(w io.Writer, what string, causes []CauseCount) {
	for i, c := range causes {
		if i == maxCauses {
			fmt.Fprintf(w, "%s\t%d other causes\n", what, len(causes)-i)
			return
		}
		fmt.Fprintf(w, "%s\t%d: %s\n", what, c.Sessions, c.Cause)
	}
}

// bar is n of total in at most 40 characters.
func bar(n, total int) string {
	if total == 0 {
		return ""
	}
	return strings.Repeat("█", (n*40+total-1)/total)
}
