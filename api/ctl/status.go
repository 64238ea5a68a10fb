package ctl

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/peerage/peerage/api"
)

func (a *app) statusCommand() *cobra.Command {
	var watch bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the whole site at a glance, and what is wrong with it",
		Long: `Show which load balancers run which generation, which VIPs are announced by
whom, every real server's state, weight and sessions, and why it is not serving.
-o json has more: it is the API's own structure.`,
		Example: "  peeragectl status\n  peeragectl status --watch\n  peeragectl status -o json | jq -r '.warnings[].code'",
		Args:    cobra.NoArgs,
		RunE: a.run(func(ctx context.Context, _ []string) error {
			c, err := a.api()
			if err != nil {
				return err
			}
			if !watch {
				st, err := c.Status(ctx)
				if err != nil {
					return err
				}
				return a.printStatus(st)
			}
			first := true
			for st, err := range c.WatchStatus(ctx) {
				if err != nil {
					return ended(ctx, err)
				}
				if err := a.again(st, first); err != nil {
					return err
				}
				first = false
			}
			return nil
		}),
	}
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "print it again whenever it changes")
	return cmd
}

// ended is the outcome of a command that follows until it is interrupted.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// again prints a status that follows another.
func (a *app) again(st *api.Status, first bool) error {
	if a.printer.machine() {
		return a.printer.line(st)
	}
	switch {
	case a.printer.colour:
		a.printer.printf("\x1b[H\x1b[2J") // home, clear
	case !first:
		a.printer.printf("\n")
	}
	a.printer.printf("%s\n", moment(st.At))
	return a.printStatus(st)
}

func (a *app) printStatus(st *api.Status) error {
	if a.printer.machine() {
		return a.printer.value(st)
	}
	p := a.printer
	p.headline(st)
	p.section(p.poolTable(st))
	p.section(p.lbTable(st))
	p.section(p.vipTable(st))
	p.section(p.memberTable(st))
	p.warningLines(st)
	return nil
}

func (p *printer) headline(st *api.Status) {
	leader := st.Leader
	if leader == "" {
		leader = p.paint(red, "none")
	}
	p.printf("leader %s, %s; store %s at revision %d\n", leader, count(len(st.Controllers), "controller"), st.Store.ClusterID, st.Store.Revision)
	if st.Store.Stale != "" {
		since := ""
		if !st.Store.StaleSince.IsZero() {
			since = " for " + age(st.At, st.Store.StaleSince)
		}
		p.printf("%s%s: %s\n", p.paint(red, "STALE"), since, st.Store.Stale)
	}
}

// section prints a table unless it is empty.
func (p *printer) section(t *table) {
	if len(t.rows) == 0 {
		return
	}
	p.printf("\n")
	p.print(t)
}

func (p *printer) poolTable(st *api.Status) *table {
	t := &table{head: []string{"POOL", "GENERATION", "TABLE", "AGREE", "SERVING", "SESSIONS", "HELD"}}
	for _, pool := range st.Pools {
		held := ""
		if pool.Held != nil {
			held = pool.Held.Guard + ": " + pool.Held.Reason
		}
		serving := fmt.Sprintf("%d/%d", pool.Serving, pool.Members)
		t.add(pool.Name, pool.Generation, pool.Fingerprint, yesNo(pool.Agree), serving, pool.Sessions, cell{held, red})
	}
	return t
}

func yesNo(yes bool) cell {
	if yes {
		return cell{"yes", green}
	}
	return cell{"no", red}
}

func (p *printer) lbTable(st *api.Status) *table {
	t := &table{head: []string{"LB", "ALIVE", "FABRIC", "POOL", "GENERATION", "TABLE", "AGREES", "WARM", "TOOK", "DRIFT", "VERSION"}}
	for _, lb := range st.LoadBalancers {
		rows := 0
		for _, pool := range st.Pools {
			i := slices.IndexFunc(pool.LBs, func(l api.PoolLB) bool { return l.LB == lb.Name })
			if i < 0 {
				continue
			}
			rows++
			l := pool.LBs[i]
			if !l.Reported {
				t.add(lb.Name, yesNo(lb.Live), fabric(lb.Peers), pool.Name, "", "", cell{"no", red}, "", "", "", lb.Version)
				continue
			}
			t.add(lb.Name, yesNo(lb.Live), fabric(lb.Peers), pool.Name, l.Generation, l.Fingerprint, yesNo(l.Agrees), yesNo(l.Warm), l.Took, l.Drift, lb.Version)
		}
		if rows == 0 {
			t.add(lb.Name, yesNo(lb.Live), fabric(lb.Peers), "", "", "", "", "", "", "", lb.Version)
		}
	}
	return p.columns(t, "TABLE", "TOOK", "DRIFT", "VERSION")
}

// fabric sums up the sessions of an LB: how many are up, and BFD.
func fabric(peers []api.PeerStatus) cell {
	if len(peers) == 0 {
		return cell{}
	}
	up, bfd, withBFD := 0, 0, 0
	if !slices.ContainsFunc(peers, func(s api.PeerStatus) bool { return s.State != "" }) {
		return cell{"unknown", red}
	}
	for _, s := range peers {
		if s.Up() {
			up++
		}
		if s.BFD != "" {
			withBFD++
		}
		if s.BFD == "Up" {
			bfd++
		}
	}
	c := cell{fmt.Sprintf("%d/%d up", up, len(peers)), green}
	if withBFD > 0 {
		c.text += fmt.Sprintf(", BFD %d/%d", bfd, withBFD)
	}
	if up < len(peers) || bfd < withBFD {
		c.colour = red
	}
	return c
}

func (p *printer) vipTable(st *api.Status) *table {
	t := &table{head: []string{"VIP", "POOL", "ANNOUNCED BY", "NOT BY"}}
	for _, pool := range st.Pools {
		for _, v := range pool.VIPs {
			var by, not []string
			for _, lb := range v.LBs {
				if !lb.Announced {
					not = append(not, lb.LB+suffix(lb.Reason))
					continue
				}
				text := fmt.Sprintf("%s (MED %d", lb.LB, lb.MED)
				if lb.BFD != "" {
					text += ", BFD " + lb.BFD
				}
				by = append(by, text+")")
			}
			announced := cell{strings.Join(by, ", "), green}
			if len(by) == 0 {
				announced = cell{"nobody", red}
			}
			t.add(v.VIP, pool.Name, announced, cell{strings.Join(not, "; "), yellow})
		}
	}
	return t
}

func suffix(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

func stateColour(s api.ServerState) string {
	switch s {
	case api.ServerServing:
		return green
	case api.ServerDepooled, api.ServerJoining:
		return yellow
	}
	return red
}

func (p *printer) memberTable(st *api.Status) *table {
	t := &table{head: []string{"SERVER", "POOL", "STATE", "SINCE", "WEIGHT", "SESSIONS", "PATHS", "RTT", "SPEAKER", "WHY"}}
	for _, pool := range st.Pools {
		for _, m := range pool.Servers {
			state := cell{string(m.State), stateColour(m.State)}
			since := ""
			if !m.Since.IsZero() {
				since = age(st.At, m.Since)
			}
			sessions, engine := "", ""
			if m.Speaker != nil {
				sessions, engine = fmt.Sprint(m.Speaker.Established), m.Speaker.Engine
			}
			t.add(m.Server, pool.Name, state, since, weight(m), sessions, paths(m), rtt(m), engine, why(st, m))
		}
	}
	return p.columns(t, "RTT", "SPEAKER")
}

// weight is the effective weight, and the nominal one where they differ.
func weight(m api.MemberStatus) string {
	if m.Weight == m.Nominal {
		return fmt.Sprint(m.Weight)
	}
	return fmt.Sprintf("%d of %d", m.Weight, m.Nominal)
}

func paths(m api.MemberStatus) cell {
	ok := 0
	for _, path := range m.Paths {
		if path.OK {
			ok++
		}
	}
	c := cell{text: fmt.Sprintf("%d/%d", ok, len(m.Paths))}
	if ok < len(m.Paths) {
		c.colour = red
	}
	if len(m.Paths) == 0 {
		c.text = ""
	}
	return c
}

func rtt(m api.MemberStatus) string {
	var worst api.Duration
	for _, path := range m.Paths {
		worst = max(worst, path.RTT)
	}
	if worst == 0 {
		return ""
	}
	return worst.String()
}

// why says why a server is not serving, or what is odd about it.
func why(st *api.Status, m api.MemberStatus) string {
	text := m.Reason
	i := slices.IndexFunc(st.RealServers, func(r api.RealServerStatus) bool { return r.Name == m.Server })
	if i >= 0 {
		if d := st.RealServers[i].Depooled; d != nil && !d.Until.IsZero() {
			text += " (until " + moment(d.Until) + ")"
		}
	}
	if !m.Live {
		text = strings.TrimPrefix(text+"; peerage-realserver is not alive", "; ")
	}
	return text
}

func (p *printer) warningLines(st *api.Status) {
	if len(st.Warnings) == 0 {
		p.printf("\n%s\n", p.paint(green, "everything is as it should be"))
		return
	}
	p.printf("\n")
	colours := map[api.Severity]string{api.SeverityError: red, api.SeverityWarning: yellow, api.SeverityNotice: faint}
	for _, w := range st.Warnings {
		object := ""
		if w.Object != "" {
			object = w.Object + ": "
		}
		p.printf("%s %s%s\n", p.paint(colours[w.Severity], fmt.Sprintf("%-7s", w.Severity)), object, w.Message)
	}
}

// age is how long ago something was, in one or two units.
func age(now, then time.Time) string {
	d := max(now.Sub(then), 0)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd", int(d.Hours())/24)
}
