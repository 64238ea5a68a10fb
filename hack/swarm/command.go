package swarm

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/peerage/peerage/api"
)

// Main is the program peerage-swarm. api.ExitCodeOf its error is 1 when an
// expectation or a phase failed, or the run could not go on, 2 for wrong use,
// and 7 when the sessions were not up in time.
func Main(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	c := command()
	c.SetArgs(args)
	c.SetIn(stdin)
	c.SetOut(stdout)
	c.SetErr(stderr)
	return c.ExecuteContext(ctx)
}

const longHelp = `peerage-swarm opens N BGP sessions, each from a source address of its own, keeps
them up the way routers do, and reports what each of them went through: flaps,
outages, the longest silence, and which real server it talked to.

The source addresses must be local. A route is enough, which --add-routes adds
while the swarm runs:

  ip route add local 192.0.2.0/24 dev lo

Traffic goes only to the targets named. Public addresses are refused unless you
say --i-own-this-network. Ctrl-C closes every session with a Cease and prints
the report so far; a second Ctrl-C ends the program at once.

A condition on the report, such as --expect 'flapped==0', sets the exit code:
0 all met, 1 one not met or the run failed, 2 wrong use, 7 the sessions were not
up in time.`

const examples = `  # A thousand sessions for a minute against a BIRD on this machine:
  peerage-swarm --target 127.0.0.1:1790 --from 127.1.0.0/16 --sessions 1000 --duration 1m

  # Both families, a tenth of them signed; nothing may flap once all are up:
  peerage-swarm --target 203.0.113.179:179,[2001:db8:179::179]:179 --sessions 400 \
    --from 192.0.2.0/24,2001:db8:9::/96 --add-routes lo --md5-key-file key --md5-share 0.1 \
    --until-established 1m --duration 10m --expect 'flapped==0' --expect 'silence.max<40s'

  # A full table each, a hundred routes a second of which change:
  peerage-swarm --target 10.0.0.1:179 --from 10.64.0.0/16 --sessions 100 --announce full=1000000 --churn 100/s

  # A rehearsal that is kept in Git:
  peerage-swarm run hack/swarm/examples/depool.yaml -o json`

func command() *cobra.Command {
	var o options
	c := &cobra.Command{
		Use:           "peerage-swarm --target ADDRESS:PORT --from PREFIX[,PREFIX] --sessions N",
		Short:         "Play thousands of customers' routers against a BGP speaker",
		Long:          longHelp,
		Example:       examples,
		Args:          usageArgs(cobra.NoArgs),
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(c *cobra.Command, _ []string) error {
			phases, err := o.phasesOf()
			if err != nil {
				return usage(err)
			}
			return o.play(c.Context(), phases, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	o.flags(c.Flags())
	o.runFlags(c.Flags())
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
	completeFlags(c)
	c.AddCommand(append(askCommands(), runCommand(), metricsCommand())...)
	return c
}

func runCommand() *cobra.Command {
	var o options
	c := &cobra.Command{
		Use:   "run SCENARIO.yaml",
		Short: "Play a scenario: ramp up, hold, run commands, assert",
		Long: `A scenario is a YAML file with the flags of the swarm and a list of phases. Each
phase does one thing:

  - ramp: 60s            # all sessions must be up within this time
  - hold: 2m             # just wait
  - run: peeragectl depool rs-3        # or a list of words; fails unless it exits with 0
    timeout: 30s
  - until: ["acked==1000"]             # wait until conditions hold, at most timeout
    timeout: 2m
  - assert: ["flapped==0"]             # conditions since the last mark
  - reset: all           # connect anew, as clear bgp does; no flap. Or 0-99,500
  - mark: true           # count from here on; the end of a ramp is a mark too

Flags on the command line win over the file. The report has what happened in
each phase. Unknown keys are errors.`,
		Example: `  peerage-swarm run hack/swarm/examples/depool.yaml
  peerage-swarm run hack/swarm/examples/hold.yaml --sessions 5000 -o json`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			phases, err := o.load(args[0], c.Flags())
			if err != nil {
				return usage(err)
			}
			return o.play(c.Context(), phases, c.OutOrStdout(), c.ErrOrStderr())
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
		},
	}
	o.flags(c.Flags())
	completeFlags(c)
	return c
}

func metricsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "metrics",
		Short: "List what --expect and assert may name",
		Args:  usageArgs(cobra.NoArgs),
		RunE:  func(c *cobra.Command, _ []string) error { return writeMetrics(c.OutOrStdout()) },
	}
}

// usage marks an error as wrong use.
func usage(err error) error { return api.WithExit(api.ExitUsage, err) }

func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return usage(err)
		}
		return nil
	}
}

func completeFlags(c *cobra.Command) {
	for flag, values := range map[string][]string{
		"profile": {"cisco-like", "junos-like", "eager"}, "output": {"table", "json"},
		"announce": {"nothing", "default", "k=", "full=", "mrt="}, "families": {"ipv4", "ipv6", "ipv4,ipv6"},
	} {
		// It fails for flags that do not exist alone.
		_ = c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
}
