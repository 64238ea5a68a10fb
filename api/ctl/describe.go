package ctl

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/client"
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
	var of peering
	if kind == api.KindCustomer {
		if of, err = customerOf(ctx, c, name); err != nil {
			return err
		}
	}
	if a.printer.machine() {
		if err := a.printer.value(struct {
			Object rawJSON     `json:"object"`
			Status *api.Status `json:"status"`
			Events []api.Event `json:"events"`
			peering
		}{rawJSON(data), only, orEmpty(events), of}); err != nil {
			return err
		}
		return of.partial()
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
	if kind != api.KindCustomer || len(only.Warnings) > 0 { // its sessions tell how it is
		a.describeWarnings(st, only)
	}
	p.section(p.columns(announcedTable(of.Routes), "TO", "MED", "LOCAL-PREF"))
	p.section(p.columns(sessionTable(of.Sessions), "CUSTOMER", "VIP", "ROUTER-ID", "HOLD", "MD5", "FLAPS"))
	p.section(eventTable(events))
	return of.partial()
}

// peering is what a customer has with the fleet; of other objects nothing.
type peering struct {
	// Routes are what is announced to the customer, but not to all.
	Routes   []api.RouteIntent `json:"routes,omitempty"`
	Sessions []api.Session     `json:"sessions,omitempty"`
	// Unreachable are the real servers whose sessions are missing.
	Unreachable map[string]string `json:"unreachable,omitempty"`
	// Unknown says why no session is known.
	Unknown string `json:"unknown,omitempty"`
}

// customerOf asks for routes and sessions. That no real server answers is no
// reason not to show the rest.
func customerOf(ctx context.Context, c *client.Client, name string) (of peering, err error) {
	routes, err := c.Routes(ctx)
	if err != nil {
		return of, err
	}
	of.Routes = keep(routes, func(r api.RouteIntent) bool { return r.Target.Customer == name })
	list, err := c.Sessions(ctx, client.SessionFilter{Customer: name})
	if err != nil {
		of.Unknown = err.Error()
		return of, nil
	}
	of.Sessions, of.Unreachable = list.Items, list.Unreachable
	return of, nil
}

func (of *peering) partial() error {
	if of.Unknown != "" {
		return api.WithExit(api.ExitPartial, fmt.Errorf("the customer's sessions are not known: %s", of.Unknown))
	}
	return partial(of.Unreachable)
}

// describeWarnings never says that all is well while something is wrong
// elsewhere in the site.
func (a *app) describeWarnings(site, only *api.Status) {
	rest := len(site.Warnings) - len(only.Warnings)
	if len(only.Warnings) > 0 || rest == 0 {
		a.printer.warningLines(only)
	} else {
		a.printer.printf("\nnothing is known to be wrong with it\n")
	}
	if rest > 0 {
		a.printer.printf("%s of other objects: peeragectl status shows them\n", counted(rest, "warning"))
	}
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
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
	carriers := carriers(st, kind, name)
	out.Warnings = keep(st.Warnings, func(w api.StatusWarning) bool {
		return w.Object == key || slices.Contains(carriers, w.Object) || w.Object == "" || kind != api.KindPool && strings.Contains(w.Message, name)
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

// carriers are the load balancers that a pool or a real server depends on, and
// the pools of a real server.
func carriers(st *api.Status, kind api.Kind, name string) []string {
	var objects []string
	for _, p := range st.Pools {
		mine := kind == api.KindPool && p.Name == name
		if kind == api.KindRealServer && slices.ContainsFunc(p.Servers, func(m api.MemberStatus) bool { return m.Server == name }) {
			mine = true
			objects = append(objects, string(api.KindPool)+"/"+p.Name)
		}
		if !mine {
			continue
		}
		for _, lb := range p.LBs {
			objects = append(objects, string(api.KindLoadBalancer)+"/"+lb.LB)
		}
	}
	return objects
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
