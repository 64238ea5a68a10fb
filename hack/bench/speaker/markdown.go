package speaker

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/peerage/peerage/hack/bench/result"
)

// column is a measure in a table.
type column struct {
	title  string
	format string
	value  func(*Measures) float64
	// ratio adds how many times as much the reference needs.
	ratio bool
}

// section is the table of a work.
type section struct {
	work, title, text string
	columns           []column
}

func sections() []section {
	wall := column{"wall s", "%.2f", func(m *Measures) float64 { return m.Wall }, true}
	cpu := column{"CPU s", "%.2f", func(m *Measures) float64 { return m.CPU }, true}
	peak := column{"peak MiB", "%.0f", func(m *Measures) float64 { return m.PeakMiB }, true}
	per := column{"prefixes per UPDATE", "%.1f", func(m *Measures) float64 { return m.PerUpdate }, false}
	system := column{"in system calls", "%.0f %%", func(m *Measures) float64 { return 100 * m.systemShare() }, false}
	rate := column{"million prefixes out per core and s", "%.2f", func(m *Measures) float64 { return m.perCore() / 1e6 }, false}
	generator := column{"generator CPU s", "%.2f", func(m *Measures) float64 { return m.GeneratorCPU }, false}
	others := column{"others' CPUs", "%.1f", func(m *Measures) float64 { return m.Others }, false}
	return []section{
		{"reflect", "Route reflection", "All feeds announce the same prefixes; each has the best path for its share of them.", []column{wall, cpu, system, peak, per, generator, others}},
		{"rr", "The large route reflector", "The same with a full table, and receivers in groups of five.", []column{wall, cpu, system, rate, peak, per, generator, others}},
		{"flap", "Flap of the best feed", "The first feed has the best path for every prefix. Its connection ends; then it comes back and announces all again.", []column{
			{"down: wall s", "%.2f", func(m *Measures) float64 { return m.DownWall }, true}, {"down: CPU s", "%.2f", func(m *Measures) float64 { return m.DownCPU }, true},
			{"up: wall s", "%.2f", func(m *Measures) float64 { return m.UpWall }, true}, {"up: CPU s", "%.2f", func(m *Measures) float64 { return m.UpCPU }, true}, peak, others}},
		{"collect", "Full tables, collected", sharingText, []column{wall, cpu,
			{"resident MiB", "%.0f", func(m *Measures) float64 { return m.ResidentMiB }, true}, peak,
			{"bytes per route", "%.1f", func(m *Measures) float64 { return m.BytesPerRoute }, true},
			{"asked for a longest match: ms", "%.2f", func(m *Measures) float64 { return m.askedMs() }, false}, others}},
		{"lookup", "Longest matches", lookupText, []column{
			{"one session's, ns", "%.0f", func(m *Measures) float64 { return m.LookupSession }, false},
			{"ten sessions', ns", "%.0f", func(m *Measures) float64 { return m.LookupCustomer }, false},
			{"all sessions', ns", "%.0f", func(m *Measures) float64 { return m.LookupAll }, false}}},
		{"idle", "Idle sessions", "Memory is the growth of resident memory by session.", []column{
			{"all up in s", "%.2f", func(m *Measures) float64 { return m.Up }, true}, {"CPU s until then", "%.2f", func(m *Measures) float64 { return m.CPU }, true},
			{"KiB per session", "%.1f", func(m *Measures) float64 { return m.KiBPerSession }, true}, {"idle CPU %", "%.2f", func(m *Measures) float64 { return m.IdlePercent }, true}, others}},
		{"scale", "One and two cores", "GOMAXPROCS is the number of cores. The generator runs on the same two processors. More shards than cores show what a larger machine\npays for dividing the work.", []column{wall, cpu, system, generator, others}},
		{"routes", "Cost by number of routes", "", []column{wall, cpu, peak, others}},
		{"sessions", "Cost beside idle sessions", "The work of route reflection, while other sessions only stand there. The garbage\ncollector looks at every session; that it does so seldom takes memory while much is going on (decision 0015).", []column{wall, cpu, peak, others}},
	}
}

const sharingText = `Each feed is an external session with a full table, in an order of its own, that nobody is sent. What a route costs depends on the
attributes that feeds share, for equal sets are stored once. *hop*: the feeds are border routers of one customer; each has its own next
hop, and all else is equal. *all*: the next hop is equal too. *as*: the feeds are different customers; next hop and first AS are each
feed's own, so that no two feeds share an attribute set. A set is shared by 4.3 prefixes of the same feed on average.`

const lookupText = `In the table, that is in the benchmark's own process, which fills shards as the speaker does: every session announced every prefix.
A lookup finds the routes with the longest prefix that holds an address, of one session (another one each time), of the ten sessions of a
customer, or of all. The addresses are random ones that random prefixes hold, so that little is in the processor's caches. It takes the
lock that the speaker takes; it does not read the attributes. What a program waits that asks a running speaker is in the table above.`

// Markdown is the report for people.
func (r *Report) Markdown(w io.Writer) error {
	_, err := fmt.Fprintf(w, "# speaker\n\n%s\n%s%s%s", r.where(), r.targetTable(), r.tables(2), r.modelText(2))
	return err
}

func (r *Report) where() string {
	return fmt.Sprintf("%s, kernel %s, %d CPUs, on loopback. Every speaker got the same bytes from the same generator, which ran on the same\n"+
		"machine; each value is the median of n runs, with a speaker's version at that time. In brackets: how many times as much BIRD 2 needs. *Others' CPUs* is how many\n"+
		"processors everything else on the machine kept busy meanwhile.\n", r.At.Format(time.DateOnly), r.Kernel, r.CPUs)
}

// tables are all works that were measured.
func (r *Report) tables(level int) string {
	var b strings.Builder
	for _, s := range sections() {
		if rows := r.of(s.work); len(rows) > 0 {
			fmt.Fprintf(&b, "\n%s %s\n\n", strings.Repeat("#", level), s.title)
			if s.text != "" {
				fmt.Fprintf(&b, "%s\n\n", s.text)
			}
			r.table(&b, s, rows)
		}
	}
	return b.String()
}

func (r *Report) table(b *strings.Builder, s section, rows []*Row) {
	b.WriteString("| load | speaker | n |")
	for _, c := range s.columns {
		fmt.Fprintf(b, " %s |", c.title)
	}
	fmt.Fprintf(b, "\n|%s\n", strings.Repeat("---|", 3+len(s.columns)))
	for _, row := range rows {
		fmt.Fprintf(b, "| %s | %s | %d |", row.Load, row.Version, len(row.Runs))
		if row.Error != "" {
			fmt.Fprintf(b, " failed: %s |%s\n", strings.ReplaceAll(firstLine(row.Error), "|", "/"), strings.Repeat(" |", len(s.columns)-1))
			continue
		}
		theirs := r.find(s.work, reference, row.Load)
		for _, c := range s.columns {
			v := c.value(&row.Measures)
			if math.IsNaN(v) {
				b.WriteString(" – |")
				continue
			}
			fmt.Fprintf(b, " "+c.format, v)
			if c.ratio && theirs != nil && row.Engine != reference {
				fmt.Fprintf(b, " (%s)", result.Ratio(c.value(&theirs.Measures), c.value(&row.Measures)))
			}
			b.WriteString(" |")
		}
		b.WriteString("\n")
	}
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
