//go:build linux

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/hack/lab"
)

// Story is a scenario under way.
type Story struct {
	*Site
	scenario *Scenario
	// mark is the moment since which flaps count, and acknowledgements.
	mark time.Time
	// mappings and tables are what was saved, by name.
	mappings map[string]Mapping
	tables   map[string]map[string]string
	// vars are what `let` set; $NAME stands for them.
	vars map[string]string
	// logEnds are where the logs of customers' routers ended at the mark.
	logEnds map[string]int64
	// printed is what the last ctl printed.
	printed string
}

// pollEvery is how often an expectation is looked at.
const pollEvery = 200 * time.Millisecond

// Begin starts a story on a site. Files are what its steps may refer to.
func (s *Site) Begin(files map[string]string) *Story {
	return &Story{
		Site: s, scenario: &Scenario{Files: files}, mark: time.Now(),
		mappings: make(map[string]Mapping), tables: make(map[string]map[string]string), vars: make(map[string]string),
	}
}

// Take takes one step, written as in a scenario's file.
func (r *Story) Take(ctx context.Context, line string) error {
	step, err := r.scenario.parseStep(line)
	if err != nil {
		return fmt.Errorf("%s: %w", line, err)
	}
	if err := r.take(ctx, step); err != nil {
		return fmt.Errorf("%s: %w", line, err)
	}
	return nil
}

// Run takes every step of a scenario on a site that is up and at rest.
func (s *Site) Run(ctx context.Context, scenario *Scenario) error {
	r := s.Begin(scenario.Files)
	for _, step := range scenario.Steps {
		start := time.Now()
		err := r.take(ctx, step)
		s.trace("%-7s line %-3d %s", time.Since(start).Round(10*time.Millisecond), step.Line, step.Text)
		if err != nil {
			return fmt.Errorf("line %d: %s: %w", step.Line, step.Text, err)
		}
	}
	return nil
}

func (r *Story) take(ctx context.Context, step Step) error {
	v := verbs(r)[step.Verb]
	args := r.expand(step.Args)
	holds := func(ctx context.Context) error { return v.expect(ctx, args) }
	switch step.Mode {
	case Do:
		return v.do(ctx, step, args)
	case Check:
		return holds(ctx)
	case Wait:
		return r.eventually(ctx, step.Limit, holds)
	case Within:
		return r.within(ctx, step.Limit, holds)
	case During:
		return r.always(ctx, step.Limit, holds)
	}
	return fmt.Errorf("mode %d", step.Mode)
}

// expand replaces $NAME by what let set.
func (r *Story) expand(args []string) []string {
	out := make([]string, len(args))
	for i, a := range args {
		for name, value := range r.vars {
			a = strings.ReplaceAll(a, "$"+name, value)
		}
		out[i] = a
	}
	return out
}

// eventually waits until ok returns nil, with patience.
func (s *Site) eventually(ctx context.Context, limit time.Duration, ok func(context.Context) error) error {
	return s.within(ctx, limit*time.Duration(max(1, s.Patience)), ok)
}

// within waits until ok returns nil, no longer than the limit; its last error
// says what was not so.
func (s *Site) within(ctx context.Context, limit time.Duration, ok func(context.Context) error) error {
	start := time.Now()
	for {
		err := ok(ctx)
		s.tick()
		if err == nil {
			return nil
		}
		if time.Since(start) >= limit {
			return fmt.Errorf("not within %s: %w", limit, err)
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(pollEvery):
		}
	}
}

// always sees that ok returns nil for the whole length.
func (s *Site) always(ctx context.Context, length time.Duration, ok func(context.Context) error) error {
	start := time.Now()
	for time.Since(start) < length {
		if err := ok(ctx); err != nil {
			return fmt.Errorf("after %s: %w", time.Since(start).Round(time.Millisecond), err)
		}
		s.tick()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pollEvery):
		}
	}
	return nil
}

// Status asks the controllers for the status of the site.
func (s *Site) Status(ctx context.Context) (*api.Status, error) {
	out, err := s.Lab.Ctl(ctx, "status", "-o", "json")
	if err != nil {
		return nil, fmt.Errorf("peeragectl status: %w: %s", err, out)
	}
	var status api.Status
	if err := json.Unmarshal(out, &status); err != nil {
		return nil, fmt.Errorf("peeragectl status -o json: %w", err)
	}
	return &status, nil
}

// Holders is the mapping of established sessions: the customer's router says
// that it is up, the real server's kernel that it has the connection. The swarm
// also knows who answered; when it disagrees, nobody holds the session.
func (s *Site) Holders() (Mapping, error) {
	if err := s.sessions.Update(); err != nil {
		return nil, err
	}
	all, err := s.Lab.Holders(s.sessions)
	if err != nil {
		return nil, err
	}
	answered := make(map[netip.Addr]string)
	for _, n := range s.Lab.Topology.RealServerNodes() {
		answered[n.Addr(true)] = n.Name
	}
	m := make(Mapping)
	for _, one := range s.sessions.All() {
		server := all[one.Customer.Name]
		if one.Established && server != "" && (!one.Server.IsValid() || answered[one.Server] == server) {
			m[one.Customer.Name] = server
		}
	}
	return m, nil
}

// runningLBs are the LBs that are powered.
func (s *Site) runningLBs() []lab.Node {
	var up []lab.Node
	for _, n := range s.Lab.Topology.LBNodes() {
		if s.Lab.Powered(n) {
			up = append(up, n)
		}
	}
	return up
}

// vips are the VIPs that have customers.
func (s *Site) vips() []netip.Addr { return s.Lab.Topology.Pool.VIPs }
