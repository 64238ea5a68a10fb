package speaker

import (
	"fmt"
	"strings"
)

// target is a value to reach, beside what was measured.
type target struct {
	work, what, want, got string
	state                 string // met, missed, or not measured
}

// targets compares the report with what our speaker is meant to reach.
func (r *Report) targets() (all []target) {
	add := func(work, what, want, got string, measured, met bool) {
		state := map[bool]string{true: "met", false: "**missed**"}[met]
		if !measured {
			got, state = "–", "not measured"
		}
		all = append(all, target{work, what, want, got, state})
	}
	const least = 8.0 // times
	times := func(work, what string, value func(*Measures) float64) {
		us, them := r.pair(work)
		q, ok := quotient(us, them, value)
		if ok { // the load that both did may be smaller than what is asked for
			what += ", " + us.Load.String()
		}
		add(work, what, fmt.Sprintf("≥ %g×", least), fmt.Sprintf("%.1f×", q), ok, q >= least)
	}
	for _, work := range []string{"reflect", "rr"} {
		times(work, "BIRD's CPU over ours", func(m *Measures) float64 { return m.CPU })
		times(work, "BIRD's wall time over ours", func(m *Measures) float64 { return m.Wall })
	}
	us, them := r.pair("reflect")
	q, ok := quotient(us, them, func(m *Measures) float64 { return m.PeakMiB })
	add("reflect", "our peak memory over BIRD's", "≤ 0.5×", fmt.Sprintf("%.2f×", 1/max(q, 1e-9)), ok, q >= 2)
	times("flap", "best feed down: BIRD's wall time over ours", func(m *Measures) float64 { return m.DownWall })
	times("flap", "best feed up: BIRD's wall time over ours", func(m *Measures) float64 { return m.UpWall })

	most := func(work, what, unit string, limit float64, row *Row, value func(*Measures) float64) {
		v := 0.0
		if row != nil {
			v = value(&row.Measures)
		}
		add(work, what, fmt.Sprintf("≤ %g %s", limit, unit), digits(v)+" "+unit, row != nil, v <= limit)
	}
	most("collect", "100 feeds × 1 M prefixes, all but the next hop shared: memory in all", "GB", 2.5,
		r.find("collect", ours, Load{Feeds: 100, Prefixes: 1_000_000, Sharing: shareHop}), func(m *Measures) float64 { return m.ResidentMiB * (1 << 20) / 1e9 })
	for _, l := range []Load{{Feeds: 100, Prefixes: 1_000_000}, {Feeds: 10, Prefixes: 100_000}} {
		most("lookup", l.String()+": one session's longest match, in the table", "ns", 500, r.find("lookup", ours, l), func(m *Measures) float64 { return m.LookupSession })
	}
	for _, n := range []int{1000, 5000} {
		row := r.find("idle", ours, Load{Idle: n})
		most("idle", fmt.Sprintf("%d sessions: memory of each", n), "KiB", 8, row, func(m *Measures) float64 { return m.KiBPerSession })
		most("idle", fmt.Sprintf("%d sessions: idle CPU", n), "% of a core", 1, row, func(m *Measures) float64 { return m.IdlePercent })
	}
	most("idle", "5000 sessions: until all are up", "s", 2, r.find("idle", ours, Load{Idle: 5000}), func(m *Measures) float64 { return m.Up })
	return all
}

// digits writes three digits that count, and never an exponent.
func digits(v float64) string {
	if v >= 1000 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// pair is our row and BIRD's of the first load of a work that both did.
func (r *Report) pair(work string) (us, them *Row) {
	for _, row := range r.of(work) {
		if row.Engine != ours {
			continue
		}
		us, them = r.find(work, ours, row.Load), r.find(work, reference, row.Load)
		if us != nil && them != nil {
			return us, them
		}
	}
	return nil, nil
}

func quotient(us, them *Row, value func(*Measures) float64) (float64, bool) {
	if us == nil || them == nil || value(&us.Measures) <= 0 {
		return 0, false
	}
	return value(&them.Measures) / value(&us.Measures), true
}

func (r *Report) targetTable() string {
	var b strings.Builder
	b.WriteString("\n| work | measure | target | measured | |\n|---|---|---|---|---|\n")
	for _, t := range r.targets() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", t.work, t.what, t.want, t.got, t.state)
	}
	return b.String()
}
