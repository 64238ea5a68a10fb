//go:build linux

package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/hack/lab"
)

// change measures change-to-kernel for one size of site.
func (b *bencher) change(ctx context.Context, servers, lbs int) (Change, error) {
	ours, err := b.ours(ctx, servers, lbs)
	if err != nil {
		return Change{}, fmt.Errorf("%d servers, %d LBs: %w", servers, lbs, err)
	}
	theirs, err := b.keepalived(ctx, servers, lbs)
	if err != nil {
		return Change{}, fmt.Errorf("keepalived, %d servers, %d LBs: %w", servers, lbs, err)
	}
	return newChange(servers, lbs, ours, theirs), nil
}

// ours depools servers in turn and measures each time from the acceptance, as
// the intent records it, until the last kernel shows weight 0.
func (b *bencher) ours(ctx context.Context, servers, lbs int) (took []time.Duration, err error) {
	s, err := up(ctx, topology(servers, lbs, nil), b.bin)
	defer func() { err = errors.Join(err, s.down()) }()
	if err != nil {
		return nil, err
	}
	for i := range b.rounds {
		server := fmt.Sprintf("rs-%d", 1+i%servers)
		d, err := s.depool(ctx, server)
		if err != nil {
			return nil, fmt.Errorf("round %d: %w", i+1, err)
		}
		took = append(took, d)
		if _, err := s.api.Pool(ctx, server, api.VerbRequest{Reason: "bench", AcceptRisk: api.Risks()}); err != nil {
			return nil, fmt.Errorf("round %d: %w", i+1, err)
		}
		if err := s.settle(ctx, time.Minute); err != nil {
			return nil, fmt.Errorf("round %d: %w", i+1, err)
		}
	}
	return took, nil
}

func (s *site) depool(ctx context.Context, server string) (time.Duration, error) {
	var accepted time.Time
	last, err := lastSeen(ctx, s.Lab, server, 0, func() error {
		result, err := s.api.Depool(ctx, server, api.VerbRequest{Reason: "bench", AcceptRisk: api.Risks()})
		if err != nil {
			return err
		}
		if result.After == nil || result.After.Depooled == nil {
			return fmt.Errorf("depool of %s changed nothing: %+v", server, result)
		}
		accepted = result.After.Depooled.At
		return nil
	})
	return last.Sub(accepted), err
}

// lastSeen does something and tells when the last LB's kernel shows a weight.
func lastSeen(ctx context.Context, l *lab.Lab, server string, weight int, do func() error) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	lbs := l.Topology.LBNodes()
	seen := make([]time.Time, len(lbs))
	var g errgroup.Group
	for i, n := range lbs {
		g.Go(func() (err error) {
			seen[i], err = l.AwaitWeight(ctx, n.Name, server, weight)
			return err
		})
	}
	if err := do(); err != nil {
		cancel()
		_ = g.Wait() // it says that it was told to stop
		return time.Time{}, err
	}
	if err := g.Wait(); err != nil {
		return time.Time{}, err
	}
	last := seen[0]
	for _, t := range seen[1:] {
		if t.After(last) {
			last = t
		}
	}
	return last, nil
}
