package speaker

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/peerage/peerage/hack/swarm"
)

// idlers are sessions that only stay up: a swarm.
type idlers struct {
	swarm   *swarm.Swarm
	cancel  context.CancelFunc
	running sync.WaitGroup
	ended   error
	took    time.Duration // until all were up
}

// inFlight bounds the handshakes under way: accept queues are short.
const inFlight = 128

// bringUp connects n sessions and waits for all of them.
func bringUp(ctx context.Context, target netip.AddrPort, n int) (*idlers, error) {
	// It gives a speaker 30 s for a handshake, as routers do: with less, one
	// that is slow would be made slower by those that begin anew.
	profile, err := swarm.ProfileByName("cisco-like")
	if err != nil {
		return nil, err
	}
	one, err := swarm.New(swarm.Config{
		Targets: []netip.AddrPort{target}, From: []netip.Prefix{idlePrefix}, Sessions: n,
		FirstAS: localAS, ASes: 1, HoldTime: 90 * time.Second, Profile: profile, Rate: 1_000_000, InFlight: inFlight,
	})
	if err != nil {
		return nil, err
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	all := &idlers{swarm: one, cancel: cancel}
	began := time.Now()
	all.running.Go(func() { all.ended = one.Run(running) })
	limit := time.Hour
	if end, ok := ctx.Deadline(); ok {
		limit = time.Until(end).Round(time.Second)
	}
	_, err = one.AwaitEstablished(ctx, limit)
	all.took = time.Since(began)
	if err != nil {
		return nil, errors.Join(err, all.close())
	}
	return all, nil
}

func (i *idlers) close() error {
	i.cancel()
	i.running.Wait()
	return i.ended
}

// idle measures sessions that stand.
func (b *bencher) idle(ctx context.Context, e engine, l Load) (m Measures, err error) {
	s, err := b.open(ctx, e, l)
	defer func() { err = errors.Join(err, s.close()) }()
	if err != nil {
		return m, err
	}
	empty, err := look(s.process)
	if err != nil {
		return m, err
	}
	if s.idle, err = bringUp(ctx, s.target, l.Idle); err != nil {
		return m, err
	}
	m.Up = s.idle.took.Seconds()
	up, err := look(s.process)
	if err != nil {
		return m, err
	}
	m.setUse(empty, up)
	if err := sleep(ctx, settle); err != nil {
		return m, err
	}
	before, err := s.process.Usage()
	if err != nil {
		return m, err
	}
	began := time.Now()
	if err := sleep(ctx, b.hold); err != nil {
		return m, err
	}
	after, err := s.process.Usage()
	if err != nil {
		return m, err
	}
	m.IdlePercent = 100 * (after.CPU() - before.CPU()).Seconds() / time.Since(began).Seconds()
	m.setMemory(after)
	m.KiBPerSession = float64(after.ResidentKiB-empty.speaker.ResidentKiB) / float64(l.Idle)
	if held := s.idle.swarm.Established(); held != l.Idle {
		return m, fmt.Errorf("of %d sessions %d are still up", l.Idle, held)
	}
	return m, nil
}
