package store

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// maxBroken bounds the attempts at a request while connections break or
	// nobody is there to connect to.
	maxBroken = 3
	// maxLate bounds the attempts that are made because earlier ones are not
	// answered, each after a fifth of a request's time.
	maxLate = 2
)

// errDoubt is a change of which nobody can tell whether it was made.
var errDoubt = errors.New("an answer was lost, and others have made changes since: see what is there before you try again")

// request bounds one request.
func (s *Store) request(ctx context.Context) (context.Context, context.CancelFunc) {
	return bounded(ctx, s.cfg.RequestTimeout)
}

// bounded is the context of a request. A member that has lost the others
// refuses it at once, rather than to let it wait for them.
func bounded(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(clientv3.WithRequireLeader(ctx), limit)
}

const (
	// manyOps is more than an operator's verb or a plan takes.
	manyOps = 100
	// timePerOp is what each operation of a change with many adds to its time.
	timePerOp = 2 * time.Millisecond
)

// allowance is how long a request may take in all, and when it counts as late.
type allowance struct{ all, late time.Duration }

// allow is the allowance of a request of so many operations. One with many is
// work for etcd, which may take seconds: it has more time, and etcd is not given
// the same again meanwhile.
func (s *Store) allow(ops int) allowance {
	all := s.cfg.RequestTimeout
	if ops <= manyOps {
		return allowance{all, all / 5}
	}
	all += time.Duration(ops) * timePerOp
	return allowance{all, all}
}

// try makes a request that may be made twice, until it is answered or the time
// of a request is over. Of a cluster one member at a time may be down, cut off,
// hang or take what it was told to its grave. Attempts go to members in turns: so
// another is made beside one that is late. The first answer counts.
func try[T any](ctx context.Context, s *Store, what string, do func(ctx context.Context) (T, error)) (T, error) {
	return tryFor(ctx, s, what, s.allow(1), do)
}

// tryFor tries within an allowance.
func tryFor[T any](ctx context.Context, s *Store, what string, p allowance, do func(ctx context.Context) (T, error)) (T, error) {
	type answer struct {
		v   T
		err error
	}
	ctx, cancel := bounded(ctx, p.all)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	answers, pending := make(chan answer), 0
	begin := func() {
		pending++
		running.Go(func() {
			v, err := do(ctx)
			select {
			case answers <- answer{v, err}:
			case <-ctx.Done():
			}
		})
	}
	begin()
	next := time.NewTimer(p.late)
	defer next.Stop()
	again := &retry{first: 20 * time.Millisecond, most: 250 * time.Millisecond}
	var none T
	var failed error
	for broken, extra := 0, 0; ; {
		select {
		case <-ctx.Done():
			if failed == nil || !errors.Is(failed, rpctypes.ErrNoLeader) {
				failed = ctx.Err()
			}
			return none, s.explain(what, failed)
		case <-next.C:
			if pending > 0 {
				if extra == maxLate {
					continue
				}
				extra++
			}
			begin()
			next.Reset(p.late)
		case a := <-answers:
			pending--
			failed = a.err
			switch {
			case a.err == nil:
				return a.v, nil
			case errors.Is(a.err, errDoubt): // unless another attempt knows
				if pending == 0 {
					return none, s.explain(what, a.err)
				}
			case errors.Is(a.err, rpctypes.ErrNoLeader):
				next.Reset(again.pause())
			case unavailable(a.err) && broken+1 < maxBroken:
				broken++
				next.Reset(again.pause())
			case unavailable(a.err) && pending > 0:
			default:
				return none, s.explain(what, a.err)
			}
		}
	}
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
