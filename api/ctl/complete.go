package ctl

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/client"
)

// completeTimeout bounds what a key press waits for.
const completeTimeout = 2 * time.Second

// ask asks the server what a key press offers; without an answer there is
// nothing to offer.
func ask(a *app, cmd *cobra.Command, fn func(context.Context, *client.Client) []string) []string {
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, completeTimeout)
	defer cancel()
	if a.load() != nil {
		return nil
	}
	c, err := a.api()
	if err != nil {
		return nil
	}
	return fn(ctx, c)
}

// names asks the server for the names of a kind.
func (a *app) names(cmd *cobra.Command, kind api.Kind) []string {
	return ask(a, cmd, func(ctx context.Context, c *client.Client) (all []string) {
		objects, err := c.Objects(ctx, kind)
		if err != nil {
			return nil
		}
		for _, o := range objects {
			all = append(all, o.ObjectMeta().Name)
		}
		return all
	})
}

func completeRisks(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var all []string
	for _, r := range api.Risks() {
		all = append(all, string(r))
	}
	return all, cobra.ShellCompDirectiveNoFileComp
}

func (a *app) completionCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "Print the shell's completion, with names from the server",
		Example: `  source <(peeragectl completion bash)
  peeragectl completion zsh > "${fpath[1]}/_peeragectl"
  peeragectl completion fish > ~/.config/fish/completions/peeragectl.fish`,
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []cobra.Completion{"bash", "zsh", "fish"},
		RunE: a.run(func(_ context.Context, args []string) error {
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(a.env.Stdout, true)
			case "zsh":
				return root.GenZshCompletion(a.env.Stdout)
			}
			return root.GenFishCompletion(a.env.Stdout, true)
		}),
	}
}
