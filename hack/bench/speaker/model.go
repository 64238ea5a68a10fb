package speaker

import (
	"fmt"
	"math"
	"strings"
)

// model is the universal scalability law (Gunther): with n cores the speed is
// n/(1 + σ(n-1) + κn(n-1)) times that of one. σ is what cannot be done at the
// same time, κ what cores cost one another.
type model struct{ sigma, kappa float64 }

// fit takes the two parameters from runs with one and two cores. The growth of
// processor time is work that one core did not have: 2κ. The rest of what is
// missing of twice the speed is σ. The generator runs on the same two
// processors: beside one busy core it has the other one, beside two busy ones
// its time is taken from them, so that half of it is no part of our wall time.
func fit(one, two *Measures) (m model, speedup float64, ok bool) {
	alone := two.Wall - two.GeneratorCPU/2
	if one.Wall <= 0 || one.CPU <= 0 || alone <= 0 {
		return model{}, 0, false
	}
	speedup = one.Wall / alone
	m.kappa = math.Max(0, two.CPU/one.CPU-1) / 2
	m.sigma = math.Min(1, math.Max(0, 2/speedup-1-2*m.kappa))
	return m, speedup, true
}

func (m model) speedup(n float64) float64 {
	return n / (1 + m.sigma*(n-1) + m.kappa*n*(n-1))
}

// best is the number of cores beyond which more do not help.
func (m model) best() float64 {
	if m.kappa == 0 {
		return math.Inf(1)
	}
	return math.Sqrt((1 - m.sigma) / m.kappa)
}

// scaling are the two rows that the model is fitted to.
func (r *Report) scaling() (one, two *Row) {
	for _, row := range r.of("scale") {
		switch {
		case row.Error != "":
		case row.Load.Cores == 1:
			one = row
		case row.Load.Cores == 2:
			two = row
		}
	}
	return one, two
}

// quickest is the run that others disturbed least.
func (row *Row) quickest() *Measures {
	best := &row.Measures
	for i := range row.Runs {
		if m := &row.Runs[i]; i == 0 || m.Wall < best.Wall {
			best = m
		}
	}
	return best
}

func (r *Report) modelText(level int) string {
	rowOne, rowTwo := r.scaling()
	if rowOne == nil || rowTwo == nil {
		return ""
	}
	one, two := rowOne.quickest(), rowTwo.quickest()
	m, corrected, ok := fit(one, two)
	if !ok {
		return ""
	}
	best := "no number of cores is too many"
	if n := m.best(); !math.IsInf(n, 1) {
		best = fmt.Sprintf("speed is greatest with %.0f cores", n)
	}
	return fmt.Sprintf(`
%s A model of more cores

From one to two cores the wall time of the quickest runs falls %.2f×, and %.2f× when the generator's share of the two processors is taken off.
The universal scalability law, speed(n) = n / (1 + σ(n−1) + κn(n−1)), with σ = %.3f and κ = %.4f fits both runs (κ from the growth
of processor time, σ from the rest). It says: 4 cores %.1f×, 8 cores %.1f×, 16 cores %.1f×, 24 cores %.1f×; %s.
Two points make a model, not a measurement: run the benchmark on the machine that matters.
`, strings.Repeat("#", level), one.Wall/two.Wall, corrected, m.sigma, m.kappa,
		m.speedup(4), m.speedup(8), m.speedup(16), m.speedup(24), best)
}
