//go:build linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-cmp/cmp"

	"github.com/peerage/peerage/hack/lab"
)

// established: N sessions are up, and each on exactly one real server.
func (r *Story) established(_ context.Context, args []string) error {
	want := len(r.sessions.All())
	if args[0] != "all" {
		var err error
		if want, err = strconv.Atoi(args[0]); err != nil {
			return err
		}
	}
	// Their routers are asked first: that costs less.
	if err := r.sessions.Update(); err != nil {
		return err
	}
	if n := r.sessions.Established(); n < want {
		return fmt.Errorf("%d of %d sessions are established by their routers' word, want %d; missing %s", n, len(r.sessions.All()), want, r.down())
	}
	m, err := r.Holders()
	if err != nil {
		return err
	}
	if len(m) != want {
		return fmt.Errorf("%d of %d sessions are established, want %d; missing %s", len(m), len(r.sessions.All()), want, r.missing(m))
	}
	return nil
}

// down lists the customers whose router has no session.
func (r *Story) down() string {
	var names []string
	for _, s := range r.sessions.All() {
		if !s.Established {
			names = append(names, s.Customer.Name)
		}
	}
	return list(names, " ")
}

// missing lists the customers without a session.
func (r *Story) missing(m Mapping) string {
	var names []string
	for _, s := range r.sessions.All() {
		if m[s.Customer.Name] == "" {
			names = append(names, s.Customer.Name)
		}
	}
	return list(names, " ")
}

// maxListed bounds what an error lists: there may be thousands.
const maxListed = 30

func list(words []string, separator string) string {
	more := ""
	if n := len(words); n > maxListed {
		words, more = words[:maxListed], fmt.Sprintf("%sand %d more", separator, n-maxListed)
	}
	return strings.Join(words, separator) + more
}

// flapped: exactly N sessions, or those of a server as saved, went down since
// the mark.
func (r *Story) flapped(_ context.Context, args []string) error {
	if err := r.sessions.Update(); err != nil {
		return err
	}
	var got, why []string
	for _, s := range r.sessions.Flapped(r.mark) {
		got = append(got, s.Customer.Name)
		for _, c := range s.Flaps(r.mark) {
			why = append(why, fmt.Sprintf("%s %s %q", s.Customer.Name, c.At.Format("15:04:05.000"), c.Why))
		}
	}
	if n, err := strconv.Atoi(args[0]); err == nil {
		if len(got) != n {
			return fmt.Errorf("%d sessions flapped, want %d: %s", len(got), n, list(why, ", "))
		}
		return nil
	}
	want, err := r.choose(args[0])
	if err != nil {
		return err
	}
	if diff := cmp.Diff(want, got); diff != "" {
		return fmt.Errorf("the wrong sessions flapped, %d instead of %d (-want +got):\n%s%s", len(got), len(want), diff, list(why, "\n"))
	}
	return nil
}

// holds: a server has N sessions, or those that it had in a saved mapping.
func (r *Story) holds(_ context.Context, args []string) error {
	m, err := r.Holders()
	if err != nil {
		return err
	}
	got := m.On(args[0])
	if name, ok := strings.CutPrefix(args[1], "same:"); ok {
		before, known := r.mappings[name]
		if !known {
			return fmt.Errorf("no mapping was saved as %q", name)
		}
		if diff := cmp.Diff(before.On(args[0]), got); diff != "" {
			return fmt.Errorf("%s holds other sessions than before (-before +now):\n%s", args[0], diff)
		}
		return nil
	}
	want, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	if len(got) != want {
		return fmt.Errorf("%s holds %d sessions, want %d: %s", args[0], len(got), want, list(got, " "))
	}
	return nil
}

// heard: every session of the swarm is up, and its server has acknowledged
// something since the mark: what moved without a flap is alive all the way.
func (r *Story) heard(ctx context.Context, args []string) error {
	if args[0] != "all" || r.Lab.Topology.Swarm.Sessions == 0 {
		return errors.New("want: all, on a site with a swarm")
	}
	s, err := r.Lab.Topology.SwarmClient().Status(ctx)
	if err != nil {
		return err
	}
	if s.Acked != s.Sessions {
		return fmt.Errorf("%d of %d sessions were acknowledged something since the mark; %d are up", s.Acked, s.Sessions, s.Established)
	}
	return nil
}

// allTables are the tables of the LBs that are powered: what ipvsadm prints,
// and the kernel's order.
func (s *Site) allTables() (map[string]string, error) {
	tables := make(map[string]string)
	for _, n := range s.runningLBs() {
		saved, err := s.Lab.Table(n.Name)
		if err != nil {
			return nil, err
		}
		order, err := s.Lab.Order(n.Name)
		if err != nil {
			return nil, err
		}
		tables[n.Name] = saved + "# in the order of the kernel\n" + order
	}
	return tables, nil
}

// tablesAre: the tables of all LBs are equal, as they were saved, or as a file.
func (r *Story) tablesAre(_ context.Context, args []string) error {
	tables, err := r.allTables()
	if err != nil {
		return err
	}
	switch {
	case args[0] == "equal" && len(args) == 1:
		names := slices.Sorted(maps.Keys(tables))
		for _, n := range names[1:] {
			if diff := cmp.Diff(tables[names[0]], tables[n]); diff != "" {
				return fmt.Errorf("the table of %s differs from that of %s (-%[2]s +%[1]s):\n%[3]s", n, names[0], diff)
			}
		}
		return nil
	case args[0] == "same" && len(args) == 2:
		if diff := cmp.Diff(r.tables[args[1]], tables); diff != "" {
			return fmt.Errorf("the tables changed (-before +now):\n%s", diff)
		}
		return nil
	case args[0] == "golden" && len(args) == 2:
		for _, n := range slices.Sorted(maps.Keys(tables)) {
			saved, _, _ := strings.Cut(tables[n], "#")
			if diff := cmp.Diff(r.scenario.Files[args[1]], saved); diff != "" {
				return fmt.Errorf("ipvsadm -Sn of %s (-want +got):\n%s", n, diff)
			}
		}
		return nil
	}
	return errors.New("want: equal | same NAME | golden FILE")
}

// weight: a server has this weight for every VIP on every LB.
func (r *Story) weight(_ context.Context, args []string) error {
	n, err := r.Lab.Topology.Node(args[0])
	if err != nil {
		return err
	}
	want, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	for _, lb := range r.runningLBs() {
		table, err := r.Lab.Table(lb.Name)
		if err != nil {
			return err
		}
		if err := r.weightsAre(lb, table, n, want); err != nil {
			return err
		}
	}
	return nil
}

func (r *Story) weightsAre(lb lab.Node, table string, n lab.Node, want int) error {
	got := lab.Weights(table, n)
	if len(got) != len(r.vips()) || slices.ContainsFunc(got, func(w int) bool { return w != want }) {
		return fmt.Errorf("%s has weights %v on %s, want %d for each VIP", n.Name, got, lb.Name, want)
	}
	return nil
}

// nexthops: the fabric sends every VIP to exactly these LBs.
func (r *Story) nexthops(_ context.Context, args []string) error {
	want := slices.Sorted(slices.Values(args))
	for _, vip := range r.vips() {
		got, err := r.Lab.NextHops(vip)
		if err != nil {
			return err
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("the fabric sends %s to %v, want %v", vip, got, want)
		}
	}
	return nil
}

// agree: the controllers say that every LB that is powered runs the plan.
func (r *Story) agree(ctx context.Context, _ []string) error {
	status, err := r.Status(ctx)
	if err != nil {
		return err
	}
	if len(status.Pools) == 0 {
		return errors.New("the status shows no pool")
	}
	for _, p := range status.Pools {
		for _, lb := range p.LBs {
			n, err := r.Lab.Topology.Node(lb.LB)
			if err != nil {
				return err
			}
			if r.Lab.Powered(n) && (!lb.Reported || !lb.Agrees || !lb.Live) {
				return fmt.Errorf("%s does not agree with the plan of %s: %+v", lb.LB, p.Name, lb)
			}
		}
	}
	return nil
}

// leader: the elected controller is, or is not, one of this name.
func (r *Story) leader(ctx context.Context, args []string) error {
	status, err := r.Status(ctx)
	if err != nil {
		return err
	}
	switch {
	case len(args) == 2 && args[0] == "not":
		if status.Leader == "" || status.Leader == args[1] {
			return fmt.Errorf("the leader is %q, want another one", status.Leader)
		}
	case status.Leader != args[0]:
		return fmt.Errorf("the leader is %q, want %s", status.Leader, args[0])
	}
	return nil
}
