package speaker

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/peerage/peerage/hack/bench/plot"
)

// picture is a chart with the name of its file.
type picture struct {
	name  string
	chart plot.Chart
}

// pictures are what can be drawn of what was measured.
func (r *Report) pictures() (all []picture) {
	add := func(name, title, x, y, work string, at func(*Load) float64, value func(*Measures) float64) {
		c := plot.Chart{Title: title, X: x, Y: y}
		for _, engine := range engines() {
			l := plot.Line{}
			for _, row := range r.of(work) {
				if row.Engine == engine && row.Error == "" {
					l.Name = row.Version
					l.Points = append(l.Points, plot.Point{X: at(&row.Load), Y: value(&row.Measures)})
				}
			}
			if len(l.Points) > 1 {
				c.Lines = append(c.Lines, l)
			}
		}
		if len(c.Lines) > 0 {
			all = append(all, picture{"speaker-" + name + ".svg", c})
		}
	}
	routes := func(l *Load) float64 { return float64(l.Feeds * l.Prefixes) }
	sessions := func(l *Load) float64 { return float64(l.Idle) }
	cpu := func(m *Measures) float64 { return m.CPU }
	add("routes-cpu", "Route reflection: processor time by routes", "routes of all feeds", "CPU s", "routes", routes, cpu)
	add("routes-memory", "Route reflection: memory by routes", "routes of all feeds", "peak MiB", "routes", routes, func(m *Measures) float64 { return m.PeakMiB })
	add("sessions-cpu", "Route reflection beside idle sessions", "idle sessions", "CPU s", "sessions", sessions, cpu)
	add("idle-memory", "Memory of idle sessions", "idle sessions", "MiB", "idle", sessions, func(m *Measures) float64 { return m.ResidentMiB })
	add("idle-cpu", "Processor time of idle sessions", "idle sessions", "% of a core", "idle", sessions, func(m *Measures) float64 { return m.IdlePercent })
	return all
}

// draw writes the pictures.
func (r *Report) draw(dir string) error {
	for _, p := range r.pictures() {
		f, err := os.Create(filepath.Join(dir, p.name))
		if err != nil {
			return err
		}
		if err := errors.Join(p.chart.WriteSVG(f), f.Close()); err != nil {
			return err
		}
	}
	return nil
}

const performanceIntro = `# Performance of the speaker

This page is written by ` + "`make bench BENCH=speaker`" + ` from what it measures: edit hack/bench/speaker, not this file.

Five BGP speakers do the same work in turn: Peerage's own, BIRD 2, FRR's bgpd alone, OpenBGPD and GoBGP, as their packages or the Go
module proxy have them. A generator on the same machine brings up all sessions, sends UPDATEs that were encoded before the clock starts,
and checks at every receiver that each prefix ends with the best path: a speaker that gets one wrong has failed. Feeds are internal
sessions that are not clients of the route reflector, receivers are clients. Groups of prefixes share attributes as in the Internet's
table: most have one prefix, some have two hundred, 4.3 on average; each feed sends them in an order of its own.

Processor time counts all processes of a speaker until the last receiver has the last prefix and all input was taken. A machine with
two processors is shared with the generator, so that wall time is an upper bound for all of them; compare ratios, not seconds.

`

// performance is the page of the documentation.
func (r *Report) performance(w io.Writer) error {
	text := performanceIntro + r.where() + "\n## Targets\n" + r.targetTable()
	if all := r.pictures(); len(all) > 0 {
		text += "\n## Growth\n\nCost must grow linearly with routes, and not at all with idle sessions.\n" + r.growth() + "\n"
		for _, p := range all {
			text += fmt.Sprintf("![%s](%s)\n", p.chart.Title, p.name)
		}
	}
	_, err := fmt.Fprint(w, text, r.tables(2), r.modelText(2))
	return err
}

// growth says how our processor time grows from the smallest load to the
// greatest.
func (r *Report) growth() string {
	ends := func(work string) (first, last *Row) {
		for _, row := range r.of(work) {
			if row.Engine != ours || row.Error != "" {
				continue
			}
			if first == nil {
				first = row
			}
			last = row
		}
		if first == last || first.Measures.CPU == 0 {
			return nil, nil
		}
		return first, last
	}
	var text string
	if first, last := ends("routes"); first != nil {
		text += fmt.Sprintf("Measured: %.3g times the routes take %.3g times the processor time.\n",
			float64(last.Load.Prefixes)/float64(first.Load.Prefixes), last.Measures.CPU/first.Measures.CPU)
	}
	if first, last := ends("sessions"); first != nil {
		text += fmt.Sprintf("Measured: the same work beside %d idle sessions takes %.3g times the processor time that it takes beside %d.\n",
			last.Load.Idle, last.Measures.CPU/first.Measures.CPU, first.Load.Idle)
	}
	return text
}
