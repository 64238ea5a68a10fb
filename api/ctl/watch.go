package ctl

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/peerage/peerage/api"
)

func (a *app) watchCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "watch",
		Short: "Print a line for every change of the site's state, as it happens",
		Long: `Print a line for every change of the site's state, as it happens: servers,
announcements, load balancers, the leader. With -o json each line is the whole
status.`,
		Example: "  peeragectl watch\n  peeragectl watch -o json | jq -c '.pools[].serving'",
		Args:    cobra.NoArgs,
		RunE: a.run(func(ctx context.Context, _ []string) error {
			c, err := a.api()
			if err != nil {
				return err
			}
			before := map[string]string{}
			for st, err := range c.WatchStatus(ctx) {
				if err != nil {
					return ended(ctx, err)
				}
				if a.printer.machine() {
					if err := a.printer.line(st); err != nil {
						return err
					}
					continue
				}
				now := facts(st)
				for _, line := range differences(before, now) {
					a.printer.printf("%s  %s\n", moment(st.At), line)
				}
				before = now
			}
			return nil
		}),
	}
}

// facts are the states that people follow, by what they are of.
func facts(st *api.Status) map[string]string {
	f := map[string]string{"leader": orNobody(st.Leader)}
	if st.Store.Stale != "" {
		f["store"] = "stale: " + st.Store.Stale
	}
	for _, lb := range st.LoadBalancers {
		f[lb.Name] = map[bool]string{true: "alive", false: "not alive"}[lb.Live]
		for _, p := range lb.Peers {
			f[lb.Name+" to "+p.Name] = strings.TrimSuffix(orNone(p.State)+", BFD "+p.BFD, ", BFD ")
		}
	}
	for _, p := range st.Pools {
		f["pool "+p.Name] = fmt.Sprintf("generation %d", p.Generation)
		if p.Held != nil {
			f["pool "+p.Name] += ", held back by " + p.Held.Guard
		}
		for _, lb := range p.LBs {
			if lb.Reported {
				f[lb.LB+" in "+p.Name] = fmt.Sprintf("generation %d, table %s", lb.Generation, lb.Fingerprint)
			}
		}
		for _, v := range p.VIPs {
			for _, lb := range v.LBs {
				f[fmt.Sprintf("%s on %s", v.VIP, lb.LB)] = map[bool]string{true: fmt.Sprintf("announced, MED %d", lb.MED), false: "not announced" + suffix(lb.Reason)}[lb.Announced]
			}
		}
		for _, m := range p.Servers {
			f[m.Server+" in "+p.Name] = fmt.Sprintf("%s, weight %s%s", orNone(string(m.State)), weight(m), suffix(m.Reason))
		}
	}
	return f
}

func orNobody(s string) string {
	if s == "" {
		return "nobody"
	}
	return s
}

// differences lists what changed between two sets of facts, sorted.
func differences(before, now map[string]string) []string {
	var lines []string
	for what, is := range now {
		switch was, known := before[what]; {
		case !known:
			lines = append(lines, what+": "+is)
		case was != is:
			lines = append(lines, fmt.Sprintf("%s: %s -> %s", what, was, is))
		}
	}
	for what, was := range before {
		if _, still := now[what]; !still {
			lines = append(lines, fmt.Sprintf("%s: %s -> gone", what, was))
		}
	}
	slices.Sort(lines)
	return lines
}
