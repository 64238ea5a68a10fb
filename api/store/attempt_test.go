package store

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A request is made again when that may help, beside the first where that may
// yet be answered, and never for longer or more often than allowed.
func TestTry(t *testing.T) {
	t.Parallel()
	eof := status.Error(codes.Unavailable, "error reading from server: EOF")
	type attempt struct {
		after time.Duration
		err   error
	}
	never := attempt{after: time.Hour}
	for _, c := range []struct {
		name     string
		attempts []attempt // the last one for all that follow
		answered int       // by which attempt; 0: none
		want     error
		made     int
		took     time.Duration // at most
	}{
		{"an answer", []attempt{{}}, 1, nil, 1, 0},
		{"a member that hangs", []attempt{never, {}}, 2, nil, 2, time.Second},
		{"two members that hang", []attempt{never, never, {}}, 3, nil, 3, 2 * time.Second},
		{"a slow store", []attempt{{after: 3 * time.Second}}, 1, nil, 3, 3 * time.Second},
		{"a store that hangs", []attempt{never}, 0, context.DeadlineExceeded, 3, 5 * time.Second},
		{"an election", []attempt{{err: rpctypes.ErrNoLeader}, {err: rpctypes.ErrNoLeader}, {err: rpctypes.ErrNoLeader}, {err: rpctypes.ErrNoLeader}, {}}, 5, nil, 5, time.Second},
		{"a connection that breaks", []attempt{{err: eof}, {}}, 2, nil, 2, 100 * time.Millisecond},
		{"connections that break", []attempt{{err: eof}}, 0, eof, maxBroken, 200 * time.Millisecond},
		{"a refusal", []attempt{{err: rpctypes.ErrNoSpace}}, 0, rpctypes.ErrNoSpace, 1, 0},
		{"doubt, and an answer that ends it", []attempt{{after: 2 * time.Second}, {err: errDoubt}, never}, 1, nil, 3, 2 * time.Second},
		{"doubt", []attempt{{after: 1500 * time.Millisecond, err: eof}, {err: errDoubt}}, 0, errDoubt, 3, 2 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &Store{cfg: Config{RequestTimeout: 5 * time.Second}}
				var made atomic.Int64
				begin := time.Now()
				got, err := try(t.Context(), s, "test", func(ctx context.Context) (int, error) {
					n := int(made.Add(1))
					a := c.attempts[min(n, len(c.attempts))-1]
					if a.after > 0 && !sleep(ctx, a.after) {
						return 0, ctx.Err()
					}
					return n, a.err
				})
				if !errors.Is(err, c.want) {
					t.Errorf("error %v, want %v", err, c.want)
				}
				if err == nil && got != c.answered {
					t.Errorf("answered by attempt %d, want %d", got, c.answered)
				}
				if made := int(made.Load()); made != c.made {
					t.Errorf("%d attempts, want %d", made, c.made)
				}
				if took := time.Since(begin); took > c.took {
					t.Errorf("it took %v, want %v at most", took, c.took)
				}
			})
		})
	}
}

// A large change has more time, and is not made again while etcd works at it.
func TestAllowance(t *testing.T) {
	t.Parallel()
	s := &Store{cfg: Config{RequestTimeout: 5 * time.Second}}
	for ops, want := range map[int]allowance{
		1:    {5 * time.Second, time.Second},
		100:  {5 * time.Second, time.Second},
		2500: {10 * time.Second, 10 * time.Second},
	} {
		if got := s.allow(ops); got != want {
			t.Errorf("%d operations: %v, want %v", ops, got, want)
		}
	}
}
