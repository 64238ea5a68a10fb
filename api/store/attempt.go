package store

import (
	"context"
	"errors"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// maxBroken bounds the attempts at a request while connections break or
// nobody is there to connect to.
const maxBroken = 3

// request bounds one request. A member that has lost the others refuses it at
// once, rather than to let it wait for them.
func (s *Store) request(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(clientv3.WithRequireLeader(ctx), s.cfg.RequestTimeout)
}

// elsewhere begins a watch again at the next member when the one that it came
// to has lost the others. That is done at once, and nothing is asked in between:
// members are taken in turns, and a round of as many requests as there are
// members would come to the same one for ever.
func (s *Store) elsewhere(watch func() error) error {
	var err error
	for range 2 * len(s.cfg.Endpoints) {
		if err = watch(); !errors.Is(err, rpctypes.ErrNoLeader) {
			break
		}
	}
	return err
}

// try makes a request that may be made twice, until it is answered or the time
// of a request is over. Of a cluster one member at a time may be down, cut off,
// hang or take what it was told to its grave, and each attempt goes to another:
// so the first ones do not get all the time.
func (s *Store) try(ctx context.Context, what string, do func(ctx context.Context) error) error {
	ctx, cancel := s.request(ctx)
	defer cancel()
	again := &retry{first: 20 * time.Millisecond, most: 250 * time.Millisecond}
	broken := 0
	for n := 0; ; n++ {
		bound := s.cfg.RequestTimeout
		if n < 2 {
			bound /= 5
		}
		attempt, cancel := context.WithTimeout(ctx, bound)
		err := do(attempt)
		silent := attempt.Err() != nil
		cancel()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return s.explain(what, err)
		case silent, errors.Is(err, rpctypes.ErrNoLeader):
		case !unavailable(err):
			return s.explain(what, err)
		default:
			if broken++; broken == maxBroken {
				return s.explain(what, err)
			}
		}
		if !again.wait(ctx) {
			return s.explain(what, err)
		}
	}
}
