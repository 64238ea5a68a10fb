package speaker

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/peerage/peerage/hack/bench/result"
)

// bencher runs the comparison.
type bencher struct {
	bin, tools string // folders of our programs and of fetched ones
	rounds     int
	limit      time.Duration // of one run
	hold       time.Duration // how long idle sessions are watched
	seed       uint64
	target     netip.AddrPort
	sizes      sizes
	out        io.Writer
	dir        string // scratch
	last       *inputs
}

// sizes of the works.
type sizes struct {
	feeds, prefixes, receivers       int
	rrFeeds, rrPrefixes, rrReceivers int
	flapFeeds, flapPrefixes          int
	collectFeeds, collectPrefixes    int
	scalePrefixes                    int
	sharing                          []sharing
	sessions, growth                 []int
}

func (z *sizes) flags(fs *flag.FlagSet) {
	fs.IntVar(&z.feeds, "feeds", 10, "reflect: sessions that announce")
	fs.IntVar(&z.prefixes, "prefixes", 100_000, "reflect: prefixes of each feed, the same ones")
	fs.IntVar(&z.receivers, "receivers", 20, "reflect, flap, scale: sessions that are sent routes")
	fs.IntVar(&z.rrFeeds, "rr-feeds", 10, "rr: sessions that announce")
	fs.IntVar(&z.rrPrefixes, "rr-prefixes", 800_000, "rr: prefixes of each feed")
	fs.IntVar(&z.rrReceivers, "rr-receivers", 100, "rr: sessions that are sent routes, five to a group")
	fs.IntVar(&z.flapFeeds, "flap-feeds", 3, "flap: sessions that announce; the first has the best paths")
	fs.IntVar(&z.flapPrefixes, "flap-prefixes", 750_000, "flap: prefixes of each feed")
	fs.IntVar(&z.collectFeeds, "collect-feeds", 100, "collect: sessions that announce")
	fs.IntVar(&z.collectPrefixes, "collect-prefixes", 1_000_000, "collect: prefixes of each feed")
	fs.IntVar(&z.scalePrefixes, "scale-prefixes", 400_000, "scale: prefixes of each feed")
	z.sharing = []sharing{shareHop, shareAll, shareAS}
	fs.Func("sharing", "collect: what the feeds' attributes of a prefix have in common, of hop (all but the next hop; the default of the target), all and as (all but next hop and first AS); default all three", func(text string) error {
		z.sharing = nil
		for word := range strings.SplitSeq(text, ",") {
			if !slices.Contains([]sharing{shareHop, shareAll, shareAS}, sharing(word)) {
				return fmt.Errorf("%q is not one of hop, all, as", word)
			}
			z.sharing = append(z.sharing, sharing(word))
		}
		return nil
	})
	z.sessions, z.growth = []int{1000, 5000}, []int{50_000, 100_000, 200_000, 400_000, 800_000}
	numbers(fs, &z.sessions, "sessions", "idle, sessions: numbers of idle sessions")
	numbers(fs, &z.growth, "growth", "routes: numbers of prefixes")
}

// numbers is a flag of the form 1,2,3.
func numbers(fs *flag.FlagSet, into *[]int, name, usage string) {
	fs.Func(name, fmt.Sprintf("%s (default %d)", usage, *into), func(text string) error {
		*into = nil
		for word := range strings.SplitSeq(text, ",") {
			n, err := strconv.Atoi(word)
			if err != nil || n < 1 {
				return fmt.Errorf("%q is not a list of numbers such as 1000,5000", text)
			}
			*into = append(*into, n)
		}
		return nil
	})
}

// Main is the command.
func Main(ctx context.Context, args []string, out io.Writer) (err error) {
	fs := flag.NewFlagSet("peerage-speaker-bench", flag.ContinueOnError)
	b := &bencher{out: out}
	b.sizes.flags(fs)
	works := fs.String("work", "", "works, of reflect, rr, flap, collect, lookup, idle, scale, routes and sessions; all when empty")
	names := fs.String("engines", "", "whom to measure, of "+strings.Join(engines(), ", ")+"; those of each work when empty")
	results := fs.String("results", "hack/bench/results", "folder for speaker.json and speaker.md; empty writes none")
	docs := fs.String("docs", "", "folder for performance.md and its pictures; empty writes none")
	merge := fs.Bool("merge", false, "keep what speaker.json has of other works and speakers")
	render := fs.Bool("render", false, "measure nothing: write the texts and pictures of speaker.json anew")
	fs.StringVar(&b.bin, "bin", "bin", "folder with peerage-speaker (make build)")
	fs.StringVar(&b.tools, "tools", ".cache/bin", "folder with gobgpd")
	fs.IntVar(&b.rounds, "rounds", 3, "how often each speaker does each work; medians are reported")
	fs.DurationVar(&b.limit, "limit", 5*time.Minute, "how long one run may take")
	fs.DurationVar(&b.hold, "hold", 30*time.Second, "how long idle sessions are watched")
	fs.Uint64Var(&b.seed, "seed", 1, "of the routes")
	port := fs.Uint("port", 21790, "where the speakers listen, on 127.0.0.1; GoBGP needs the next one too")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *port < 1 || *port > 65534 || b.rounds < 1 {
		return fmt.Errorf("port %d, %d rounds: use ports from 1 to 65534 and at least one round", *port, b.rounds)
	}
	b.target = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(*port))
	if b.dir, err = os.MkdirTemp("", "speaker-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	report := &Report{}
	if *merge || *render {
		if report, err = load(*results); err != nil {
			return err
		}
	}
	if !*render {
		if err := b.all(ctx, report, words(*works), words(*names)); err != nil {
			return err
		}
	}
	return report.write(out, *results, *docs)
}

func words(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

// all measures and adds to the report.
func (b *bencher) all(ctx context.Context, r *Report, works, names []string) error {
	r.Bench, r.At, r.Kernel, r.CPUs, r.HoldSeconds = "speaker", time.Now().UTC().Truncate(time.Second), result.Kernel(), runtime.NumCPU(), b.hold.Seconds()
	for _, name := range works {
		if !slices.ContainsFunc(b.works(), func(w work) bool { return w.name == name }) {
			return fmt.Errorf("work %q is not known", name)
		}
	}
	for _, w := range b.works() {
		if works != nil && !slices.Contains(works, w.name) {
			continue
		}
		if names != nil {
			w.engines = names
		}
		if err := b.one(ctx, r, w); err != nil {
			return err
		}
	}
	return nil
}

// one lets every engine do one work. Rounds go around all loads and engines, so
// that a machine that is busy for a while is so for all of them. A speaker that
// fails is reported and not tried again; the others go on.
func (b *bencher) one(ctx context.Context, r *Report, w work) error {
	var rows []Row
	for _, l := range w.loads {
		for _, name := range w.engines {
			rows = append(rows, Row{Work: w.name, Engine: name, Load: l})
		}
	}
	rounds := b.rounds
	if w.rounds > 0 {
		rounds = w.rounds
	}
	for round := range rounds {
		for i := range rows {
			row := &rows[i]
			if row.Error != "" {
				continue
			}
			m, err := b.run(ctx, w, row)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				row.Error = err.Error()
				fmt.Fprintf(b.out, "%s, %s, %s: %v\n", w.name, row.Load, row.Engine, err)
				continue
			}
			row.Runs = append(row.Runs, m)
			fmt.Fprintf(b.out, "%s, %s, %s, round %d: %s\n", w.name, row.Load, row.Engine, round+1, m.line())
		}
	}
	for _, row := range rows {
		row.Measures = medians(row.Runs)
		r.put(row)
	}
	return nil
}

func (b *bencher) run(ctx context.Context, w work, row *Row) (Measures, error) {
	e, err := b.engine(row.Engine)
	if err != nil {
		return Measures{}, err
	}
	if row.Version, err = e.version(ctx); err != nil {
		return Measures{}, err
	}
	limited, cancel := context.WithTimeout(ctx, b.limit)
	defer cancel()
	return w.measure(limited, e, row.Load)
}
