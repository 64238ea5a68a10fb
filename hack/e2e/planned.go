//go:build linux

package e2e

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/controller/mh"
)

// planned is the mapping that the plan in the store predicts for sessions that
// begin now: what the model of mh says of its tables.
func (s *Site) planned(ctx context.Context) (Mapping, error) {
	var plan api.Plan
	if err := s.etcdGet(ctx, "/peerage/v1/plan/"+s.Lab.Topology.Pool.Name, &plan); err != nil {
		return nil, err
	}
	models := make(map[bool]*mh.Table)
	for _, t := range plan.Tables() {
		models[t.VIP.Is4()] = mh.New(t)
	}
	servers := make(map[netip.Addr]string)
	for _, d := range plan.Destinations {
		for _, a := range d.Addresses {
			servers[a] = d.Server
		}
	}
	m := make(Mapping)
	for _, one := range s.sessions.All() {
		if len(one.Customer.Data) == 0 {
			return nil, fmt.Errorf("session %s has not begun", one.Customer.Name)
		}
		source := one.Customer.Data[0].Addr()
		to, ok := models[source.Is4()].Lookup(source)
		if !ok {
			return nil, fmt.Errorf("the plan has no server for %s", source)
		}
		m[one.Customer.Name] = servers[to.Addr]
	}
	return m, nil
}

// mappedAsPlanned: every customer is on the server that the plan's tables map
// its address to.
func (r *Story) mappedAsPlanned(ctx context.Context) error {
	plan, err := r.planned(ctx)
	if err != nil {
		return err
	}
	now, err := r.Holders()
	if err != nil {
		return err
	}
	if astray := now.Moved(plan); len(astray) > 0 {
		return fmt.Errorf("%d are not where the plan maps them: %s", len(astray), list(astray, ", "))
	}
	return nil
}

// mapping: every customer is where the plan maps it, or where it was, but for
// those that were on an excepted server: they are on another one.
func (r *Story) mapping(ctx context.Context, args []string) error {
	if args[0] == "plan" && len(args) == 1 {
		return r.mappedAsPlanned(ctx)
	}
	before, known := r.mappings[args[0]]
	if !known {
		return fmt.Errorf("no mapping was saved as %q", args[0])
	}
	var except []string
	if len(args) > 1 {
		if args[1] != "except" {
			return fmt.Errorf("%q is not understood; want except SERVER", args[1])
		}
		except = args[2:]
	}
	now, err := r.Holders()
	if err != nil {
		return err
	}
	if moves := now.Moved(before, except...); len(moves) > 0 {
		return fmt.Errorf("%d moved: %s", len(moves), list(moves, ", "))
	}
	for _, server := range except {
		for _, c := range before.On(server) {
			if to := now[c]; to == server || to == "" {
				return fmt.Errorf("%s was on %s and is on %q; it should be elsewhere", c, server, to)
			}
		}
	}
	return nil
}
