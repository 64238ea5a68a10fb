//go:build linux

package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/peerage/peerage/hack/lab"
)

// suite runs scenarios, those with the same topology on the same site.
type suite struct {
	out      io.Writer
	verbose  bool
	bin      string
	swarm    int
	patience int
	results  string
	start    time.Time

	lab  *lab.Lab
	site *Site
	// topology is the name of the site that is up; empty: none.
	topology string
}

// Main is the command: -run REGEXP, -v, the folders of scenarios.
func Main(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("peerage-e2e", flag.ContinueOnError)
	match := fs.String("run", "", "run the scenarios whose name matches this regular expression")
	dir := fs.String("scenarios", "hack/e2e/scenarios", "folder of the scenarios")
	verbose := fs.Bool("v", false, "print every step with how long it took")
	self, err := os.Executable()
	if err != nil {
		return err
	}
	swarm := fs.Int("swarm", 0, "how many sessions a swarm has, a tenth of which sign; 0: as the topology says")
	patience := fs.Int("patience", defaultPatience(), "how many times as long as a scenario says its waits may take")
	bin := fs.String("bin", filepath.Dir(self), "folder of the compiled programs")
	if err := fs.Parse(args); err != nil {
		return err
	}
	re, err := regexp.Compile(*match)
	if err != nil {
		return err
	}
	scenarios, err := Load(*dir, re)
	if err != nil {
		return err
	}
	// A stable sort keeps the order of names within a topology.
	slices.SortStableFunc(scenarios, func(a, b *Scenario) int { return strings.Compare(a.Topology, b.Topology) })
	s := &suite{out: out, verbose: *verbose, bin: *bin, swarm: *swarm, patience: *patience, results: os.Getenv("LAB_OUT"), start: time.Now()}
	return s.run(ctx, scenarios)
}

func (s *suite) print(format string, args ...any) {
	fmt.Fprintf(s.out, "[%4.0fs] %s\n", time.Since(s.start).Seconds(), fmt.Sprintf(format, args...))
}

func (s *suite) run(ctx context.Context, scenarios []*Scenario) error {
	var failed []string
	for _, scenario := range scenarios {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		start := time.Now()
		err := s.one(ctx, scenario)
		took := time.Since(start).Round(100 * time.Millisecond)
		if err == nil {
			s.print("ok    %s (%s)", scenario.Name, took)
			continue
		}
		s.print("FAIL  %s (%s)\n%s\n%v", scenario.Name, took, scenario.About, err)
		failed = append(failed, fmt.Sprintf("%s: %.500v", scenario.Name, err))
		if s.site != nil {
			s.site.Dump(context.WithoutCancel(ctx), s.out, filepath.Join(s.results, scenario.Name))
		}
		// What comes next gets a site of its own.
		if err := s.down(); err != nil {
			return fmt.Errorf("the site cannot be taken down: %w", err)
		}
	}
	if err := s.down(); err != nil {
		return err
	}
	if len(failed) > 0 {
		return fmt.Errorf("%d of %d scenarios failed\n%s", len(failed), len(scenarios), strings.Join(failed, "\n"))
	}
	s.print("all %d scenarios passed", len(scenarios))
	return nil
}

// one runs a scenario on a site at rest.
func (s *suite) one(ctx context.Context, scenario *Scenario) error {
	if s.topology != scenario.Topology {
		if err := s.up(ctx, scenario.Topology); err != nil {
			return err
		}
	} else if err := s.site.Restore(ctx); err != nil {
		return fmt.Errorf("restore the site: %w", err)
	}
	if err := s.site.Rest(ctx); err != nil {
		return fmt.Errorf("the site does not come to rest: %w", err)
	}
	if err := s.site.Home(ctx); err != nil {
		return fmt.Errorf("the customers do not come home: %w", err)
	}
	if s.verbose {
		s.print("at rest; %s: %s", scenario.Name, scenario.About)
	}
	return s.site.Run(ctx, scenario)
}

func (s *suite) up(ctx context.Context, name string) error {
	if err := s.down(); err != nil {
		return err
	}
	topology, err := lab.ReadTopology("hack/lab/topologies/" + name + ".yaml")
	if err != nil {
		return err
	}
	if s.swarm > 0 && topology.Swarm.Sessions > 0 {
		topology.Swarm.Sessions, topology.Swarm.MD5 = s.swarm, s.swarm/10
		if err := topology.Validate(); err != nil {
			return err
		}
	}
	s.topology = name
	s.lab = &lab.Lab{Topology: topology, Bin: s.bin}
	s.site = NewSite(s.lab)
	s.site.Patience = s.patience
	if s.verbose {
		s.lab.Report = s.print
		s.site.Trace = s.print
	}
	s.print("      site %s: %d load balancers, %d real servers, %d controllers, %d customers", name,
		topology.LoadBalancers, topology.RealServers, topology.Controllers, len(topology.CustomerNodes())+topology.Swarm.Sessions)
	return s.lab.Up(ctx)
}

func (s *suite) down() error {
	if s.topology == "" {
		return nil
	}
	s.topology = ""
	err := s.lab.Down()
	s.site = nil
	if err != nil {
		return errors.Join(errors.New("take the site down"), err)
	}
	return nil
}
