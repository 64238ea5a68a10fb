package speaker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// work is one thing that speakers are compared at.
type work struct {
	name string
	// engines that do it unless others are asked for.
	engines []string
	loads   []Load
	measure func(ctx context.Context, e engine, l Load) (Measures, error)
	// rounds overrides the number of rounds; 0 does not.
	rounds int
}

// works in the order of the report.
func (b *bencher) works() []work {
	z := &b.sizes
	all, two := engines(), []string{ours, reference}
	reflect := Load{Feeds: z.feeds, Prefixes: z.prefixes, Receivers: z.receivers, PerGroup: z.receivers}
	return []work{
		{name: "reflect", engines: all, loads: []Load{reflect}, measure: b.reflect},
		{name: "rr", engines: two, loads: []Load{{Feeds: z.rrFeeds, Prefixes: z.rrPrefixes, Receivers: z.rrReceivers, PerGroup: 5}}, measure: b.reflect},
		{name: "flap", engines: []string{ours, reference, "frr", "openbgpd"}, measure: b.flap,
			loads: []Load{{Feeds: z.flapFeeds, Prefixes: z.flapPrefixes, Receivers: z.receivers, PerGroup: z.receivers, Favourite: true}}},
		{name: "collect", engines: []string{ours}, loads: b.collections(), measure: b.collect, rounds: 1},
		{name: "lookup", engines: []string{ours}, loads: b.looks(), measure: b.lookup},
		{name: "idle", engines: all, loads: b.idlers(), measure: b.idle},
		{name: "scale", engines: []string{ours}, loads: b.scales(), measure: b.reflect},
		{name: "routes", engines: two, loads: b.growing(reflect), measure: b.reflect},
		{name: "sessions", engines: two, loads: b.crowded(reflect), measure: b.reflect},
	}
}

func (b *bencher) collections() (all []Load) {
	for _, how := range b.sizes.sharing {
		all = append(all, Load{Feeds: b.sizes.collectFeeds, Prefixes: b.sizes.collectPrefixes, Sharing: how})
	}
	return all
}

// looks are tables to look something up in.
func (b *bencher) looks() []Load {
	z := &b.sizes
	return []Load{{Feeds: z.feeds, Prefixes: z.prefixes}, {Feeds: z.collectFeeds, Prefixes: z.collectPrefixes}}
}

func (b *bencher) idlers() (all []Load) {
	for _, n := range b.sizes.sessions {
		all = append(all, Load{Idle: n})
	}
	return all
}

// scales are one and two cores, and what more shards than cores cost: it is what
// a machine with that many cores pays for dividing the work.
func (b *bencher) scales() (all []Load) {
	l := Load{Feeds: b.sizes.feeds, Prefixes: b.sizes.scalePrefixes, Receivers: b.sizes.receivers, PerGroup: 5, Cores: 1}
	all = append(all, l)
	l.Cores = 2
	for _, shards := range []int{0, 8, 24} {
		l.Shards = shards
		all = append(all, l)
	}
	return all
}

// growing is more and more routes.
func (b *bencher) growing(l Load) (all []Load) {
	for _, n := range b.sizes.growth {
		l.Prefixes = n
		all = append(all, l)
	}
	return all
}

// crowded is the same routes beside more and more idle sessions.
func (b *bencher) crowded(l Load) (all []Load) {
	for _, n := range append([]int{0}, b.sizes.sessions...) {
		l.Idle = n
		all = append(all, l)
	}
	return all
}

// reflect measures until all receivers have the best path of every prefix.
func (b *bencher) reflect(ctx context.Context, e engine, l Load) (m Measures, err error) {
	s, err := b.open(ctx, e, l)
	defer func() { err = errors.Join(err, s.close()) }()
	if err != nil {
		return m, err
	}
	return m, s.converge(ctx, &m)
}

func (s *site) converge(ctx context.Context, m *Measures) error {
	before, err := look(s.process)
	if err != nil {
		return err
	}
	began := time.Now()
	sent := s.send()
	last, failed := s.receivers.await(ctx, s.failed)
	if failed != nil {
		var stop context.CancelFunc
		ctx, stop = context.WithCancel(ctx)
		stop() // what is still being sent ends too
	}
	if err := errors.Join(failed, sent.wait(ctx, s)); err != nil {
		return errors.Join(err, s.process.Alive(), errors.New(s.logs()))
	}
	after, err := look(s.process)
	if err != nil {
		return err
	}
	m.Wall = seconds(began, last)
	m.setUse(before, after)
	if err := sleep(ctx, time.Second); err != nil {
		return err
	}
	end, err := s.process.Usage()
	if err != nil {
		return err
	}
	m.setMemory(end)
	m.setTraffic(s.receivers.traffic())
	return s.receivers.settled()
}

// flap measures the loss and the return of the best feed.
func (b *bencher) flap(ctx context.Context, e engine, l Load) (m Measures, err error) {
	s, err := b.open(ctx, e, l)
	defer func() { err = errors.Join(err, s.close()) }()
	if err != nil {
		return m, err
	}
	if err := s.converge(ctx, &m); err != nil {
		return m, err
	}
	if err := s.quiet(ctx, settle); err != nil {
		return m, err
	}
	s.receivers.expect(s.inputs.table.best(0))
	m.DownWall, m.DownCPU, err = s.timed(ctx, func() error {
		s.feeds[0].close()
		s.feeds[0] = nil
		return nil
	})
	if err != nil {
		return m, fmt.Errorf("after the best feed went down: %w", err)
	}
	s.receivers.expect(s.inputs.best)
	if err := s.openFeed(ctx, 0); err != nil {
		return m, err
	}
	if err := s.quiet(ctx, settle); err != nil {
		return m, err
	}
	if m.UpWall, m.UpCPU, err = s.timed(ctx, func() error { return s.sendOne(0) }); err != nil {
		return m, fmt.Errorf("after the best feed came back: %w", err)
	}
	return m, s.receivers.settled()
}

// timed does something and waits until all receivers have what they want.
func (s *site) timed(ctx context.Context, do func() error) (wall, cpu float64, err error) {
	before, err := s.process.Usage()
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	if err := do(); err != nil {
		return 0, 0, err
	}
	last, err := s.receivers.await(ctx, s.failed)
	if err != nil {
		return 0, 0, err
	}
	after, err := s.process.Usage()
	return seconds(began, last), (after.CPU() - before.CPU()).Seconds(), err
}

// counter is a speaker that tells how many routes it holds.
type counter interface {
	held(ctx context.Context, dir string) (int64, error)
}

// collect measures what full tables cost that nobody is sent.
func (b *bencher) collect(ctx context.Context, e engine, l Load) (m Measures, err error) {
	s, err := b.open(ctx, e, l)
	defer func() { err = errors.Join(err, s.close()) }()
	if err != nil {
		return m, err
	}
	before, err := look(s.process)
	if err != nil {
		return m, err
	}
	began := time.Now()
	if err := s.send().wait(ctx, s); err != nil {
		return m, errors.Join(err, s.process.Alive())
	}
	routes := int64(l.Feeds) * int64(l.Prefixes)
	if err := s.awaitHeld(ctx, routes); err != nil {
		return m, err
	}
	m.Wall = time.Since(began).Seconds()
	after, err := look(s.process)
	if err != nil {
		return m, err
	}
	m.setUse(before, after)
	// Memory is what remains after the speaker has tidied up.
	if err := sleep(ctx, b.hold); err != nil {
		return m, err
	}
	end, err := s.process.Usage()
	if err != nil {
		return m, err
	}
	m.setMemory(end)
	m.BytesPerRoute = float64(end.ResidentKiB) * 1024 / float64(routes)
	if a, ok := e.(asker); ok {
		if m.Asked, err = a.ask(ctx, s.dir, layout{target: s.target, feeds: l.Feeds}, s.inputs.table.hits(asked, b.seed)); err != nil {
			return m, err
		}
	}
	return m, s.failure()
}

// awaitHeld waits until a speaker has taken all routes: as it says itself, or
// when it has nothing to do any more.
func (s *site) awaitHeld(ctx context.Context, routes int64) error {
	c, ok := s.engine.(counter)
	if !ok {
		return s.quiet(ctx, s.b.limit)
	}
	for {
		n, err := c.held(ctx, s.dir)
		if err != nil || n == routes {
			return err
		}
		if n > routes {
			return fmt.Errorf("the speaker holds %d routes of %d", n, routes)
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("the speaker holds %d routes of %d: %w", n, routes, err)
		}
	}
}

// failure is the error of the first feed whose session ended.
func (s *site) failure() error {
	select {
	case err := <-s.failed:
		return err
	default:
		return nil
	}
}

// selfCPU is the processor time of this process.
func selfCPU() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
