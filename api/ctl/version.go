package ctl

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/peerage/peerage/api"
)

func (a *app) versionCommand() *cobra.Command {
	var clientOnly bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the versions of this program and of the controller",
		Example: "  peeragectl version\n  peeragectl version --client -o json",
		Args:    cobra.NoArgs,
		RunE: a.run(func(ctx context.Context, _ []string) error {
			out := struct {
				Client string           `json:"client"`
				Server *api.VersionInfo `json:"server"`
			}{Client: a.env.Version}
			var failed error
			if !clientOnly {
				c, err := a.api()
				if err == nil {
					out.Server, err = c.Version(ctx)
				}
				failed = err
			}
			if a.printer.machine() {
				return errors.Join(failed, a.printer.value(out))
			}
			a.printer.printf("client  %s\n", out.Client)
			if out.Server != nil {
				a.printer.printf("server  %s (%s)\n", out.Server.Version, out.Server.Name)
			}
			return failed
		}),
	}
	cmd.Flags().BoolVar(&clientOnly, "client", false, "do not ask the controller")
	return cmd
}

// exitCodesTopic is `peeragectl help exit-codes`.
func exitCodesTopic() *cobra.Command {
	text := "The exit codes of peeragectl. Scripts may rely on them: no number is ever reused.\n\n"
	for _, code := range api.ExitCodes() {
		text += fmt.Sprintf("  %2d  %s\n", int(code), code)
	}
	text += "\nFor example: peeragectl plan -f site/; test $? -eq 10 && echo 'there are changes'"
	// Without a Run it is a topic: help prints the text alone.
	return &cobra.Command{Use: "exit-codes", Short: "The exit codes, one by one", Long: text}
}
