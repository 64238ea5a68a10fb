package speaker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/peerage/peerage/hack/bench/process"
)

// Load is how much a speaker is given to do.
type Load struct {
	Feeds     int `json:"feeds,omitempty"`
	Prefixes  int `json:"prefixes,omitempty"`
	Receivers int `json:"receivers,omitempty"`
	// PerGroup is how many receivers share an update group.
	PerGroup int `json:"per_group,omitempty"`
	// Idle are sessions that neither send nor get routes.
	Idle int `json:"idle,omitempty"`
	// Sharing says what the feeds' attributes have in common in the work collect.
	Sharing sharing `json:"sharing,omitempty"`
	// Cores are how many our speaker may use, with as many shards and workers
	// unless Shards says otherwise.
	Cores  int `json:"cores,omitempty"`
	Shards int `json:"shards,omitempty"`
	// Favourite gives the first feed the best path for everything.
	Favourite bool `json:"favourite,omitempty"`
}

func (l Load) String() string {
	switch {
	case l.Feeds == 0:
		return fmt.Sprintf("%d idle sessions", l.Idle)
	case l.Receivers == 0 && l.Sharing == "":
		return fmt.Sprintf("%d feeds × %s", l.Feeds, count(l.Prefixes))
	case l.Receivers == 0:
		return fmt.Sprintf("%d feeds × %s, shared: %s", l.Feeds, count(l.Prefixes), l.Sharing)
	}
	text := fmt.Sprintf("%d feeds × %s → %d receivers", l.Feeds, count(l.Prefixes), l.Receivers)
	if l.PerGroup < l.Receivers {
		text += fmt.Sprintf(" in %d groups", (l.Receivers+l.PerGroup-1)/l.PerGroup)
	}
	if l.Idle > 0 {
		text += fmt.Sprintf(", %d idle sessions", l.Idle)
	}
	if l.Cores > 0 {
		text += fmt.Sprintf(", %d cores, %d shards and workers", l.Cores, l.shards())
	}
	return text
}

// shards is also the number of workers; 0 leaves both to the speaker.
func (l Load) shards() int {
	if l.Shards > 0 {
		return l.Shards
	}
	return l.Cores
}

// count writes 100000 as 100 k.
func count(n int) string {
	switch {
	case n >= 1_000_000 && n%100_000 == 0:
		return fmt.Sprintf("%g M", float64(n)/1e6)
	case n >= 1000 && n%100 == 0:
		return fmt.Sprintf("%g k", float64(n)/1e3)
	}
	return fmt.Sprint(n)
}

// site is a started speaker with its sessions.
type site struct {
	b         *bencher
	engine    engine
	load      Load
	dir       string
	process   *process.Process
	target    netip.AddrPort
	inputs    *inputs
	feeds     []*session
	receivers receivers
	idle      *idlers
	// failed has the first error of the feeds.
	failed chan error
}

// inputs are what feeds send, encoded before anything is measured, and kept
// from one speaker to the next.
type inputs struct {
	load    Load
	table   *table
	streams []*stream
	best    []uint8
}

// inputs encodes, or takes what the last run had.
func (b *bencher) inputsOf(l Load) (*inputs, error) {
	l = Load{Feeds: l.Feeds, Prefixes: l.Prefixes, Favourite: l.Favourite, Sharing: l.Sharing}
	if b.last != nil && b.last.load == l {
		return b.last, nil
	}
	b.last = nil
	t, err := newTable(l.Prefixes, l.Feeds, b.seed, l.Favourite)
	if err != nil {
		return nil, err
	}
	in := &inputs{load: l, table: t, best: t.best(-1)}
	if l.Sharing != "" {
		in.streams = []*stream{t.collected()}
	} else {
		for feed := range l.Feeds {
			in.streams = append(in.streams, t.encode(feed))
		}
	}
	b.last = in
	return in, nil
}

// open starts a speaker and brings every session up. The site must be closed,
// whatever the error.
func (b *bencher) open(ctx context.Context, e engine, l Load) (*site, error) {
	dir, err := os.MkdirTemp(b.dir, "run-")
	if err != nil {
		return nil, err
	}
	s := &site{b: b, engine: e, load: l, dir: dir, target: b.target, failed: make(chan error, 1)}
	if l.Feeds > 0 {
		if s.inputs, err = b.inputsOf(l); err != nil {
			return s, err
		}
	}
	if err := free(ctx, b.target); err != nil {
		return s, err
	}
	s.process, err = e.start(ctx, dir, layout{
		target: b.target, feeds: l.Feeds, receivers: l.Receivers, perGroup: max(1, l.PerGroup), idle: l.Idle > 0, collect: l.Sharing,
		shards: l.shards(), workers: l.shards(), cores: l.Cores,
	})
	if err != nil {
		return s, err
	}
	if l.Idle > 0 && l.Feeds > 0 {
		if s.idle, err = bringUp(ctx, b.target, l.Idle); err != nil {
			return s, err
		}
	}
	for i := range l.Receivers {
		one, err := connect(ctx, b.target, receiverAddr(i), localAS)
		if err != nil {
			return s, err
		}
		s.receivers = append(s.receivers, newReceiver(one, s.inputs.table, s.inputs.best))
	}
	for i := range l.Feeds {
		if err := s.openFeed(ctx, i); err != nil {
			return s, err
		}
	}
	// What a speaker does after a session came up, such as End-of-RIB, is over
	// then; one that idle sessions keep busy is not waited for.
	err = s.quiet(ctx, settle)
	runtime.GC()
	return s, err
}

// free tells why a speaker could not listen: whoever does already would be
// measured in its place.
func free(ctx context.Context, target netip.AddrPort) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", target.String())
	if err != nil {
		return fmt.Errorf("%s is not free for the speakers; does another benchmark run? choose another -port: %w", target, err)
	}
	return l.Close()
}

// openFeed connects feed i; the slot may hold a closed one.
func (s *site) openFeed(ctx context.Context, i int) error {
	as := uint32(localAS)
	if s.load.Sharing != "" {
		as = s.load.Sharing.feedAS(i)
	}
	one, err := connect(ctx, s.target, feedAddr(i), as)
	if err != nil {
		return err
	}
	one.failed = s.failed
	one.run(func([]byte) error { return nil })
	if i == len(s.feeds) {
		s.feeds = append(s.feeds, nil)
	}
	s.feeds[i] = one
	return nil
}

func (s *site) close() error {
	if s == nil {
		return nil
	}
	var errs []error
	for _, one := range s.feeds {
		if one != nil {
			one.close()
		}
	}
	for _, r := range s.receivers {
		r.close()
	}
	if s.idle != nil {
		errs = append(errs, s.idle.close())
	}
	if s.process != nil {
		errs = append(errs, s.process.Stop())
	}
	return errors.Join(errs...)
}

// settle is how long a speaker is given to come to rest where that is not
// measured.
const settle = 3 * time.Second

// quiet waits until the speaker has nothing to do, less than 3 % of a core in
// each of two half seconds, or limit is over.
func (s *site) quiet(ctx context.Context, limit time.Duration) error {
	const window = 500 * time.Millisecond
	before, err := s.process.Usage()
	if err != nil {
		return err
	}
	end := time.Now().Add(limit)
	for calm := 0; calm < 2; {
		if time.Now().After(end) {
			return nil
		}
		if err := sleep(ctx, window); err != nil {
			return err
		}
		after, err := s.process.Usage()
		if err != nil {
			return err
		}
		calm++
		if after.CPU()-before.CPU() > window*3/100 {
			calm = 0
		}
		before = after
	}
	return nil
}

// sending is what all feeds announce at the same time.
type sending struct {
	all sync.WaitGroup
	mu  sync.Mutex
	err error
}

// send starts to announce everything.
func (s *site) send() *sending {
	out := &sending{}
	for i := range s.feeds {
		out.all.Go(func() {
			if err := s.sendOne(i); err != nil {
				out.mu.Lock()
				out.err = errors.Join(out.err, err)
				out.mu.Unlock()
			}
		})
	}
	return out
}

func (s *site) sendOne(i int) error {
	if s.load.Sharing != "" {
		return s.feeds[i].sendPatched(s.inputs.streams[0], s.load.Sharing, i)
	}
	return s.feeds[i].send(s.inputs.streams[i])
}

// wait for the speaker to have taken everything, or for ctx: a session that is
// closed meanwhile ends its sender.
func (o *sending) wait(ctx context.Context, s *site) error {
	done := make(chan struct{})
	go func() {
		o.all.Wait()
		close(done)
	}()
	select {
	case <-done:
		return o.err
	case <-ctx.Done():
		for _, one := range s.feeds {
			_ = one.conn.Close()
		}
		<-done
		return fmt.Errorf("the speaker does not take all that the feeds send: %w", ctx.Err())
	}
}

// logs is the end of what the speaker printed, for errors.
func (s *site) logs() string {
	text, err := os.ReadFile(filepath.Join(s.dir, "speaker.out"))
	if err != nil {
		return ""
	}
	return string(text[max(0, len(text)-300):])
}
