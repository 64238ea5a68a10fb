package ctl

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/peerage/peerage/api"
)

// describeEvents is how many events are searched for those of one object.
const describeEvents, describeShown = 500, 10

func (a *app) describeCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "describe KIND NAME",
		Short:             "Show all that is known of one object: configuration, state, events",
		Example:           "  peeragectl describe rs rs-2\n  peeragectl describe pool customers",
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: a.completeKinds,
		RunE: a.run(func(ctx context.Context, args []string) error {
			kind, err := kindOf(args[0])
			if err != nil {
				return err
			}
			return a.describe(ctx, kind, args[1])
		}),
	}
}

func (a *app) describe(ctx context.Context, kind api.Kind, name string) error {
	c, err := a.api()
	if err != nil {
		return err
	}
	o, err := c.Object(ctx, kind, name)
	if err != nil {
		return err
	}
	st, err := c.Status(ctx)
	if err != nil {
		return err
	}
	events, err := c.Events(ctx, describeEvents)
	if err != nil {
		return err
	}
	events = slices.DeleteFunc(events, func(e api.Event) bool { return e.Object != api.Key(o) })
	events = events[max(0, len(events)-describeShown):]
	data, err := api.Marshal(o)
	if err != nil {
		return err
	}
	only := focus(st, kind, name)
	if a.printer.machine() {
		return a.printer.value(struct {
			Object rawJSON     `json:"object"`
			Status *api.Status `json:"status"`
			Events []api.Event `json:"events"`
		}{rawJSON(data), only, orEmpty(events)})
	}
	text, err := toYAML(data)
	if err != nil {
		return err
	}
	a.printer.printf("%s", text)
	a.describeIntent(only)
	p := a.printer
	p.section(p.poolTable(only))
	p.section(p.lbTable(only))
	p.section(p.vipTable(only))
	p.section(p.memberTable(only))
	p.section(pathTable(only))
	p.warningLines(only)
	p.section(eventTable(events))
	return nil
}

// rawJSON is JSON that is printed as it is.
type rawJSON []byte

// MarshalJSON implements json.Marshaler.
func (r rawJSON) MarshalJSON() ([]byte, error) { return r, nil }

func (a *app) describeIntent(st *api.Status) {
	for _, rs := range st.RealServers {
		if rs.Depooled != nil {
			a.printer.printf("\n%s by %s, since %s\n", a.printer.paint(yellow, "depooled"), markText(rs.Depooled), moment(rs.Depooled.At))
		}
		if rs.Weight != nil {
			a.printer.printf("\nweight %d (configured: %d) by %s\n", rs.Weight.Value, rs.Configured, markText(&rs.Weight.Mark))
		}
	}
}

// pathTable is what each LB sees of a server; for one server only.
func pathTable(st *api.Status) *table {
	t := &table{head: []string{"PATH FROM", "TO", "POOL", "OK", "SINCE", "RTT", "WHY NOT"}}
	if len(st.RealServers) != 1 {
		return t
	}
	for _, pool := range st.Pools {
		for _, m := range pool.Servers {
			for _, path := range m.Paths {
				t.add(path.LB, m.Server, pool.Name, yesNo(path.OK), age(st.At, path.Since), path.RTT, path.Reason)
			}
		}
	}
	return t
}

// focus is the part of a status that is about one object.
func focus(st *api.Status, kind api.Kind, name string) *api.Status {
	out := *st
	key := string(kind) + "/" + name
	out.Warnings = keep(st.Warnings, func(w api.StatusWarning) bool {
		return w.Object == key || w.Object == "" || kind != api.KindPool && strings.Contains(w.Message, name)
	})
	switch kind {
	case api.KindPool:
		out.Pools = keep(st.Pools, func(p api.PoolStatus) bool { return p.Name == name })
		out.RealServers = keep(st.RealServers, func(r api.RealServerStatus) bool { return slices.Contains(r.Pools, name) })
		out.LoadBalancers = keep(st.LoadBalancers, func(l api.LBStatus) bool {
			return slices.ContainsFunc(out.Pools, func(p api.PoolStatus) bool {
				return slices.ContainsFunc(p.LBs, func(x api.PoolLB) bool { return x.LB == l.Name })
			})
		})
	case api.KindRealServer:
		out.LoadBalancers = []api.LBStatus{}
		out.RealServers = keep(st.RealServers, func(r api.RealServerStatus) bool { return r.Name == name })
		out.Pools = nil
		for _, p := range st.Pools {
			p.Servers = keep(p.Servers, func(m api.MemberStatus) bool { return m.Server == name })
			p.VIPs = []api.VIPStatus{}
			if len(p.Servers) > 0 {
				out.Pools = append(out.Pools, p)
			}
		}
	case api.KindLoadBalancer:
		out.RealServers = []api.RealServerStatus{}
		out.LoadBalancers = keep(st.LoadBalancers, func(l api.LBStatus) bool { return l.Name == name })
		out.Pools = nil
		for _, p := range st.Pools {
			p.Servers = []api.MemberStatus{}
			p.LBs = keep(p.LBs, func(l api.PoolLB) bool { return l.LB == name })
			vips := []api.VIPStatus{}
			for _, v := range p.VIPs {
				v.LBs = keep(v.LBs, func(l api.VIPLB) bool { return l.LB == name })
				vips = append(vips, v)
			}
			p.VIPs = vips
			if len(p.LBs) > 0 {
				out.Pools = append(out.Pools, p)
			}
		}
	case api.KindSettings, api.KindCustomer:
		out.Pools, out.RealServers, out.LoadBalancers = []api.PoolStatus{}, []api.RealServerStatus{}, []api.LBStatus{}
	}
	out.Pools = orEmpty(out.Pools)
	return &out
}

// keep is a new list of the items that fit.
func keep[T any](list []T, fits func(T) bool) []T {
	out := []T{}
	for _, v := range list {
		if fits(v) {
			out = append(out, v)
		}
	}
	return out
}
