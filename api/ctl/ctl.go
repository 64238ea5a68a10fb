package ctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/client"
)

// Env is what a run of peeragectl depends on beside its arguments.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Getenv reads the environment.
	Getenv func(string) string
	// Actor is who asks, as user@host.
	Actor string
	// Version is this program's.
	Version string
	// Patience is how long wait is silent. Default 2s.
	Patience time.Duration
}

// OSEnv is the environment of the process.
func OSEnv(stdin io.Reader, stdout, stderr io.Writer, version string) Env {
	name := os.Getenv("USER")
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return Env{Stdin: stdin, Stdout: stdout, Stderr: stderr, Getenv: os.Getenv, Actor: name + "@" + host, Version: version}
}

// Run runs one command line. The error carries the exit code.
func Run(ctx context.Context, env Env, args []string) error {
	if env.Patience == 0 {
		env.Patience = 2 * time.Second
	}
	a := &app{env: env}
	root := a.root()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if a.client != nil {
		a.client.Close()
	}
	if err == nil {
		return nil
	}
	if _, ran := errors.AsType[*runError](err); !ran {
		// Cobra refused the command line before a command ran.
		return api.WithExit(api.ExitUsage, fmt.Errorf("%w; see %s --help", err, cmd.CommandPath()))
	}
	err = errors.Unwrap(err)
	if api.Silent(err) {
		return err
	}
	code := client.ExitCode(err)
	if apiErr, ok := errors.AsType[*api.Error](err); ok {
		a.printError(apiErr)
		err = errors.New(a.describeError(apiErr))
	}
	return api.WithExit(code, err)
}

// runError marks the errors of commands, apart from those of the command line.
type runError struct{ error }

// Unwrap gives the error itself.
func (e *runError) Unwrap() error { return e.error }

// app is one run.
type app struct {
	env     Env
	flags   flags
	config  config
	path    string // the command that runs, for messages
	args    []string
	client  *client.Client
	printer *printer
}

// flags are the options that every command has.
type flags struct {
	servers       []string
	ca, cert, key string
	output        string
	config        string
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "peeragectl",
		Short: "Operate a fleet of BGP speakers behind load balancers",
		Long: `peeragectl operates a fleet of BGP speakers behind load balancers.

What a site is comes from files (apply). What operators want right now comes
from verbs (depool, pool, weight, announce), which no apply undoes.`,
		Example: `  peeragectl apply -f site/
  peeragectl status
  peeragectl depool rs-2 --reason "kernel upgrade" --for 2h
  peeragectl wait rs-2 --for=depooled`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	a.path = root.Name()
	root.SetIn(a.env.Stdin)
	root.SetOut(a.env.Stdout)
	root.SetErr(a.env.Stderr)
	root.CompletionOptions.DisableDefaultCmd = true
	fs := root.PersistentFlags()
	fs.StringSliceVar(&a.flags.servers, "server", nil, "`URL` of a controller, or several; else $PEERAGE_SERVER, else the config file")
	fs.StringVar(&a.flags.ca, "ca", "", "`file` with the CA that signed the controllers' certificates")
	fs.StringVar(&a.flags.cert, "cert", "", "`file` with the client certificate")
	fs.StringVar(&a.flags.key, "key", "", "`file` with the key of the client certificate")
	fs.StringVarP(&a.flags.output, "output", "o", "", "table, wide, json or yaml (default table)")
	fs.StringVar(&a.flags.config, "config", "", "`file` with defaults of these flags (default ~/.config/peerage/ctl.yaml)")
	root.AddGroup(&cobra.Group{ID: "site", Title: "What the site is:"}, &cobra.Group{ID: "verb", Title: "What is wanted right now:"},
		&cobra.Group{ID: "look", Title: "What is:"}, &cobra.Group{ID: "more", Title: "More:"})
	a.add(root, "site", a.applyCommand(), a.planCommand(), a.validateCommand(), a.getCommand(), a.deleteCommand())
	a.add(root, "verb", a.depoolCommand(), a.poolCommand(), a.weightCommand(), a.announceCommand(), a.withdrawCommand(), a.storeCommand())
	a.add(root, "look", a.statusCommand(), a.describeCommand(), a.sessionCommand(), a.routeCommand(), a.waitCommand(), a.watchCommand(), a.eventsCommand())
	a.add(root, "more", a.completionCommand(root), a.versionCommand(), exitCodesTopic())
	root.SetHelpCommandGroupID("more")
	if err := root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(
		[]cobra.Completion{"table", "wide", "json", "yaml"}, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // the flag is defined above
	}
	return root
}

func (a *app) add(parent *cobra.Command, group string, children ...*cobra.Command) {
	for _, c := range children {
		c.GroupID = group
		parent.AddCommand(c)
	}
}

// run makes the body of a command: settings first, then the command.
func (a *app) run(fn func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		a.path, a.args = cmd.CommandPath(), args
		if err := a.load(); err != nil {
			return &runError{api.WithExit(api.ExitUsage, err)}
		}
		if err := fn(cmd.Context(), args); err != nil {
			return &runError{err}
		}
		return nil
	}
}

// usage is the error of a bad argument.
func usage(format string, args ...any) error {
	return api.WithExit(api.ExitUsage, fmt.Errorf(format, args...))
}

// home is the default place of the config file.
func (a *app) home() string {
	if dir := a.env.Getenv("XDG_CONFIG_HOME"); dir != "" {
		return filepath.Join(dir, "peerage", "ctl.yaml")
	}
	if dir := a.env.Getenv("HOME"); dir != "" {
		return filepath.Join(dir, ".config", "peerage", "ctl.yaml")
	}
	return ""
}

// describeError says what went wrong, what would break, and the way out.
func (a *app) describeError(e *api.Error) string {
	var b strings.Builder
	b.WriteString(e.Message)
	if e.Code == api.ErrorRefused {
		b.Reset()
		b.WriteString(e.Object + " stays as it is")
		for _, r := range e.Refusals {
			fmt.Fprintf(&b, "\n  %s: %s", r.Risk, r.Message)
		}
		fmt.Fprintf(&b, "\n  %s", e.Hint)
		return b.String()
	}
	if len(e.Details) > 1 {
		b.Reset()
		b.WriteString(map[bool]string{true: e.Object + " is in use:", false: "not valid:"}[e.Code == api.ErrorInUse])
		for _, d := range e.Details {
			b.WriteString("\n  " + d.Error())
		}
		if e.Hint != "" {
			b.WriteString("\n" + e.Hint)
		}
		return b.String()
	}
	if e.Hint != "" {
		b.WriteString("; " + e.Hint)
	}
	return b.String()
}

// printError gives programs that asked for a format the error in it.
func (a *app) printError(e *api.Error) {
	if a.printer != nil && a.printer.machine() {
		_ = a.printer.value(api.ErrorBody{Error: e}) // the error itself is told on standard error
	}
}
