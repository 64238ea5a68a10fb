package ctl

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"github.com/peerage/peerage/api"
)

func (a *app) getCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "get KIND [NAME]",
		Short: "Print objects as they were applied, plans, or announced routes",
		Long: `Print objects as they were applied. With -o yaml the output can be applied
again. KIND is settings, loadbalancers (lb, lbs), realservers (rs), pools (pool),
customers (customer), plans: what the controller made of them, or routes: what is
announced to customers.`,
		Example: "  peeragectl get rs\n  peeragectl get pool customers -o yaml\n  peeragectl get plans -o wide",
		Args:    cobra.RangeArgs(1, 2),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, to string) ([]cobra.Completion, cobra.ShellCompDirective) {
			names, directive := a.completeKinds(cmd, args, to)
			if len(args) == 0 {
				names = append(names, "plans", "routes")
			} else if len(args) == 1 && isPlan(args[0]) {
				names = a.names(cmd, api.KindPool)
			}
			return names, directive
		},
		RunE: a.run(func(ctx context.Context, args []string) error {
			name := ""
			if len(args) == 2 {
				name = args[1]
			}
			if isPlan(args[0]) {
				return a.getPlans(ctx, name)
			}
			if args[0] == "routes" {
				if name != "" {
					return usage("routes have no names; peeragectl get routes lists all of them")
				}
				return a.getRoutes(ctx)
			}
			kind, err := kindOf(args[0])
			if err != nil {
				return err
			}
			return a.getObjects(ctx, kind, name)
		}),
	}
}

func isPlan(kind string) bool { return kind == "plan" || kind == "plans" }

func (a *app) getObjects(ctx context.Context, kind api.Kind, name string) error {
	c, err := a.api()
	if err != nil {
		return err
	}
	var objects []api.Object
	if name != "" {
		o, err := c.Object(ctx, kind, name)
		if err != nil {
			return err
		}
		objects = []api.Object{o}
	} else if objects, err = c.Objects(ctx, kind); err != nil {
		return err
	}
	if !a.printer.machine() {
		a.printer.print(a.objectTable(kind, objects))
		return nil
	}
	list := make([]json.RawMessage, 0, len(objects))
	for _, o := range objects {
		data, err := api.Marshal(o)
		if err != nil {
			return err
		}
		list = append(list, data)
	}
	switch {
	case name != "":
		return a.printer.value(list[0])
	case a.printer.format == "json":
		return a.printer.value(list)
	}
	for _, o := range list {
		if err := a.printer.line(o); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) objectTable(kind api.Kind, objects []api.Object) *table {
	t := &table{}
	for _, o := range objects {
		switch o := o.(type) {
		case *api.Pool:
			t.head = []string{"NAME", "VIPS", "PORT", "SCHEDULER", "REALSERVERS", "LBS", "GENERATION"}
			t.add(o.Name, addrs(o.Spec.VIPs), o.Spec.Port, o.Spec.Scheduler, strings.Join(o.Spec.RealServers, ","), orAll(o.Spec.LoadBalancers), o.Generation)
		case *api.LoadBalancer:
			t.head = []string{"NAME", "ADDRESSES", "INTERFACE", "MED", "PEERS", "GENERATION"}
			var peers []string
			for _, p := range o.Spec.Fabric.Peers {
				peers = append(peers, p.Name)
			}
			var med uint32
			if o.Spec.MED != nil {
				med = *o.Spec.MED
			}
			t.add(o.Name, addrs(o.Spec.Addresses), o.Spec.Interface, med, strings.Join(peers, ","), o.Generation)
		case *api.RealServer:
			t.head = []string{"NAME", "ADDRESSES", "WEIGHT", "GENERATION"}
			t.add(o.Name, addrs(o.Spec.Addresses), o.Spec.Weight, o.Generation)
		case *api.Customer:
			t.head = []string{"NAME", "POOLS", "MODE", "GROUP", "NEIGHBORS", "MAX-PREFIXES", "GENERATION"}
			t.add(o.Name, strings.Join(o.Spec.Pools, ","), o.Spec.Mode, o.Spec.Group, neighbors(o.Spec.Neighbors), bound(o.Spec.MaxPrefixes), o.Generation)
		case *api.Settings:
			t.head = []string{"NAME", "SYNC-ID", "WARMUP", "LEASE-TTL", "OBSERVE", "GENERATION"}
			t.add(o.Name, o.Spec.ConnSync.ID, o.Spec.ConnSync.Warmup, o.Spec.LeaseTTL, o.Spec.ObserveInterval, o.Generation)
		}
	}
	if len(objects) == 0 {
		fmt.Fprintf(a.env.Stderr, "there are no %s\n", aliases(kind)[0])
	}
	return t
}

// neighborsShown is how many prefixes of a customer fit into a table.
const neighborsShown = 3

func neighbors(list []api.CustomerNeighbor) string {
	var texts []string
	for i, n := range list {
		if i == neighborsShown && len(list) > neighborsShown+1 {
			texts = append(texts, fmt.Sprintf("and %d more", len(list)-i))
			break
		}
		texts = append(texts, n.Prefix.String())
	}
	return strings.Join(texts, ",")
}

// bound says how many routes a session may have, and what happens then.
func bound(p *api.MaxPrefixes) string {
	if p == nil {
		return ""
	}
	return fmt.Sprintf("%d (%s)", p.Limit, p.Action)
}

func addrs(list []netip.Addr) string {
	texts := make([]string, len(list))
	for i, a := range list {
		texts[i] = a.String()
	}
	return strings.Join(texts, ",")
}

func orAll(names []string) string {
	if len(names) == 0 {
		return "all"
	}
	return strings.Join(names, ",")
}

func (a *app) getPlans(ctx context.Context, name string) error {
	c, err := a.api()
	if err != nil {
		return err
	}
	var plans []*api.Plan
	if name != "" {
		p, err := c.Plan(ctx, name)
		if err != nil {
			return err
		}
		if a.printer.machine() {
			return a.printer.value(p)
		}
		plans = []*api.Plan{p}
	} else if plans, err = c.Plans(ctx); err != nil {
		return err
	}
	if a.printer.machine() {
		return a.printer.value(orEmpty(plans))
	}
	t := &table{head: []string{"POOL", "GENERATION", "PLACE", "SERVER", "ADDRESSES", "STATE", "NOMINAL", "WEIGHT", "WHY"}}
	for _, p := range plans {
		for i, d := range p.Destinations {
			t.add(p.Pool, p.Generation, i+1, d.Server, addrs(d.Addresses), cell{string(d.State), stateColour(d.State)}, d.Nominal, d.Weight, d.Reason)
		}
	}
	a.printer.print(a.printer.columns(t, "PLACE", "ADDRESSES"))
	return nil
}
