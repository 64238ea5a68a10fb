//go:build linux

package e2e

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/peerage/peerage/hack/lab"
)

// Site is a site that is up, and what is watched of it.
type Site struct {
	Lab *lab.Lab
	// Trace is told every step with how long it took; nil for silence.
	Trace func(format string, args ...any)
	// Tick is called while something is waited for; nil for never.
	Tick func()
	// Patience is how many times as long as it says a wait may take. What is
	// waited for is no matter of speed, and a machine may be busy with others.
	Patience int

	sessions *lab.Sessions
}

// NewSite watches a site that is up or coming up.
func NewSite(l *lab.Lab) *Site {
	return &Site{Lab: l, Patience: defaultPatience(), sessions: lab.FollowSessions(l.Topology)}
}

// defaultPatience is one, and more on an emulated machine.
func defaultPatience() int {
	if os.Getenv("PEERAGE_LAB_MODE") == "vm" {
		return 4
	}
	return 1
}

// Sessions are the customers' sessions, as of the last look.
func (s *Site) Sessions() *lab.Sessions { return s.sessions }

func (s *Site) tick() {
	if s.Tick != nil {
		s.Tick()
	}
}

func (s *Site) trace(format string, args ...any) {
	if s.Trace != nil {
		s.Trace(format, args...)
	}
}

// restTimeout bounds how long a site may take to come to rest: an LB warms up,
// customers whose hold time ran out back off, and each session of a swarm takes its
// time on an emulated machine.
func (s *Site) restTimeout() time.Duration {
	swarm := s.Lab.Topology.Swarm
	if swarm.Sessions == 0 {
		return 5 * time.Minute
	}
	return 3*time.Minute + time.Duration(swarm.Sessions)*100*time.Millisecond
}

// Rest waits until a site is as it should be when nobody does anything to it.
func (s *Site) Rest(ctx context.Context) error {
	r := s.Begin(nil)
	var lbs []string
	for _, n := range s.Lab.Topology.LBNodes() {
		lbs = append(lbs, n.Name)
	}
	return s.within(ctx, s.restTimeout(), func(ctx context.Context) error {
		// What costs little comes first: on an emulated machine looking keeps
		// others from working.
		for _, ok := range []func() error{
			func() error { return r.established(ctx, []string{"all"}) },
			func() error { return r.nexthops(ctx, lbs) },
			func() error { return r.tablesAre(ctx, []string{"equal"}) },
			func() error { return r.allServing(ctx) },
			func() error { return r.agree(ctx, nil) },
		} {
			if err := ok(); err != nil {
				return err
			}
		}
		return nil
	})
}

// Home lets the customers connect anew that are not on the server that their
// address maps to, on a site at rest. While a site comes up, or after a server
// was out, some are elsewhere: a session stays where it is.
func (s *Site) Home(ctx context.Context) error {
	r := s.Begin(nil)
	var plan Mapping
	if err := s.eventually(ctx, time.Minute, func(ctx context.Context) (err error) { // the store is slow at times
		plan, err = r.planned(ctx)
		return err
	}); err != nil {
		return err
	}
	now, err := s.Holders()
	if err != nil {
		return err
	}
	var astray []string
	for _, one := range s.sessions.All() {
		if name := one.Customer.Name; now[name] != plan[name] {
			astray = append(astray, name)
		}
	}
	if err := r.reset(ctx, astray); err != nil || len(astray) == 0 {
		return err
	}
	s.trace("        %d customers go home", len(astray))
	if err := s.Rest(ctx); err != nil {
		return err
	}
	return s.eventually(ctx, time.Minute, r.mappedAsPlanned)
}

// allServing: every server has weight 1 for every VIP on every powered LB.
func (r *Story) allServing(context.Context) error {
	for _, lb := range r.runningLBs() {
		table, err := r.Lab.Table(lb.Name)
		if err != nil {
			return err
		}
		for _, n := range r.Lab.Topology.RealServerNodes() {
			if err := r.weightsAre(lb, table, n, 1); err != nil {
				return err
			}
		}
	}
	return nil
}

// Restore takes back whatever a scenario did: nodes are booted, cables plugged
// in, programs started, servers pooled.
func (s *Site) Restore(ctx context.Context) error {
	for _, n := range s.Lab.Topology.Nodes() {
		if !s.Lab.Powered(n) {
			if err := s.Lab.Boot(ctx, n.Name); err != nil {
				return err
			}
			continue
		}
		if err := s.Lab.Cut(n.Name, false); err != nil {
			return err
		}
		for _, p := range s.Lab.Topology.Processes(n, s.Lab.Bin) {
			name := n.Name + "/" + p.Name
			switch running := lab.PID(n, p) != 0; {
			case running:
				if err := s.Lab.Signal(ctx, name, unix.SIGCONT); err != nil {
					return err
				}
			case len(p.Argv) > 0:
				if err := s.Lab.Start(ctx, name); err != nil {
					return err
				}
			}
		}
	}
	for _, n := range s.Lab.Topology.CustomerNodes() {
		if n.MD5 {
			if err := s.Lab.Rekey(ctx, n.Name, ""); err != nil {
				return err
			}
		}
	}
	return s.within(ctx, s.restTimeout(), func(ctx context.Context) error {
		if out, err := s.Lab.Ctl(ctx, "apply", "-f", lab.Root+"/site.yaml"); err != nil {
			return fmt.Errorf("peeragectl apply: %w: %s", err, out)
		}
		return s.poolAll(ctx)
	})
}

func (s *Site) poolAll(ctx context.Context) error {
	status, err := s.Status(ctx)
	if err != nil {
		return err
	}
	for _, server := range status.RealServers {
		if server.Depooled == nil {
			continue
		}
		if out, err := s.Lab.Ctl(ctx, "pool", server.Name, "--reason", "end of a scenario"); err != nil {
			return fmt.Errorf("peeragectl pool: %w: %s", err, out)
		}
	}
	return nil
}
