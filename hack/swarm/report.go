package swarm

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// Line is a summary in one line, for a terminal that shows it again and again.
func (s *Summary) Line() string {
	return fmt.Sprintf("up %d  down %d  connecting %d  flaps %d  outage p50 %s p99 %s max %s  routes %d",
		s.Established, s.Down, s.Connecting, s.Flaps,
		round(s.Outage.P50), round(s.Outage.P99), round(s.Outage.Max), s.Announced)
}

// WriteTable writes a summary for people.
func (s *Summary) WriteTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "sessions\t%d\n", s.Sessions)
	fmt.Fprintf(t, "established\t%d\n", s.Established)
	fmt.Fprintf(t, "connecting, down\t%d, %d\n", s.Connecting, s.Down)
	fmt.Fprintf(t, "flapped\t%d sessions, %d times\n", s.Flapped, s.Flaps)
	fmt.Fprintf(t, "failed attempts\t%d\n", s.Failures)
	fmt.Fprintf(t, "outage\tp50 %s, p99 %s, max %s of %d\n", round(s.Outage.P50), round(s.Outage.P99), round(s.Outage.Max), s.Outage.Count)
	fmt.Fprintf(t, "silence\tp50 %s, p99 %s, max %s\n", round(s.Silence.P50), round(s.Silence.P99), round(s.Silence.Max))
	fmt.Fprintf(t, "routes received\t%d announced, %d withdrawn\n", s.Announced, s.Withdrawn)
	for _, c := range s.Causes {
		fmt.Fprintf(t, "went down\t%d: %s\n", c.Sessions, c.Cause)
	}
	for _, server := range s.Servers.Servers {
		fmt.Fprintf(t, "server %s\t%d\t%s\n", server.Server, server.Sessions, bar(server.Sessions, s.Established))
	}
	if len(s.Servers.Servers) > 1 {
		fmt.Fprintf(t, "spread\tmax/mean %.2f, CV %.2f; by chance %.2f, %.2f\n",
			s.Servers.MaxOverMean, s.Servers.CV, s.Servers.ChanceMaxOverMean, s.Servers.ChanceCV)
	}
	return t.Flush()
}

// WriteHistogram draws the outages in powers of two from 125 ms on.
func WriteHistogram(w io.Writer, outages []time.Duration) error {
	if len(outages) == 0 {
		_, err := fmt.Fprintln(w, "no outages")
		return err
	}
	const first, bins = 125 * time.Millisecond, 12
	counts := make([]int, bins)
	for _, d := range outages {
		i := 0
		for limit := first; d > limit && i < bins-1; limit *= 2 {
			i++
		}
		counts[i]++
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for i, n := range counts {
		label := "≤ " + (first << i).String()
		if i == bins-1 {
			label = "longer"
		}
		fmt.Fprintf(t, "%s\t%d\t\t%s\n", label, n, bar(n, len(outages)))
	}
	return t.Flush()
}

// bar is n of total in at most 40 characters.
func bar(n, total int) string {
	if total == 0 {
		return ""
	}
	return strings.Repeat("█", (n*40+total-1)/total)
}

func round(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
