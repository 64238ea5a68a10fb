package ctl

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/peerage/peerage/api"
)

// aliases are the names of a kind on the command line; the first is shown.
func aliases(kind api.Kind) []string {
	switch kind {
	case api.KindPool:
		return []string{"pools", "pool", "p"}
	case api.KindLoadBalancer:
		return []string{"loadbalancers", "loadbalancer", "lbs", "lb"}
	case api.KindRealServer:
		return []string{"realservers", "realserver", "rs"}
	case api.KindSettings:
		return []string{"settings", "setting"}
	case api.KindCustomer:
		return []string{"customers", "customer", "cust"}
	}
	return nil
}

// kindOf finds the kind of a name on the command line.
func kindOf(name string) (api.Kind, error) {
	var known []string
	for _, kind := range api.Kinds() {
		if slices.Contains(aliases(kind), strings.ToLower(name)) {
			return kind, nil
		}
		known = append(known, aliases(kind)[0])
	}
	slices.Sort(known)
	return "", usage("kind %q is not known; the kinds are %s", name, strings.Join(known, ", "))
}

// kindNames are the first names of all kinds.
func kindNames() []string {
	var all []string
	for _, kind := range api.Kinds() {
		all = append(all, aliases(kind)[0])
	}
	slices.Sort(all)
	return all
}

// completeNames offers the names of a kind's objects, asked of the server.
func (a *app) completeNames(kind api.Kind) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return a.names(cmd, kind), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeKinds offers kinds, then the names of the kind.
func (a *app) completeKinds(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		return kindNames(), cobra.ShellCompDirectiveNoFileComp
	case 1:
		if kind, err := kindOf(args[0]); err == nil {
			return a.names(cmd, kind), cobra.ShellCompDirectiveNoFileComp
		}
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}
