package swarm

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// phasesOf are the phases that the flags of the plain command stand for.
func (o *options) phasesOf() ([]phase, error) {
	var expect []Expectation
	var errs []error
	for _, text := range o.expect {
		e, err := ParseExpectation(text)
		errs = append(errs, err)
		expect = append(expect, e)
	}
	if o.duration < 0 || o.settle < 0 {
		errs = append(errs, errors.New("--duration and --until-established cannot be negative"))
	}
	var ps []phase
	if o.settle > 0 {
		ps = append(ps, phase{kind: phaseRamp, limit: o.settle})
	}
	ps = append(ps, phase{kind: phaseHold, limit: o.duration, patient: true}, phase{kind: phaseAssert, expect: expect})
	return ps, errors.Join(errs...)
}

// play runs a swarm through phases and reports. It returns what failed.
func (o *options) play(ctx context.Context, phases []phase, stdout, stderr io.Writer) (err error) {
	cfg, err := o.config()
	if err != nil {
		return usage(err)
	}
	if o.changes != "" {
		sink, err := newChangeSink(o.changes)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, sink.close()) }()
		cfg.OnChange = sink.write
	}
	s, err := New(cfg)
	if err != nil {
		return usage(err)
	}
	if o.addRoutes != "" {
		routes, err := addLocalRoutes(ctx, o.addRoutes, cfg.prefixes())
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, routes.remove(ctx)) }()
	}
	if o.control != "" {
		c, err := serveControl(o.control, s)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, c.close()) }()
		for i := range phases {
			phases[i].env = []string{controlVariable + "=" + o.control}
		}
	}
	report, failed := conduct(ctx, s, phases, stderr)
	return errors.Join(o.write(s, report, stdout), failed)
}

// write writes the report and the files that the flags ask for.
func (o *options) write(s *Swarm, r *Report, stdout io.Writer) error {
	var errs []error
	if o.records != "" {
		errs = append(errs, writeRecords(o.records, s.Records()))
	}
	if o.svg != "" {
		errs = append(errs, NewHistogram(r.outages).writeFile(o.svg))
	}
	return errors.Join(append(errs, r.Write(stdout, o.output))...)
}

// conduct plays the phases, sums up while the sessions still stand, and ends
// them. Its error is what failed.
func conduct(ctx context.Context, s *Swarm, phases []phase, stderr io.Writer) (*Report, error) {
	inner, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	outer, over := context.WithCancelCause(ctx)
	defer over(nil)
	stderr = &lockedWriter{w: stderr}

	var running sync.WaitGroup
	running.Go(func() {
		// Before inner ends Run returns with an error alone.
		if err := s.Run(inner); err != nil {
			over(err)
		}
	})
	progress, quiet := context.WithCancel(outer)
	running.Go(func() { showProgress(progress, s, stderr) })

	g := &stage{swarm: s, stderr: stderr}
	report := &Report{}
	var failed error
	for i := range phases {
		failed = g.report(outer, &phases[i], report)
		if failed != nil {
			break
		}
	}
	quiet()
	report.sumUp(s, g.first)
	report.Interrupted = ctx.Err() != nil
	if failed != nil {
		report.Failed = strings.Split(failed.Error(), "\n")
	}
	end()
	running.Wait()
	return report, failed
}

// report plays a phase; those with a name go into the report.
func (g *stage) report(ctx context.Context, p *phase, r *Report) error {
	if p.name == "" {
		return g.play(ctx, p)
	}
	fmt.Fprintf(g.stderr, "phase: %s\n", p.name)
	m := g.swarm.Mark()
	err := g.play(ctx, p)
	one := PhaseReport{Name: p.name, Kind: string(p.kind), From: m.At, Summary: g.swarm.SummarySince(m)}
	one.To = one.Summary.Elapsed
	if err != nil {
		err = fmt.Errorf("phase %q: %w", p.name, err)
		one.Failed = err.Error()
	}
	r.Phases = append(r.Phases, one)
	return err
}

func (r *Report) sumUp(s *Swarm, since *Mark) {
	r.Summary = s.SummarySince(since)
	if since != nil {
		r.Since = since.At
	}
	for _, one := range s.Records() {
		for _, o := range one.Outages {
			if o.From >= r.Since {
				r.outages = append(r.outages, o.Lasted)
			}
		}
		if one.DownSince > 0 && one.DownSince >= r.Since {
			r.outages = append(r.outages, r.Elapsed-one.DownSince)
		}
	}
}

// showProgress writes a line every two seconds.
func showProgress(ctx context.Context, s *Swarm, w io.Writer) {
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	var before Summary
	room := make([]Record, len(s.sessions)) // used again, or it would be most of what is ever collected
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			sum := s.sum(nil, false, room)
			fmt.Fprintln(w, sum.Line(&before))
			before = sum
		}
	}
}

// lockedWriter lets the progress and a command write in turn.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

// Write implements io.Writer.
func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

func writeRecords(path string, records []Record) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	b := bufio.NewWriter(f)
	e := json.NewEncoder(b)
	for i := range records {
		if err := e.Encode(&records[i]); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return errors.Join(b.Flush(), f.Close())
}
