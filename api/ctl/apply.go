package ctl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/client"
)

// applyFlags are those of apply, plan and delete.
type applyFlags struct {
	files  []string
	dryRun bool
	risks  []string
	reason string
	prune  []string
}

func (f *applyFlags) file(cmd *cobra.Command) {
	cmd.Flags().StringSliceVarP(&f.files, "file", "f", nil, "`file` or directory of YAML objects, or - for standard input; may be repeated")
	if err := cmd.MarkFlagRequired("file"); err != nil {
		panic(err) // the flag is defined above
	}
}

func (f *applyFlags) write(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "change nothing, and say what would be done")
	cmd.Flags().StringVar(&f.reason, "reason", "", "`why`, for the audit trail")
	riskFlag(cmd, &f.risks)
}

// riskFlag adds --accept-risk.
func riskFlag(cmd *cobra.Command, into *[]string) {
	cmd.Flags().StringSliceVar(into, "accept-risk", nil, "override the guard of that `name`; a refusal says which")
	if err := cmd.RegisterFlagCompletionFunc("accept-risk", completeRisks); err != nil {
		panic(err) // the flag is defined above
	}
}

func toRisks(names []string) []api.Risk {
	var list []api.Risk
	for _, n := range names {
		list = append(list, api.Risk(n))
	}
	return list
}

func (f *applyFlags) options() client.ApplyOptions {
	return client.ApplyOptions{DryRun: f.dryRun, AcceptRisk: toRisks(f.risks), Reason: f.reason}
}

// pruning adds --prune.
func (f *applyFlags) pruning(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&f.prune, "prune", nil, "remove the objects of this `KIND` that are in no file, such as customers; may be repeated")
	if err := cmd.RegisterFlagCompletionFunc("prune", cobra.FixedCompletions(kindNames(), cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // the flag is defined above
	}
}

func (a *app) applyCommand() *cobra.Command {
	var f applyFlags
	cmd := &cobra.Command{
		Use:   "apply -f FILE|DIR|-",
		Short: "Make the site equal to files",
		Long: `Make the objects of the site equal to those in files. Objects that are in no
file stay as they are, but for those of the kinds in --prune: to remove one,
delete it, or prune.

An object that has metadata.generation in its file is refused when somebody
changed it since. What operators want right now (depool, weight) is untouched.`,
		Example: `  peeragectl apply -f site/
  peeragectl apply -f pool.yaml --dry-run
  peeragectl apply -f site/ --prune customers
  peeragectl get pool customers -o yaml | sed 's/maxDepooled: 1/maxDepooled: 2/' | peeragectl apply -f -`,
		Args: cobra.NoArgs,
		RunE: a.run(func(ctx context.Context, _ []string) error {
			out, err := a.apply(ctx, &f)
			if err != nil {
				return err
			}
			return a.printApply(out)
		}),
	}
	f.file(cmd)
	f.pruning(cmd)
	f.write(cmd)
	return cmd
}

func (a *app) planCommand() *cobra.Command {
	f := applyFlags{dryRun: true}
	cmd := &cobra.Command{
		Use:     "plan -f FILE|DIR|-",
		Short:   "Show what apply would change; exit 10 when there are changes",
		Example: "  peeragectl plan -f site/\n  git diff --quiet || peeragectl plan -f site/ -o json",
		Args:    cobra.NoArgs,
		RunE: a.run(func(ctx context.Context, _ []string) error {
			out, err := a.apply(ctx, &f)
			if err != nil {
				return err
			}
			if err := a.printApply(out); err != nil {
				return err
			}
			if out.Changed {
				return api.WithExit(api.ExitChanges, nil)
			}
			return nil
		}),
	}
	f.file(cmd)
	f.pruning(cmd)
	return cmd
}

func (a *app) validateCommand() *cobra.Command {
	var f applyFlags
	cmd := &cobra.Command{
		Use:     "validate -f FILE|DIR|-",
		Short:   "Check files, without any controller",
		Long:    "Check that files are a valid site: each object in itself, and all of them together. No controller is asked.",
		Example: "  peeragectl validate -f site/",
		Args:    cobra.NoArgs,
		RunE: a.run(func(context.Context, []string) error {
			objects, err := a.read(f.files)
			if err != nil {
				return err
			}
			if err := api.ValidateSite(objects); err != nil {
				return api.WithExit(api.ExitUsage, plainErrors(err))
			}
			warnings := api.SiteWarnings(objects)
			if a.printer.machine() {
				return a.printer.value(map[string]any{"valid": true, "objects": len(objects), "warnings": orEmpty(warnings)})
			}
			a.warn(warnings)
			a.printer.printf("valid: %s\n", count(len(objects), "object"))
			return nil
		}),
	}
	f.file(cmd)
	return cmd
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// read reads the objects of files, directories and standard input.
func (a *app) read(files []string) ([]api.Object, error) {
	var objects []api.Object
	var paths []string
	for _, f := range files {
		if f != "-" {
			paths = append(paths, f)
		}
	}
	if len(paths) < len(files) {
		data, err := io.ReadAll(io.LimitReader(a.env.Stdin, maxInput+1))
		if err != nil {
			return nil, fmt.Errorf("standard input: %w", err)
		}
		if objects, err = api.Parse("stdin", data); err != nil {
			return nil, api.WithExit(api.ExitUsage, plainErrors(err))
		}
	}
	if len(paths) > 0 {
		more, err := api.ParseFiles(paths)
		if err != nil {
			return nil, api.WithExit(api.ExitUsage, plainErrors(err))
		}
		objects = append(objects, more...)
	}
	slices.SortStableFunc(objects, func(x, y api.Object) int {
		return slices.Index(api.Kinds(), x.ObjectKind()) - slices.Index(api.Kinds(), y.ObjectKind())
	})
	return objects, nil
}

// maxInput bounds standard input; the parser refuses less than that already.
const maxInput = 16 << 20

// plainErrors puts several errors on lines of their own under a heading.
func plainErrors(err error) error {
	list := api.FieldErrors(err)
	if len(list) < 2 {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d things are not valid:", len(list))
	for _, e := range list {
		b.WriteString("\n  " + e.Error())
	}
	return errors.New(b.String())
}

func (a *app) apply(ctx context.Context, f *applyFlags) (*api.ApplyResult, error) {
	objects, err := a.read(f.files)
	if err != nil {
		return nil, err
	}
	o := f.options()
	for _, name := range f.prune {
		kind, err := kindOf(name)
		if err != nil {
			return nil, err
		}
		o.Prune = append(o.Prune, kind)
	}
	c, err := a.api()
	if err != nil {
		return nil, err
	}
	return c.ApplyObjects(ctx, objects, o)
}

func (a *app) warn(list []*api.FieldError) {
	for _, w := range list {
		fmt.Fprintf(a.env.Stderr, "warning: %v\n", w)
	}
}

// printApply prints what was done to each object and what that means for the
// pools.
func (a *app) printApply(out *api.ApplyResult) error {
	if a.printer.machine() {
		return a.printer.value(out)
	}
	a.warn(out.Warnings)
	colours := map[api.Action]string{api.ActionCreated: green, api.ActionChanged: yellow, api.ActionDeleted: red, api.ActionUnchanged: faint}
	counts := map[api.Action]int{}
	for _, o := range out.Objects {
		counts[o.Action]++
		a.printer.printf("%s %s\n", a.printer.paint(colours[o.Action], fmt.Sprintf("%-9s", o.Action)), o.Key())
		if o.Action != api.ActionChanged {
			continue
		}
		for _, f := range o.Fields {
			a.printer.printf("  %s: %s -> %s\n", f.Path, field(f.Before), field(f.After))
		}
	}
	for _, line := range effects(out.Plan) {
		a.printer.printf("%s\n", line)
	}
	a.printRefusals(out.DryRun, out.Plan)
	var parts []string
	for _, action := range []api.Action{api.ActionCreated, api.ActionChanged, api.ActionDeleted, api.ActionUnchanged} {
		if counts[action] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[action], action))
		}
	}
	a.printer.printf("%s%s\n", strings.Join(parts, ", "), dryRun(out.DryRun))
	return nil
}

func dryRun(yes bool) string {
	if yes {
		return " (dry run: nothing was changed)"
	}
	return ""
}

// printRefusals says which guards were overridden, or would refuse.
func (a *app) printRefusals(dryRun bool, p api.Preview) {
	for _, r := range p.Refusals {
		if dryRun {
			a.printer.printf("%s %s: needs --accept-risk=%s\n", a.printer.paint(red, "guarded"), r.Message, r.Risk)
		} else {
			a.printer.printf("%s %s: %s\n", a.printer.paint(yellow, "accepted"), r.Risk, r.Message)
		}
	}
}

// field renders a value of a diff.
func field(v []byte) string {
	if len(v) == 0 {
		return "(none)"
	}
	return strings.Trim(string(v), `"`)
}

func (a *app) deleteCommand() *cobra.Command {
	var f applyFlags
	var generation int64
	var ignore bool
	cmd := &cobra.Command{
		Use:   "delete KIND NAME",
		Short: "Remove an object from the site",
		Long: `Remove an object from the site. An object that others name is refused, and so
is what a guard protects: a pool that is in service, too many real servers.`,
		Example:           "  peeragectl delete realserver rs-4\n  peeragectl delete pool old --accept-risk=empty-pool",
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: a.completeKinds,
		RunE: a.run(func(ctx context.Context, args []string) error {
			kind, err := kindOf(args[0])
			if err != nil {
				return err
			}
			c, err := a.api()
			if err != nil {
				return err
			}
			o := f.options()
			o.Generation = generation
			out, err := c.Delete(ctx, kind, args[1], o)
			if e, ok := errors.AsType[*api.Error](err); ok && ignore && e.Code == api.ErrorNotFound {
				out, err = &api.ApplyResult{DryRun: f.dryRun, Objects: []api.ObjectChange{},
					Before: []json.RawMessage{}, After: []json.RawMessage{}, Plan: api.Preview{Pools: []api.PoolPreview{}}}, nil
				if !a.printer.machine() {
					a.printer.printf("absent    %s/%s\n", kind, args[1])
					return nil
				}
			}
			if err != nil {
				return err
			}
			return a.printApply(out)
		}),
	}
	f.write(cmd)
	cmd.Flags().Int64Var(&generation, "generation", 0, "delete only this `generation`")
	cmd.Flags().BoolVar(&ignore, "ignore-not-found", false, "succeed when the object does not exist")
	return cmd
}
