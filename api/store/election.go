package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"

	"github.com/peerage/peerage/api"
)

// Leadership is the right to write plans, as long as it lasts. Every write is
// a transaction on the create revision of the leader's key, so that a leader
// that was deposed without noticing cannot write (rule 3).
type Leadership struct {
	store    *Store
	session  *concurrency.Session
	election *concurrency.Election
}

// Campaign waits until the candidate is the leader, or ctx ends. The lease of
// ttl is kept alive until Resign, or until it is lost.
func (s *Store) Campaign(ctx context.Context, name string, ttl time.Duration) (*Leadership, error) {
	id, err := s.grant(ctx, ttl)
	if err != nil {
		return nil, err
	}
	session, err := concurrency.NewSession(s.client, concurrency.WithLease(id), concurrency.WithContext(context.WithoutCancel(ctx)))
	if err != nil {
		s.revoke(id)
		return nil, fmt.Errorf("election: %w", err)
	}
	election := concurrency.NewElection(session, leaderKeys)
	// A candidate whose lease runs out while it waits must not wait for ever.
	wait, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(doneContext{session.Done()}, func() { cancel(errors.New("the candidate's lease expired")) })
	defer stop()
	if err := election.Campaign(wait, name); err != nil {
		session.Orphan()
		s.revoke(id)
		if cause := context.Cause(wait); cause != nil {
			err = cause
		}
		return nil, fmt.Errorf("election: %w", err)
	}
	return &Leadership{s, session, election}, nil
}

// Lost is closed when the lease was lost. Writes fail by then or soon after,
// with ErrNotLeader.
func (l *Leadership) Lost() <-chan struct{} { return l.session.Done() }

// Revision is the store's revision at which the candidacy began. A mirror whose
// State.LeaderRevision equals it has seen all that earlier leaders wrote.
func (l *Leadership) Revision() int64 { return l.election.Rev() }

// PutPlan writes a plan, if this is still the leader; else ErrNotLeader.
func (l *Leadership) PutPlan(ctx context.Context, p *api.Plan) error {
	key := planKeys + p.Pool
	data, err := encode(key, p)
	if err != nil {
		return err
	}
	return l.write(ctx, clientv3.OpPut(key, data))
}

// DeletePlan removes the plan of a pool that was deleted from the
// configuration, if this is still the leader; else ErrNotLeader.
func (l *Leadership) DeletePlan(ctx context.Context, pool string) error {
	return l.write(ctx, clientv3.OpDelete(planKeys+pool))
}

func (l *Leadership) write(ctx context.Context, op clientv3.Op) error {
	ctx, cancel := l.store.request(ctx)
	defer cancel()
	r, err := l.store.client.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(l.election.Key()), "=", l.election.Rev())).
		Then(op).
		Commit()
	switch {
	case err != nil:
		return fmt.Errorf("key %s: %w", op.KeyBytes(), err)
	case !r.Succeeded:
		return fmt.Errorf("key %s: %w", op.KeyBytes(), ErrNotLeader)
	}
	return nil
}

// Resign gives the leadership back at once, so that another need not wait for
// the lease to run out.
func (l *Leadership) Resign(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, revokeTimeout)
	defer cancel()
	err := l.election.Resign(ctx)
	l.session.Orphan()
	l.store.revoke(l.session.Lease())
	if err != nil {
		return fmt.Errorf("election: %w", err)
	}
	return nil
}

// doneContext makes a context of a channel, for context.AfterFunc.
type doneContext struct{ done <-chan struct{} }

func (doneContext) Deadline() (time.Time, bool) { return time.Time{}, false }
func (d doneContext) Done() <-chan struct{}     { return d.done }
func (doneContext) Value(any) any               { return nil }

// Err implements context.Context.
func (d doneContext) Err() error {
	select {
	case <-d.done:
		return context.Canceled
	default:
		return nil
	}
}
