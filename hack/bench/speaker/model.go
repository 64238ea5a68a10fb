package speaker

import (
	"fmt"
	"slices"
	"strings"
)

// model says how much faster n cores are than one. Two things hold them back:
// what only one can do at a time (Amdahl's law), and that routes which are
// divided among more shards and workers are more work in all. The second can be
// measured without the cores.
type model struct {
	serial float64 // share of the work that only one core can do at a time
	costs  []cost  // by number of shards, from few to many
}

// cost is how much more processor time the same work takes when it is divided
// into so many shards: 0.1 is a tenth more.
type cost struct {
	shards int
	more   float64
}

// fit takes the serial share from runs with one and two cores. The generator
// runs on the same two processors: beside one busy core it has the other one,
// beside two busy ones its time is taken from them, so that half of it is no
// part of our wall time. All that is missing of twice the speed then counts as
// serial, also what shared caches and memory cost.
func fit(one, two *Measures) (m model, speedup float64, ok bool) {
	alone := two.Wall - two.GeneratorCPU/2
	if one.Wall <= 0 || alone <= 0 {
		return model{}, 0, false
	}
	speedup = one.Wall / alone
	m.serial = min(1, max(0, 2/speedup-1))
	return m, speedup, true
}

// speedup with n cores, shards and workers.
func (m model) speedup(n int) float64 {
	return float64(n) / (1 + m.serial*float64(n-1)) / (1 + m.more(n))
}

// more is the cost of n shards, along a line between those that were measured.
func (m model) more(n int) float64 {
	last := cost{shards: 2}
	for _, c := range m.costs {
		if n <= c.shards {
			part := float64(max(n-last.shards, 0)) / float64(c.shards-last.shards)
			return last.more + part*(c.more-last.more)
		}
		last = c
	}
	return last.more
}

// scaling are the rows that the model is fitted to: one core, two, and two with
// more shards than cores.
func (r *Report) scaling() (one, two *Row, divided []*Row) {
	for _, row := range r.of("scale") {
		switch {
		case row.Error != "":
		case row.Load.Cores == 1:
			one = row
		case row.Load.Shards == 0:
			two = row
		default:
			divided = append(divided, row)
		}
	}
	slices.SortFunc(divided, func(a, b *Row) int { return a.Load.Shards - b.Load.Shards })
	return one, two, divided
}

func (r *Report) modelText(level int) string {
	one, two, divided := r.scaling()
	if one == nil || two == nil || two.Measures.CPU <= 0 {
		return ""
	}
	m, speedup, ok := fit(&one.Measures, &two.Measures)
	if !ok {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, `
%s A model of more cores

From one to two cores the wall time falls %.2f×, and %.2f× when the generator's share of the two processors is taken off. Amdahl's law
takes %.1f %% of the work as serial from that, shared caches and memory included`,
		strings.Repeat("#", level), one.Measures.Wall/two.Measures.Wall, speedup, 100*m.serial)
	if m.serial > 0 {
		fmt.Fprintf(&b, ": no number of\ncores is more than %.0f times as fast as one", 1/m.serial)
	}
	b.WriteString(". Work that is divided further is more work:\n")
	for _, row := range divided {
		c := cost{row.Load.Shards, max(0, row.Measures.CPU/two.Measures.CPU-1)}
		m.costs = append(m.costs, c)
		fmt.Fprintf(&b, "%d shards and workers take %.0f %% more processor time than two on the same two cores.\n", c.shards, 100*c.more)
	}
	b.WriteString("\n| cores | 2 | 4 | 8 | 16 | 24 |\n|---|---|---|---|---|---|\n| times as fast as one |")
	for _, n := range []int{2, 4, 8, 16, 24} {
		fmt.Fprintf(&b, " %.1f |", m.speedup(n))
	}
	b.WriteString("\n\nA model from two cores is no measurement of 24: run the benchmark on the machine that matters.\n")
	return b.String()
}
