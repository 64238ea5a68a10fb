package bench

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/peerage/peerage/hack/bench/process"
	"github.com/peerage/peerage/hack/bench/result"
)

// bencher runs the comparison.
type bencher struct {
	bin, tools string // folders of our programs and of fetched ones
	limit      time.Duration
	hold       time.Duration
	rounds     int
	out        io.Writer
	dir        string // scratch
}

// Main is the command.
func Main(ctx context.Context, args []string, out io.Writer) (err error) {
	fs := flag.NewFlagSet("peerage-swarm-bench", flag.ContinueOnError)
	b := &bencher{out: out}
	sizes := fs.String("sizes", "1000,5000", "numbers of sessions")
	alone := fs.String("alone", "10000", "numbers of sessions with which peerage-swarm alone is measured; empty for none")
	only := fs.String("only", "peerage-swarm,gobgp,exabgp", "whom to measure")
	results := fs.String("results", "hack/bench/results", "folder for swarm.json and swarm.md; empty writes none")
	fs.StringVar(&b.bin, "bin", "bin", "folder with peerage-swarm (make build)")
	fs.StringVar(&b.tools, "tools", ".cache/bin", "folder with gobgpd")
	fs.DurationVar(&b.limit, "limit", 3*time.Minute, "how long to wait for all sessions")
	fs.DurationVar(&b.hold, "hold", time.Minute, "how long to hold them")
	fs.IntVar(&b.rounds, "rounds", 3, "how often everything is measured; the report has the median of each figure")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if b.rounds < 1 {
		return fmt.Errorf("%d rounds measure nothing; use 1 or more", b.rounds)
	}
	if b.dir, err = os.MkdirTemp("", "swarm-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	report, err := b.all(ctx, strings.Split(*sizes, ","), strings.Split(*only, ","), strings.FieldsFunc(*alone, func(r rune) bool { return r == ',' }))
	if err != nil {
		return err
	}
	if err := report.Markdown(out); err != nil || *results == "" {
		return err
	}
	return result.Save(*results, "swarm", report)
}

func (b *bencher) all(ctx context.Context, sizes, names, alone []string) (*Report, error) {
	r := &Report{Bench: "swarm", At: time.Now().UTC().Truncate(time.Second), Kernel: result.Kernel(), CPUs: runtime.NumCPU(), HoldSeconds: b.hold.Seconds(), Rounds: b.rounds, Load: load()}
	for i, size := range slices.Concat(sizes, alone) {
		if i >= len(sizes) {
			names = []string{contenders()[0].name}
		}
		n, err := strconv.Atoi(size)
		if err != nil || n < 1 || n > maxSessions {
			return nil, fmt.Errorf("size %q: use 1 to %d", size, maxSessions)
		}
		runs, err := b.size(ctx, n, names)
		if err != nil {
			return nil, err
		}
		r.Runs = append(r.Runs, runs...)
	}
	var err error
	r.Ceiling, err = b.ceiling(ctx)
	return r, err
}

// size measures all contenders in turn, round after round, so that what else
// the machine does meets all of them.
func (b *bencher) size(ctx context.Context, n int, names []string) ([]Run, error) {
	rounds := make([][]Run, len(names))
	for range b.rounds {
		for i, name := range names {
			run, err := b.one(ctx, name, n)
			if err != nil {
				return nil, fmt.Errorf("%s with %d sessions: %w", name, n, err)
			}
			fmt.Fprintln(b.out, run.line())
			rounds[i] = append(rounds[i], run)
		}
	}
	medians := make([]Run, len(names))
	for i, runs := range rounds {
		medians[i] = median(runs)
	}
	return medians, nil
}

// maxSessions is what 127.1.0.0/16 and 127.2.0.0/16 have room for.
const maxSessions = 60_000

// one measures one contender against a fresh BIRD.
func (b *bencher) one(ctx context.Context, name string, n int) (run Run, err error) {
	c, err := contenderByName(name)
	if err != nil {
		return run, err
	}
	dir, err := os.MkdirTemp(b.dir, name+"-")
	if err != nil {
		return run, err
	}
	speaker, err := startBIRD(ctx, dir)
	if err != nil {
		return run, err
	}
	defer func() { err = errors.Join(err, speaker.Stop()) }()
	cmd, err := c.command(b, dir, n)
	if err != nil {
		return run, err
	}
	began := time.Now()
	p, err := process.Start(dir, name, cmd)
	if err != nil {
		return run, err
	}
	defer func() { err = errors.Join(err, p.Stop()) }()
	run = Run{Contender: name, Sessions: n}
	if err := b.bringUp(ctx, speaker, p, &run, began); err != nil {
		return run, err
	}
	return run, b.idle(ctx, speaker, p, &run)
}

// bringUp waits until all sessions are up, or the limit is over.
func (b *bencher) bringUp(ctx context.Context, speaker *bird, p *process.Process, run *Run, began time.Time) error {
	for time.Since(began) < b.limit && run.Up < run.Sessions {
		if err := sleep(ctx, 250*time.Millisecond); err != nil {
			return err
		}
		up, err := speaker.established()
		if err != nil {
			return err
		}
		if up > run.Up {
			run.Up, run.UpSeconds = up, time.Since(began).Seconds()
		}
		if err := p.Alive(); err != nil {
			return err
		}
	}
	use, err := p.Usage()
	run.UpCPUSeconds = use.CPU().Seconds()
	return err
}

// idle measures the sessions that stand.
func (b *bencher) idle(ctx context.Context, speaker *bird, p *process.Process, run *Run) error {
	before, err := p.Usage()
	if err != nil {
		return err
	}
	began := time.Now()
	if err := sleep(ctx, b.hold); err != nil {
		return err
	}
	after, err := p.Usage()
	if err != nil {
		return err
	}
	if run.Held, err = speaker.established(); err != nil {
		return err
	}
	run.MemoryKiB, run.PeakKiB = int(after.AnonKiB), int(after.PeakKiB)
	if run.Held > 0 {
		thousands := float64(run.Held) / 1000
		run.KiBPerSession = float64(run.MemoryKiB) / float64(run.Held)
		run.IdleCPUPercentPer1000 = 100 * (after.CPU() - before.CPU()).Seconds() / time.Since(began).Seconds() / thousands
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// load is the load average of the last minute; 0 when it is not known.
func load() float64 {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(text), " ")
	v, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return 0
	}
	return v
}
