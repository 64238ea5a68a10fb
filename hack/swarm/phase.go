package swarm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/peerage/peerage/api"
)

// ErrExpectation is a run that did not meet its expectations.
var ErrExpectation = errors.New("expectation not met")

var errInterrupted = errors.New("interrupted")

// phaseKind is what a phase does.
type phaseKind string

// The kinds of phase.
const (
	phaseRamp   phaseKind = "ramp"
	phaseHold   phaseKind = "hold"
	phaseRun    phaseKind = "run"
	phaseAssert phaseKind = "assert"
	phaseMark   phaseKind = "mark"
	phaseUntil  phaseKind = "until"
	phaseReset  phaseKind = "reset"
)

// phase is one step of a run.
type phase struct {
	name string
	kind phaseKind
	// limit is how long a hold takes, or a ramp, a command or what is waited
	// for at most. A hold of 0 lasts until the interruption.
	limit   time.Duration
	command []string
	env     []string // besides the swarm's own
	expect  []Expectation
	which   string // the sessions to reset
	// patient phases take an interruption for their end, not for a failure.
	patient bool
}

// stage is where phases are played.
type stage struct {
	swarm  *Swarm
	stderr io.Writer
	first  *Mark // end of the first ramp
	last   *Mark // what asserts count from
}

// play does one phase.
func (g *stage) play(ctx context.Context, p *phase) error {
	switch p.kind {
	case phaseRamp:
		return g.ramp(ctx, p)
	case phaseHold:
		return g.hold(ctx, p)
	case phaseRun:
		return g.run(ctx, p)
	case phaseMark:
		g.mark(g.swarm.Mark())
		return nil
	case phaseUntil:
		return g.until(ctx, p)
	case phaseReset:
		which, err := parseIndexes(p.which, len(g.swarm.sessions))
		g.swarm.Reset(which)
		return err
	case phaseAssert:
	}
	return g.check(p.expect)
}

// untilEvery is how often a condition that is waited for is looked at.
const untilEvery = 250 * time.Millisecond

// until waits until the conditions hold, all at the same moment.
func (g *stage) until(ctx context.Context, p *phase) error {
	limited, cancel := context.WithTimeout(ctx, p.limit)
	defer cancel()
	for {
		err := g.check(p.expect)
		switch {
		case err == nil:
			return nil
		case sleep(limited, untilEvery):
		case ctx.Err() != nil:
			return stopped(ctx)
		default:
			return fmt.Errorf("not within %s: %w", p.limit, err)
		}
	}
}

func (g *stage) mark(m *Mark) {
	if g.first == nil {
		g.first = m
	}
	g.last = m
}

func (g *stage) ramp(ctx context.Context, p *phase) error {
	m, err := g.swarm.AwaitEstablished(ctx, p.limit)
	switch {
	case errors.Is(err, ErrExpectation):
		return api.WithExit(api.ExitTimeout, err)
	case err != nil:
		return stopped(ctx)
	}
	g.mark(m)
	return nil
}

func (g *stage) hold(ctx context.Context, p *phase) error {
	if p.limit == 0 {
		<-ctx.Done()
	} else if sleep(ctx, p.limit) {
		return nil
	}
	if err := stopped(ctx); !p.patient || !errors.Is(err, errInterrupted) {
		return err
	}
	return nil
}

// stopped says why the phases end early.
func stopped(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return errInterrupted
}

// run runs a command in a process group of its own, so that what it started
// ends with it.
func (g *stage) run(ctx context.Context, p *phase) error {
	limited, cancel := context.WithTimeout(ctx, p.limit)
	defer cancel()
	c := exec.CommandContext(limited, p.command[0], p.command[1:]...)
	c.Stdout, c.Stderr = g.stderr, g.stderr
	c.Env = append(os.Environ(), p.env...)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	c.WaitDelay = time.Second
	err := c.Run()
	switch {
	case ctx.Err() != nil:
		return stopped(ctx)
	case limited.Err() != nil:
		return fmt.Errorf("command %q did not end within %s", strings.Join(p.command, " "), p.limit)
	case err != nil:
		return fmt.Errorf("command %q: %w", strings.Join(p.command, " "), err)
	}
	return nil
}

// check compares the summary since the last mark with expectations.
func (g *stage) check(expect []Expectation) error {
	if len(expect) == 0 {
		return nil
	}
	sum := g.swarm.SummarySince(g.last)
	var errs []error
	for _, e := range expect {
		if err := e.Check(&sum); err != nil {
			errs = append(errs, fmt.Errorf("%w: %w", ErrExpectation, err))
		}
	}
	return errors.Join(errs...)
}
