package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/peerage/peerage/api"
)

// Leadership is the right to write plans, as long as it lasts. Every write is
// a transaction on the create revision of the leader's key, so that a leader
// that was deposed without noticing cannot write (rule 3).
type Leadership struct {
	store    *Store
	tenure   *tenure
	key      string
	revision int64 // at which the key was created
}

// tenure is a lease that is renewed until the end, which comes by itself when
// etcd was not heard of for as long as the lease lasts.
type tenure struct {
	lease clientv3.LeaseID
	ctx   context.Context // ends with the tenure
	end   func()          // ends the renewal, and waits for it; the lease runs out
}

func (s *Store) newTenure(ctx context.Context, ttl time.Duration) (*tenure, error) {
	id, err := s.grant(ctx, ttl)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	var renewal sync.WaitGroup
	renewal.Go(func() { cancel(s.renew(ctx, id, ttl, true)) })
	return &tenure{lease: id, ctx: ctx, end: func() { cancel(errors.New("it was given back")); renewal.Wait() }}, nil
}

// Campaign waits until the candidate is the leader, or ctx ends. The lease of
// ttl is kept alive until Resign, or until it is lost. A store has one candidate
// at a time: a new campaign ends the leadership that came of the last one.
func (s *Store) Campaign(ctx context.Context, name string, ttl time.Duration) (*Leadership, error) {
	tenure, err := s.newTenure(ctx, ttl)
	if err != nil {
		return nil, err
	}
	s.succeed(ctx, tenure.lease)
	// A candidate whose lease runs out while it waits must not wait for ever.
	wait, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(tenure.ctx, func() { cancel(fmt.Errorf("as a candidate: %w", context.Cause(tenure.ctx))) })
	defer stop()
	l := &Leadership{store: s, tenure: tenure, key: fmt.Sprintf("%s/%x", leaderKeys, tenure.lease)}
	if err := l.campaign(wait, name); err != nil {
		tenure.end()
		s.revoke(tenure.lease) // takes the candidacy back
		if cause := context.Cause(wait); cause != nil {
			err = cause
		}
		return nil, fmt.Errorf("election: %w", err)
	}
	return l, nil
}

// succeed takes back the candidacy of this store's last campaign, now that etcd
// answers again: it ended when etcd fell silent, and would keep everybody from
// leading until its lease has run out. A failure is harmless.
func (s *Store) succeed(ctx context.Context, lease clientv3.LeaseID) {
	if last := clientv3.LeaseID(s.candidacy.Swap(int64(lease))); last != 0 {
		ctx, cancel := s.request(ctx)
		defer cancel()
		_, _ = s.client.Revoke(ctx, last)
	}
}

// campaign stands as a candidate, and waits until all that came before have
// gone. It speaks the protocol of the election package of etcd's client, which
// itself cannot be used: when its context ends, it takes the candidacy back
// with a request that waits for etcd for ever.
func (l *Leadership) campaign(ctx context.Context, name string) error {
	if err := l.stand(ctx, name); err != nil {
		return err
	}
	for {
		last, revision, err := l.predecessor(ctx)
		if err != nil {
			return err
		}
		if last == "" {
			return l.confirm(ctx)
		}
		if err := l.store.elsewhere(func() error { return l.store.gone(ctx, last, revision) }); err != nil {
			return err
		}
	}
}

func (l *Leadership) stand(ctx context.Context, name string) error {
	// Not to be tried twice: its revision is that of the key's creation.
	ctx, cancel := l.store.request(ctx)
	defer cancel()
	r, err := l.store.client.Put(ctx, l.key, name, clientv3.WithLease(l.tenure.lease))
	if err != nil {
		return l.store.explain("key "+l.key, err)
	}
	l.revision = r.Header.Revision
	return nil
}

// predecessor is the candidate right before this one, and the revision of
// that finding. There is none for the leader.
func (l *Leadership) predecessor(ctx context.Context) (key string, revision int64, err error) {
	r, err := l.store.get(ctx, "key "+leaderKeys, leaderKeys+"/", append(clientv3.WithLastCreate(), clientv3.WithMaxCreateRev(l.revision-1), clientv3.WithKeysOnly())...)
	if err != nil {
		return "", 0, err
	}
	if len(r.Kvs) == 0 {
		return "", 0, nil
	}
	return string(r.Kvs[0].Key), r.Header.Revision, nil
}

// confirm makes sure that the candidacy itself is still there: its lease may
// have run out right before.
func (l *Leadership) confirm(ctx context.Context) error {
	r, err := l.store.get(ctx, "key "+l.key, l.key, clientv3.WithKeysOnly())
	if err != nil {
		return err
	}
	if len(r.Kvs) == 0 || r.Kvs[0].CreateRevision != l.revision {
		return errors.New("the candidate's lease expired")
	}
	return nil
}

// gone waits until a key that was there at a revision is deleted.
func (s *Store) gone(ctx context.Context, key string, revision int64) error {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	for r := range s.client.Watch(ctx, key, clientv3.WithRev(revision+1), clientv3.WithFilterPut()) {
		if err := r.Err(); err != nil {
			return s.explain("watch "+key, err)
		}
		if len(r.Events) > 0 {
			return nil
		}
	}
	return fmt.Errorf("watch %s: %w", key, cmp.Or(context.Cause(ctx), errors.New("closed")))
}

// Lost is closed when the lease was lost, or a write found that another leads.
// Writes fail by then or soon after, with ErrNotLeader.
func (l *Leadership) Lost() <-chan struct{} { return l.tenure.ctx.Done() }

// Revision is the store's revision at which the candidacy began. A mirror whose
// State.LeaderRevision equals it has seen all that earlier leaders wrote.
func (l *Leadership) Revision() int64 { return l.revision }

// PutPlan writes a plan, if this is still the leader; else ErrNotLeader. After
// any other error the plan may or may not have been written. The schema is
// filled in.
func (l *Leadership) PutPlan(ctx context.Context, p *api.Plan) error {
	v := *p
	v.Schema = api.Schema
	key := planKeys + v.Pool
	if err := api.CheckName(v.Pool); err != nil {
		return fmt.Errorf("key %s: %w: %w", key, errName, err)
	}
	data, err := encode(key, &v)
	if err != nil {
		return err
	}
	return l.write(ctx, key, clientv3.OpPut(key, data))
}

// DeletePlan removes the plan of a pool that was deleted from the
// configuration, if this is still the leader; else ErrNotLeader.
func (l *Leadership) DeletePlan(ctx context.Context, pool string) error {
	return l.write(ctx, planKeys+pool, clientv3.OpDelete(planKeys+pool))
}

func (l *Leadership) write(ctx context.Context, key string, op clientv3.Op) error {
	if why := l.store.held(); why != nil {
		return fmt.Errorf("key %s: %w", key, why)
	}
	r, err := try(ctx, l.store, "key "+key, func(ctx context.Context) (*clientv3.TxnResponse, error) {
		return l.store.client.Txn(ctx).
			If(clientv3.Compare(clientv3.CreateRevision(l.key), "=", l.revision)).
			Then(op).
			Commit()
	})
	switch {
	case err != nil:
		return err
	case !r.Succeeded:
		l.tenure.end() // closes Lost: the key does not come back
		return fmt.Errorf("key %s: %w", key, ErrNotLeader)
	}
	return nil
}

// Resign gives the leadership back at once, so that another need not wait for
// the lease to run out.
func (l *Leadership) Resign(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, revokeTimeout)
	defer cancel()
	_, err := l.store.client.Delete(ctx, l.key)
	l.tenure.end()
	if err != nil {
		return l.store.explain("resign", err)
	}
	l.store.revoke(l.tenure.lease)
	return nil
}
