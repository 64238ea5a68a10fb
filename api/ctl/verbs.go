package ctl

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/client"
)

// verbFlags are those of depool, pool and weight.
type verbFlags struct {
	reason string
	until  string
	period time.Duration
	risks  []string
	dryRun bool
}

func (f *verbFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.reason, "reason", "", "`why`; colleagues see it in status")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "change nothing, and say what would be done")
	riskFlag(cmd, &f.risks)
}

func (f *verbFlags) ends(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&f.period, "for", 0, "take it back by itself after this `time`, such as 2h")
	cmd.Flags().StringVar(&f.until, "until", "", "take it back by itself at this `moment`, such as 2026-01-02T15:04:05Z")
	cmd.MarkFlagsMutuallyExclusive("for", "until")
}

func (f *verbFlags) request() (api.VerbRequest, error) {
	r := api.VerbRequest{Reason: f.reason, For: api.Duration(f.period), AcceptRisk: toRisks(f.risks), DryRun: f.dryRun}
	if f.until != "" {
		t, err := time.Parse(time.RFC3339, f.until)
		if err != nil {
			return r, usage("--until %q is not a moment; write one such as 2026-01-02T15:04:05Z, or use --for", f.until)
		}
		r.Until = t
	}
	return r, nil
}

// call is a verb of the client.
type call func(c *client.Client, ctx context.Context, server string, r api.VerbRequest) (*api.VerbResult, error)

func (a *app) verb(ctx context.Context, f *verbFlags, server string, weight *api.WeightValue, do call) error {
	r, err := f.request()
	if err != nil {
		return err
	}
	r.Weight = weight
	c, err := a.api()
	if err != nil {
		return err
	}
	out, err := do(c, ctx, server, r)
	if err != nil {
		return err
	}
	return a.printVerb(out)
}

func (a *app) depoolCommand() *cobra.Command {
	var f verbFlags
	cmd := &cobra.Command{
		Use:   "depool NAME --reason WHY",
		Short: "Take a real server out: no new sessions, established ones stay",
		Long: `Take a real server out of every pool. It gets no new sessions; those that it
holds stay. The configuration does not change: no apply puts it back.`,
		Example: `  peeragectl depool rs-2 --reason "kernel upgrade"
  peeragectl depool rs-2 --reason "kernel upgrade" --for 2h
  peeragectl depool rs-2 --reason "on fire" --accept-risk=over-max-depooled`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeNames(api.KindRealServer),
		RunE: a.run(func(ctx context.Context, args []string) error {
			if f.reason == "" {
				return usage("RealServer/%s: depool needs a reason; say why with --reason, colleagues see it in status", args[0])
			}
			return a.verb(ctx, &f, args[0], nil, (*client.Client).Depool)
		}),
	}
	f.add(cmd)
	f.ends(cmd)
	return cmd
}

func (a *app) poolCommand() *cobra.Command {
	var f verbFlags
	cmd := &cobra.Command{
		Use:               "pool NAME",
		Short:             "Put a real server back that was depooled",
		Example:           "  peeragectl pool rs-2",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeNames(api.KindRealServer),
		RunE: a.run(func(ctx context.Context, args []string) error {
			return a.verb(ctx, &f, args[0], nil, (*client.Client).Pool)
		}),
	}
	f.add(cmd)
	return cmd
}

func (a *app) weightCommand() *cobra.Command {
	var f verbFlags
	cmd := &cobra.Command{
		Use:   "weight NAME 1..8|reset",
		Short: "Override the configured weight of a real server",
		Long: `Override the configured weight of a real server, or go back to it. Another
weight moves the hash: some customers that reconnect meet another real server.`,
		Example:           "  peeragectl weight rs-2 4 --reason \"bigger machine\"\n  peeragectl weight rs-2 reset",
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: a.completeNames(api.KindRealServer),
		RunE: a.run(func(ctx context.Context, args []string) error {
			w, err := api.ParseWeight(args[1])
			if err != nil {
				return usage("RealServer/%s: %w", args[0], err)
			}
			return a.verb(ctx, &f, args[0], &w, (*client.Client).Weight)
		}),
	}
	f.add(cmd)
	f.ends(cmd)
	return cmd
}

func (a *app) printVerb(out *api.VerbResult) error {
	if a.printer.machine() {
		return a.printer.value(out)
	}
	word := "unchanged"
	if out.Changed {
		word = "changed  "
	}
	a.printer.printf("%s RealServer/%s: %s\n", a.printer.paint(map[bool]string{true: yellow, false: faint}[out.Changed], word), out.After.Server, wishes(out.After))
	for _, line := range effects(out.Plan) {
		a.printer.printf("%s\n", line)
	}
	a.printRefusals(out.DryRun, out.Plan)
	if out.DryRun {
		a.printer.printf("dry run: nothing was changed\n")
	}
	return nil
}

// wishes says what operators want of a server.
func wishes(i *api.ServerIntent) string {
	text := "pooled"
	if d := i.Depooled; d != nil {
		text = "depooled by " + markText(d)
	}
	if w := i.Weight; w != nil {
		text += fmt.Sprintf(", weight %d by %s", w.Value, markText(&w.Mark))
	}
	return text
}

// markText says who wants something, why and until when.
func markText(m *api.Mark) string {
	text := m.By
	if !m.Until.IsZero() {
		text += " until " + moment(m.Until)
	}
	if m.Reason != "" {
		text += ": " + m.Reason
	}
	return text
}

// moment renders a time for people.
func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }

func (a *app) storeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "store",
		Short:   "Deal with a store that was restored from a backup",
		Example: "  peeragectl store accept --accept-risk=restored-store",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var risks []string
	var reason string
	accept := &cobra.Command{
		Use:   "accept",
		Short: "Trust the store as it is now",
		Long: `Trust the store as it is now. While a store looks restored from a backup, every
node keeps what it had before. Afterwards the site becomes what the backup says.`,
		Example: "  peeragectl store accept --accept-risk=restored-store --reason \"restored last night's snapshot\"",
		Args:    cobra.NoArgs,
		RunE: a.run(func(ctx context.Context, _ []string) error {
			c, err := a.api()
			if err != nil {
				return err
			}
			out, err := c.AcceptStore(ctx, api.StoreAcceptRequest{Reason: reason, AcceptRisk: toRisks(risks)})
			if err != nil {
				return err
			}
			if a.printer.machine() {
				return a.printer.value(out)
			}
			if !out.Changed {
				a.printer.printf("unchanged: the store is trusted already\n")
				return nil
			}
			a.printer.printf("changed: store %s is trusted from revision %d on\n", out.After.ClusterID, out.After.Revision)
			return nil
		}),
	}
	accept.Flags().StringVar(&reason, "reason", "", "`why`, for the audit trail")
	riskFlag(accept, &risks)
	cmd.AddCommand(accept)
	return cmd
}
