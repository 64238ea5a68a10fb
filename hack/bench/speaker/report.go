package speaker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
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
	Rows        []Row     `json:"rows"`
}

// Row is one speaker at one work.
type Row struct {
	Work    string `json:"work"`
	Engine  string `json:"engine"`
	Version string `json:"version"`
	Load    Load   `json:"load"`
	// Measures are the medians of Runs, each for itself.
	Measures Measures   `json:"median"`
	Runs     []Measures `json:"runs,omitempty"`
	// Error is why the speaker failed; there may be runs before.
	Error string `json:"error,omitempty"`
}

// put adds a row in the place of an older one of the same work.
func (r *Report) put(row Row) {
	for i := range r.Rows {
		if o := &r.Rows[i]; o.Work == row.Work && o.Engine == row.Engine && o.Load == row.Load {
			*o = row
			return
		}
	}
	r.Rows = append(r.Rows, row)
}

// of lists the rows of a work, by load in the order of the report.
func (r *Report) of(work string) (rows []*Row) {
	var loads []Load
	by := map[Load][]*Row{}
	for i := range r.Rows {
		if row := &r.Rows[i]; row.Work == work {
			if by[row.Load] == nil {
				loads = append(loads, row.Load)
			}
			by[row.Load] = append(by[row.Load], row)
		}
	}
	for _, l := range loads {
		for _, name := range engines() {
			for _, row := range by[l] {
				if row.Engine == name {
					rows = append(rows, row)
				}
			}
		}
	}
	return rows
}

// find is the row of an engine that did not fail, or nil.
func (r *Report) find(work, engine string, l Load) *Row {
	for i := range r.Rows {
		if row := &r.Rows[i]; row.Work == work && row.Engine == engine && row.Load == l && row.Error == "" {
			return row
		}
	}
	return nil
}

func load(dir string) (*Report, error) {
	r := &Report{}
	text, err := os.ReadFile(filepath.Join(dir, "speaker.json"))
	if errors.Is(err, os.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	return r, json.Unmarshal(text, r)
}

// write prints the report, and keeps it where it is asked to.
func (r *Report) write(out io.Writer, results, docs string) error {
	fmt.Fprintln(out)
	if err := r.Markdown(out); err != nil {
		return err
	}
	if results != "" {
		if err := result.Save(results, "speaker", r); err != nil {
			return err
		}
	}
	if docs == "" {
		return nil
	}
	var b bytes.Buffer
	if err := r.performance(&b); err != nil {
		return err
	}
	return errors.Join(os.WriteFile(filepath.Join(docs, "performance.md"), b.Bytes(), 0o644), r.draw(docs))
}

// line is one run for people who wait.
func (m *Measures) line() string {
	switch {
	case m.KiBPerSession > 0 || m.Up > 0:
		return fmt.Sprintf("all up in %.2f s (%.2f s of CPU), %.1f KiB each, idle %.2f %% of a core", m.Up, m.CPU, m.KiBPerSession, m.IdlePercent)
	case m.LookupSession > 0:
		return fmt.Sprintf("%.0f ns for one session, %.0f ns for %d, %.0f ns for all", m.LookupSession, m.LookupCustomer, perCustomer, m.LookupAll)
	case m.BytesPerRoute > 0:
		return fmt.Sprintf("%.1f s, %.1f s of CPU, %.0f MiB, %.1f bytes a route, asked %.2f ms", m.Wall, m.CPU, m.ResidentMiB, m.BytesPerRoute, 1000*m.Asked)
	}
	text := fmt.Sprintf("%.2f s, %.2f s of CPU (generator %.2f, others %.1f CPUs), peak %.0f MiB, %.1f prefixes an UPDATE", m.Wall, m.CPU, m.GeneratorCPU, m.Others, m.PeakMiB, m.PerUpdate)
	if m.DownWall > 0 {
		text += fmt.Sprintf("; best feed down %.2f s, up %.2f s", m.DownWall, m.UpWall)
	}
	return text
}
