package ctl

import (
	"context"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/client"
)

// routeFlags are those of announce and withdraw.
type routeFlags struct {
	verbFlags
	customer, session  string
	all                bool
	nextHop            string
	communities, large []string
	med, localPref     uint32
}

func (f *routeFlags) target(a *app, cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.customer, "customer", "", "every session of the customer of that `name`")
	cmd.Flags().StringVar(&f.session, "session", "", "the sessions of the router with that `address`")
	cmd.Flags().BoolVar(&f.all, "all", false, "every session of every customer")
	cmd.MarkFlagsMutuallyExclusive("customer", "session", "all")
	cmd.MarkFlagsOneRequired("customer", "session", "all")
	if err := cmd.RegisterFlagCompletionFunc("customer", func(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return a.names(cmd, api.KindCustomer), cobra.ShellCompDirectiveNoFileComp
	}); err != nil {
		panic(err) // the flag is defined above
	}
}

// request reads what identifies a route, and what all route verbs have.
func (f *routeFlags) request(prefix string) (r api.RouteRequest, err error) {
	v, err := f.verbFlags.request()
	if err != nil {
		return r, err
	}
	r = api.RouteRequest{Reason: v.Reason, Until: v.Until, For: v.For, AcceptRisk: v.AcceptRisk, DryRun: v.DryRun,
		Target: api.RouteTarget{All: f.all, Customer: f.customer}}
	if r.Prefix, err = netip.ParsePrefix(prefix); err != nil {
		return r, usage("%q is not a prefix; write one such as 192.0.2.1/32, 2001:db8::/48 or 0.0.0.0/0", prefix)
	}
	if f.session != "" {
		if r.Target.Session, err = netip.ParseAddr(f.session); err != nil {
			return r, usage("--session %q is not an address; write that of a customer's router", f.session)
		}
	}
	return r, nil
}

// attributes reads what is sent with the prefix.
func (f *routeFlags) attributes(cmd *cobra.Command, r *api.RouteRequest) (err error) {
	if r.NextHop, err = netip.ParseAddr(f.nextHop); err != nil {
		return usage("--next-hop %q is not an address; write one of the prefix's family", f.nextHop)
	}
	r.Communities, r.LargeCommunities = f.communities, f.large
	if cmd.Flags().Changed("med") {
		r.MED = &f.med
	}
	if cmd.Flags().Changed("local-pref") {
		r.LocalPref = &f.localPref
	}
	return nil
}

func (a *app) announceCommand() *cobra.Command {
	var f routeFlags
	cmd := &cobra.Command{
		Use:   "announce PREFIX --next-hop ADDR --customer NAME|--session ADDR|--all --reason WHY",
		Short: "Send a route to customers, until it is withdrawn or ends by itself",
		Long: `Send a route to the sessions of one customer, of one router, or of all. Whichever
real server holds a session sends it, now and after every reconnect. The same
prefix to the same target replaces what was sent before.

PREFIX is any unicast prefix, also 0.0.0.0/0. A community is AS:VALUE or one of
blackhole (65535:666), no-export, no-advertise, no-peer.`,
		Example: `  peeragectl announce 192.0.2.1/32 --next-hop 198.51.100.1 --customer acme \
      --community blackhole --reason "attack, ticket 4711" --for 1h
  peeragectl announce 0.0.0.0/0 --next-hop 198.51.100.1 --session 192.0.2.129 --reason "leased line down"
  peeragectl get routes`,
		Args: cobra.ExactArgs(1),
	}
	cmd.RunE = a.run(func(ctx context.Context, args []string) error {
		r, err := f.request(args[0])
		if err != nil {
			return err
		}
		if r.Reason == "" {
			return usage("Route/%s: announce needs a reason; say why with --reason, colleagues see it in get routes", args[0])
		}
		if err := f.attributes(cmd, &r); err != nil {
			return err
		}
		return a.route(ctx, r, (*client.Client).Announce)
	})
	f.target(a, cmd)
	f.add(cmd)
	f.ends(cmd)
	cmd.Flags().StringVar(&f.nextHop, "next-hop", "", "`address` of the prefix's family")
	cmd.Flags().StringSliceVar(&f.communities, "community", nil, "`AS:VALUE` or a well-known name; may be repeated")
	cmd.Flags().StringSliceVar(&f.large, "large-community", nil, "`A:B:C`; may be repeated")
	cmd.Flags().Uint32Var(&f.med, "med", 0, "multi-exit discriminator; default: none is sent")
	cmd.Flags().Uint32Var(&f.localPref, "local-pref", 100, "local preference, sent to internal sessions")
	if err := cmd.MarkFlagRequired("next-hop"); err != nil {
		panic(err) // the flag is defined above
	}
	if err := cmd.RegisterFlagCompletionFunc("community", cobra.FixedCompletions(api.CommunityNames(), cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // the flag is defined above
	}
	return cmd
}

func (a *app) withdrawCommand() *cobra.Command {
	var f routeFlags
	cmd := &cobra.Command{
		Use:     "withdraw PREFIX --customer NAME|--session ADDR|--all",
		Short:   "Take back a route that was announced",
		Example: "  peeragectl withdraw 192.0.2.1/32 --customer acme --reason \"attack is over\"\n  peeragectl withdraw 0.0.0.0/0 --session 192.0.2.129",
		Args:    cobra.ExactArgs(1),
		RunE: a.run(func(ctx context.Context, args []string) error {
			r, err := f.request(args[0])
			if err != nil {
				return err
			}
			return a.route(ctx, r, (*client.Client).Withdraw)
		}),
	}
	f.target(a, cmd)
	cmd.Flags().StringVar(&f.reason, "reason", "", "`why`, for the audit trail")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "change nothing, and say what would be done")
	return cmd
}

func (a *app) route(ctx context.Context, r api.RouteRequest, do func(*client.Client, context.Context, api.RouteRequest) (*api.RouteResult, error)) error {
	c, err := a.api()
	if err != nil {
		return err
	}
	out, err := do(c, ctx, r)
	if err != nil {
		return err
	}
	if a.printer.machine() {
		return a.printer.value(out)
	}
	word, colour := "unchanged", faint
	if out.Changed {
		word, colour = "changed  ", yellow
	}
	a.printer.printf("%s Route/%s to %s: %s%s\n", a.printer.paint(colour, word), r.Prefix, r.Target, routeText(out.After), dryRun(out.DryRun))
	return nil
}

// routeText says what is sent, who wants it and until when.
func routeText(r *api.RouteIntent) string {
	if r == nil {
		return "not announced"
	}
	text := "announced by " + r.NextHop.String()
	if c := communityTexts(r); c != "" {
		text += " with " + c
	}
	return text + " by " + markText(&r.Mark)
}

func communityTexts(r *api.RouteIntent) string {
	var all []string
	for _, c := range r.Communities {
		all = append(all, api.CommunityName(c))
	}
	return strings.Join(append(all, r.LargeCommunities...), ",")
}

// getRoutes lists what is announced to customers.
func (a *app) getRoutes(ctx context.Context) error {
	c, err := a.api()
	if err != nil {
		return err
	}
	routes, err := c.Routes(ctx)
	if err != nil {
		return err
	}
	if a.printer.machine() {
		return a.printer.value(orEmpty(routes))
	}
	if len(routes) == 0 {
		a.printer.printf("no route is announced\n")
		return nil
	}
	a.printer.print(a.printer.columns(announcedTable(routes), "MED", "LOCAL-PREF"))
	return nil
}

func announcedTable(routes []api.RouteIntent) *table {
	t := &table{head: []string{"PREFIX", "TO", "NEXT-HOP", "COMMUNITIES", "MED", "LOCAL-PREF", "UNTIL", "BY", "WHY"}}
	for _, r := range routes {
		until := ""
		if !r.Until.IsZero() {
			until = moment(r.Until)
		}
		t.add(r.Prefix, r.Target, r.NextHop, communityTexts(&r), number(r.MED), number(r.LocalPref), until, r.By, r.Reason)
	}
	return t
}

func number(v *uint32) any {
	if v == nil {
		return ""
	}
	return *v
}
