package ctl

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/client"
)

// fleetFlags say which part of the fleet is asked.
type fleetFlags struct{ filter client.SessionFilter }

func (f *fleetFlags) add(a *app, cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.filter.Customer, "customer", "", "only of the customer of that `name`; POOL.NEIGHBOR for a neighbour that stands in a pool")
	cmd.Flags().StringVar(&f.filter.Pool, "pool", "", "only of the pool of that `name`")
	cmd.Flags().StringVar(&f.filter.Server, "realserver", "", "ask the real server of that `name` only")
	for flag, kind := range map[string]api.Kind{"customer": api.KindCustomer, "pool": api.KindPool, "realserver": api.KindRealServer} {
		err := cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return a.names(cmd, kind), cobra.ShellCompDirectiveNoFileComp
		})
		if err != nil {
			panic(err) // the flag is defined above
		}
	}
}

func (a *app) sessionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "session",
		Short: "Look at customers' sessions, on whichever real server they are",
		Long: `Look at customers' sessions, on whichever real server they are. A controller asks
every real server. One that does not answer is named, and the exit code is 8: what
it holds is missing from the answer.`,
		Example: "  peeragectl session list --customer acme",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.sessionListCommand(), a.sessionShowCommand(), a.sessionRoutesCommand())
	return cmd
}

func (a *app) sessionListCommand() *cobra.Command {
	var f fleetFlags
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List sessions: whose, with whom, since when, how many routes, and where",
		Example: "  peeragectl session list\n  peeragectl session list --customer acme -o wide\n  peeragectl session list --state idle --realserver rs-2",
		Args:    cobra.NoArgs,
		RunE: a.run(func(ctx context.Context, _ []string) error {
			c, err := a.api()
			if err != nil {
				return err
			}
			list, err := c.Sessions(ctx, f.filter)
			if err != nil {
				return err
			}
			if err := a.printSessions(list); err != nil {
				return err
			}
			return partial(list.Unreachable)
		}),
	}
	f.add(a, cmd)
	cmd.Flags().StringVar(&f.filter.State, "state", "", "only in this `state`, such as established")
	if err := cmd.RegisterFlagCompletionFunc("state", cobra.FixedCompletions(api.SessionStates(), cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // the flag is defined above
	}
	return cmd
}

// partial is the error of an answer in which real servers have no part.
func partial(unreachable map[string]string) error {
	if len(unreachable) == 0 {
		return nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "the answer is not complete: %s did not answer", count(len(unreachable), "real server"))
	for _, name := range slices.Sorted(maps.Keys(unreachable)) {
		fmt.Fprintf(&b, "\n  %s: %s", name, unreachable[name])
	}
	return api.WithExit(api.ExitPartial, fmt.Errorf("%s", b.String()))
}

func (a *app) printSessions(list *api.SessionList) error {
	if a.printer.machine() {
		return a.printer.value(list)
	}
	if len(list.Items) == 0 {
		a.printer.printf("no session is told of\n")
		return nil
	}
	a.printer.print(a.printer.columns(sessionTable(list.Items), "VIP", "ROUTER-ID", "HOLD", "MD5", "FLAPS"))
	return nil
}

func sessionTable(sessions []api.Session) *table {
	t := &table{head: []string{"CUSTOMER", "POOL", "PEER", "AS", "STATE", "SINCE", "ROUTES", "SERVER", "VIP", "ROUTER-ID", "HOLD", "MD5", "FLAPS", "LAST ERROR"}}
	for i := range sessions {
		s := &sessions[i]
		t.add(s.Customer, s.Pool, s.Peer.Addr(), number32(s.AS), cell{s.State, sessionColour(s.State)}, moment(s.Since), routes(s), s.Server,
			s.VIP.Addr(), orNothing(s.RouterID), s.HoldTime, yesNo(s.MD5), s.Flaps, s.LastError)
	}
	return t
}

func sessionColour(state string) string {
	if state == "established" {
		return green
	}
	return yellow
}

func number32(v uint32) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprint(v)
}

func orNothing(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// routes is how many routes a session has, of all families.
func routes(s *api.Session) string {
	var n int64
	for _, of := range s.Routes {
		n += of
	}
	if s.Dropped > 0 {
		return fmt.Sprintf("%d (%d dropped)", n, s.Dropped)
	}
	return fmt.Sprint(n)
}

func (a *app) sessionShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show ID|PEER",
		Short: "Show all that is known of the sessions of one ID, or of one router",
		Long: `Show all that is known of the sessions of one ID (POOL,VIP,PEER), or of the router
with the address PEER. A real server that a session left tells how it ended there.`,
		Example:           "  peeragectl session show 192.0.2.129\n  peeragectl session show customers,203.0.113.1,192.0.2.129 -o json",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeSessions,
		RunE: a.run(func(ctx context.Context, args []string) error {
			c, err := a.api()
			if err != nil {
				return err
			}
			list, err := c.Session(ctx, args[0])
			if err != nil {
				return err
			}
			if a.printer.machine() {
				if err := a.printer.value(list); err != nil {
					return err
				}
				return partial(list.Unreachable)
			}
			for i := range list.Items {
				if i > 0 {
					a.printer.printf("\n")
				}
				a.printSession(&list.Items[i])
			}
			return partial(list.Unreachable)
		}),
	}
}

func (a *app) printSession(s *api.Session) {
	line := func(name string, value any) {
		if text := fmt.Sprint(value); text != "" {
			a.printer.printf("%-13s %s\n", name+":", text)
		}
	}
	a.printer.printf("%s\n", a.printer.paint(bold, s.ID))
	line("customer", s.Customer)
	line("real server", s.Server)
	line("state", fmt.Sprintf("%s since %s", s.State, moment(s.Since)))
	line("router", fmt.Sprintf("%s, AS %s, router id %s", s.Peer, orDash(number32(s.AS)), orDash(orNothing(s.RouterID))))
	line("hold time", time.Duration(s.HoldTime))
	line("TCP-MD5", yesNo(s.MD5).text)
	line("families", strings.Join(s.Families, ", "))
	line("capabilities", strings.Join(s.Capabilities, ", "))
	for _, family := range slices.Sorted(maps.Keys(s.Routes)) {
		if s.Routes[family] == 0 && !slices.Contains(s.Families, family) {
			continue // the router does not speak it
		}
		line("routes", fmt.Sprintf("%d of %s", s.Routes[family], family))
	}
	if s.Dropped > 0 {
		line("dropped", fmt.Sprintf("%d routes beyond the limit", s.Dropped))
	}
	if s.Treated > 0 {
		line("malformed", fmt.Sprintf("%d updates treated as withdrawn, or with an attribute discarded", s.Treated))
	}
	line("received", messages(s.Received))
	line("sent", messages(s.Sent))
	line("flaps", s.Flaps)
	if s.LastError != "" {
		line("last error", fmt.Sprintf("%s (%s)", s.LastError, moment(s.LastErrorAt)))
	}
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func messages(m api.MessageCount) string {
	return fmt.Sprintf("%d updates, %d keepalives, %d refreshes, %d notifications, %d bytes", m.Updates, m.Keepalives, m.Refreshes, m.Notifications, m.Bytes)
}

func (a *app) sessionRoutesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "routes ID|PEER",
		Short: "Print every route that a session announced, one JSON line each",
		Long: `Print every route that a session announced, one JSON line each; with -o yaml one
document each. A stream that breaks off is an error: what came until then is not all.`,
		Example:           "  peeragectl session routes 192.0.2.129 | jq -r .prefix | sort > prefixes",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeSessions,
		RunE: a.run(func(ctx context.Context, args []string) error {
			c, err := a.api()
			if err != nil {
				return err
			}
			for r, err := range c.SessionRoutes(ctx, args[0]) {
				if err != nil {
					return err
				}
				if err := a.printer.line(r); err != nil {
					return err
				}
			}
			return nil
		}),
	}
}

// completeSessions offers the IDs of sessions.
func (a *app) completeSessions(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return ask(a, cmd, func(ctx context.Context, c *client.Client) (ids []string) {
		list, err := c.Sessions(ctx, client.SessionFilter{})
		if err != nil {
			return nil
		}
		for _, s := range list.Items {
			ids = append(ids, s.ID)
		}
		return slices.Compact(ids)
	}), cobra.ShellCompDirectiveNoFileComp
}

func (a *app) routeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "route",
		Short:   "Look at the routes that customers announced",
		Example: "  peeragectl route lookup 192.0.2.1 --customer acme",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.routeLookupCommand())
	return cmd
}

func (a *app) routeLookupCommand() *cobra.Command {
	var f fleetFlags
	var session string
	cmd := &cobra.Command{
		Use:   "lookup ADDR",
		Short: "Find the routes for an address: the longest match of each session",
		Example: `  peeragectl route lookup 192.0.2.1
  peeragectl route lookup 192.0.2.1 --customer acme -o wide
  peeragectl route lookup 2001:db8::1 --session 192.0.2.129`,
		Args: cobra.ExactArgs(1),
		RunE: a.run(func(ctx context.Context, args []string) error {
			addr, err := netip.ParseAddr(args[0])
			if err != nil {
				return usage("%q is not an address; write one such as 192.0.2.1 or 2001:db8::1", args[0])
			}
			c, err := a.api()
			if err != nil {
				return err
			}
			out, err := c.Lookup(ctx, addr, f.filter, session)
			if err != nil {
				return err
			}
			if err := a.printLookup(out); err != nil {
				return err
			}
			return partial(out.Unreachable)
		}),
	}
	f.add(a, cmd)
	cmd.Flags().StringVar(&session, "session", "", "only of the session of that `ID`, or of the router with that address")
	if err := cmd.RegisterFlagCompletionFunc("session", func(cmd *cobra.Command, _ []string, to string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return a.completeSessions(cmd, nil, to)
	}); err != nil {
		panic(err) // the flag is defined above
	}
	return cmd
}

func (a *app) printLookup(out *api.LookupResult) error {
	if a.printer.machine() {
		return a.printer.value(out)
	}
	if len(out.Items) == 0 {
		a.printer.printf("no route for %s is told of\n", out.Addr)
		return nil
	}
	t := &table{head: []string{"PREFIX", "NEXT-HOP", "AS-PATH", "CUSTOMER", "SESSION", "SERVER", "ORIGIN", "MED", "LOCAL-PREF", "COMMUNITIES", "BEST"}}
	for i := range out.Items {
		r := &out.Items[i]
		communities := slices.Concat(r.Communities, r.ExtendedCommunities, r.LargeCommunities)
		t.add(r.Prefix, r.NextHop, r.ASPath, r.Customer, r.Session, r.Server, r.Origin, number(r.MED), number(r.LocalPref), strings.Join(communities, ","), yesNo(r.Best))
	}
	a.printer.print(a.printer.columns(t, "ORIGIN", "MED", "LOCAL-PREF", "COMMUNITIES", "BEST"))
	return nil
}
