//go:build linux

package demo

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/client"
	"github.com/peerage/peerage/hack/e2e"
	"github.com/peerage/peerage/hack/lab"
)

// server is the real server that the demo maintains, victim the LB that it
// breaks.
const (
	server = "rs-2"
	victim = "lb-1"
)

// demo is a demo under way.
type demo struct {
	lab    *lab.Lab
	site   *e2e.Site
	story  *e2e.Story
	screen *screen
	result *Result
	// mark is when the step began, in which flaps are counted.
	mark time.Time
}

// newDemo is a demo on a lab that is not built yet.
func newDemo(l *lab.Lab, out *screen) *demo {
	d := &demo{
		lab: l, site: e2e.NewSite(l), screen: out, mark: out.start,
		result: &Result{Flapped: make(map[string]int), ApplyMSByLB: make(map[string][]float64), Servers: make(map[string]Count)},
	}
	d.story = d.site.Begin(nil)
	d.site.Tick = func() {
		s := d.site.Sessions()
		d.screen.progress(s.Established(), len(s.All()), len(s.Flapped(d.mark)))
	}
	l.Report = d.screen.say
	return d
}

// finish completes the result; err is what ended the demo early.
func (d *demo) finish(err error) {
	r := d.result
	if err != nil {
		r.Failures = append(r.Failures, err.Error())
	}
	r.OK = err == nil
	r.Sessions = d.site.Sessions().Established()
	var all []float64
	for _, ms := range r.ApplyMSByLB {
		all = append(all, ms...)
	}
	r.ApplyMS = Quantiles{P50: lab.Quantile(all, 0.5), P99: lab.Quantile(all, 0.99)}
	r.Seconds = math.Round(time.Since(d.screen.start).Seconds()*10) / 10
}

func (d *demo) run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{d.build, d.depool, d.pool, d.killLB, d.bootLB} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	now, err := d.site.Holders()
	if err != nil {
		return err
	}
	for _, n := range d.lab.Topology.RealServerNodes() {
		c := d.result.Servers[n.Name]
		c.After = len(now.On(n.Name))
		d.result.Servers[n.Name] = c
	}
	return nil
}

// take takes steps written as in a scenario; the first that fails ends it.
func (d *demo) take(ctx context.Context, lines ...string) error {
	for _, line := range lines {
		if err := d.story.Take(ctx, line); err != nil {
			return err
		}
	}
	return nil
}

// counted runs a step of the demo and counts the sessions that flap in it.
func (d *demo) counted(name string, step func() error) error {
	d.mark = time.Now()
	err := step()
	if updateErr := d.site.Sessions().Update(); updateErr != nil {
		return errors.Join(err, updateErr)
	}
	flapped := d.site.Sessions().Flapped(d.mark)
	d.result.Flapped[name] = len(flapped)
	for _, s := range flapped {
		for _, c := range s.Flaps(d.mark) {
			d.screen.say("%s flapped at %s: %s", s.Customer.Name, c.At.Format("15:04:05.000"), c.Why)
		}
	}
	if err == nil && len(flapped) > 0 {
		err = fmt.Errorf("%d sessions flapped in step %s, want 0", len(flapped), name)
	}
	if err == nil {
		d.screen.say("%d of %d sessions established, 0 flapped", d.site.Sessions().Established(), len(d.site.Sessions().All()))
	}
	return err
}

func (d *demo) build(ctx context.Context) error {
	t := d.lab.Topology
	d.screen.title("Build the site", fmt.Sprintf(
		"A fabric router, %d load balancers, %d real servers, %d controllers, a store, and %d customers' routers (%d IPv4, %d IPv6, %d\n"+
			"with TCP-MD5), each in a network namespace of its own. BIRD is every router; the speakers are Peerage's own; etcd and IPVS are real.",
		t.LoadBalancers, t.RealServers, t.Controllers, t.Customers.V4+t.Customers.V6, t.Customers.V4, t.Customers.V6, t.Customers.MD5))
	if err := d.lab.Up(ctx); err != nil {
		return err
	}
	if err := d.site.Rest(ctx); err != nil {
		return fmt.Errorf("the site does not come up: %w", err)
	}
	if err := d.take(ctx, "save mapping start"); err != nil {
		return err
	}
	holders, err := d.site.Holders()
	if err != nil {
		return err
	}
	for _, n := range t.RealServerNodes() {
		d.result.Servers[n.Name] = Count{Before: len(holders.On(n.Name))}
	}
	d.screen.say("%d sessions established through the VIPs %v; per server %s", len(holders), t.Pool.VIPs, holders)
	d.screen.say("both load balancers hold the same table and share both VIPs")
	return nil
}

func (d *demo) depool(ctx context.Context) error {
	d.screen.title("Take "+server+" out: peeragectl depool "+server+" --reason 'replace a disk'",
		"Its weight becomes 0 on every load balancer. A BGP session never ends by itself, so those that it holds must stay;\n"+
			"only customers that connect anew go elsewhere.")
	return d.counted("depool", func() error {
		if err := d.verb(ctx, 0, "depool", server, "--reason", "replace a disk"); err != nil {
			return err
		}
		return d.take(ctx, "wait 20s agree", "tables equal", "during 5s established all", "holds "+server+" same:start", "mapping start")
	})
}

func (d *demo) pool(ctx context.Context) error {
	d.screen.title("Put it back: peeragectl pool "+server,
		"The table is again what it was, in the same order: nobody is sent elsewhere than before.")
	return d.counted("pool", func() error {
		if err := d.verb(ctx, 1, "pool", server, "--reason", "disk replaced"); err != nil {
			return err
		}
		return d.take(ctx, "wait 20s agree", "tables equal", "during 5s established all", "mapping start")
	})
}

func (d *demo) killLB(ctx context.Context) error {
	t := d.lab.Topology
	d.screen.title("Cut the power of "+victim,
		fmt.Sprintf("BFD (%s × 3) tells the fabric, which sends everything to the other load balancer. That one has every connection,\n"+
			"by the kernel's connection sync. The hold time of %s passes; whoever lost packets for good would flap.", t.Timers.BFD, t.Timers.Hold))
	return d.counted("lb_kill", func() error {
		start := time.Now()
		if err := d.take(ctx, "kill "+victim); err != nil {
			return err
		}
		if err := d.take(ctx, "wait 10s nexthops "+strings.Join(d.lbs(victim), " ")); err != nil {
			return err
		}
		d.result.FailoverMS = milliseconds(time.Since(start))
		d.screen.say("the fabric routes around it after %.0f ms", d.result.FailoverMS)
		return d.take(ctx, fmt.Sprintf("during %s established all", t.Timers.Hold+3*time.Second), "mapping start")
	})
}

func (d *demo) bootLB(ctx context.Context) error {
	t := d.lab.Topology
	d.screen.title("Power "+victim+" on again",
		fmt.Sprintf("Its kernel knows no connection. It builds its table, listens to its neighbour for %s, and only then announces the VIPs.", t.Timers.Warmup))
	return d.counted("lb_back", func() error {
		start := time.Now()
		if err := d.take(ctx, "boot "+victim, "wait 90s nexthops "+strings.Join(d.lbs(""), " ")); err != nil {
			return err
		}
		d.screen.say("it announces again after %.0f s", time.Since(start).Seconds())
		return d.take(ctx, "wait 20s agree", "tables equal", fmt.Sprintf("during %s established all", t.Timers.Hold+3*time.Second), "mapping start")
	})
}

// lbs are the names of all LBs but one.
func (d *demo) lbs(but string) []string {
	var names []string
	for _, n := range d.lab.Topology.LBNodes() {
		if n.Name != but {
			names = append(names, n.Name)
		}
	}
	return names
}

// verb runs a verb of peeragectl and measures, for every LB, the time from its
// acceptance until the LB's kernel shows the weight.
func (d *demo) verb(ctx context.Context, weight int, verb, server string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var g errgroup.Group
	lbs := d.lab.Topology.LBNodes()
	seen := make([]time.Time, len(lbs))
	begin := time.Now()
	for i, n := range lbs {
		g.Go(func() (err error) {
			seen[i], err = d.lab.AwaitWeight(ctx, n.Name, server, weight)
			return err
		})
	}
	out, err := d.lab.Ctl(ctx, append([]string{verb, server}, args...)...)
	if err != nil {
		cancel()
		return errors.Join(fmt.Errorf("peeragectl %s: %w: %s", verb, err, out), g.Wait())
	}
	for line := range strings.Lines(string(out)) {
		d.screen.line("          %s", strings.TrimRight(line, "\n"))
	}
	if err := g.Wait(); err != nil {
		return err
	}
	accepted, err := d.accepted(ctx, verb, server, begin)
	if err != nil {
		return err
	}
	for i, n := range lbs {
		ms := milliseconds(seen[i].Sub(accepted))
		d.result.ApplyMSByLB[n.Name] = append(d.result.ApplyMSByLB[n.Name], ms)
		d.screen.say("%s: weight %d in the kernel %.1f ms after the controller accepted it", n.Name, weight, ms)
	}
	return nil
}

// accepted is when the controller accepted a verb, by the audit trail. All
// nodes of the lab share one clock.
func (d *demo) accepted(ctx context.Context, verb, server string, since time.Time) (time.Time, error) {
	c, err := client.New(client.Config{Servers: d.lab.Topology.API()})
	if err != nil {
		return time.Time{}, err
	}
	defer c.Close()
	events, err := c.Events(ctx, 50)
	if err != nil {
		return time.Time{}, err
	}
	return acceptedAt(events, verb, server, since)
}

// acceptedAt finds the first event of a verb: the leader's word on what it did
// to the plan has the same verb, and comes later.
func acceptedAt(events []api.Event, verb, server string, since time.Time) (at time.Time, err error) {
	for _, e := range events {
		if e.Verb == verb && e.Object == string(api.KindRealServer)+"/"+server && !e.At.Before(since) && (at.IsZero() || e.At.Before(at)) {
			at = e.At
		}
	}
	if at.IsZero() {
		return at, fmt.Errorf("the audit trail does not show the %s of %s", verb, server)
	}
	return at, nil
}
