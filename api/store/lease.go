package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/peerage/peerage/api"
)

// revokeTimeout bounds the good-bye of a node.
const revokeTimeout = 2 * time.Second

// errTaken ends a registration: two nodes under one name would write over each
// other's reports for ever.
var errTaken = errors.New("another process has registered under the name: give each node a --name of its own")

// Register keeps a node's live key there, under a lease of ttl that is renewed
// until ctx ends; then it is given back, and Register returns nil. A lease that
// was lost, or a key that somebody deleted, is made anew. When another process
// registers under the same name, the older gives way with an ErrConflict: it is
// the one that was replaced.
func (s *Store) Register(ctx context.Context, live api.Live, ttl time.Duration) error {
	live.Schema = api.Schema
	key := liveKey(&live)
	if key == "" {
		return fmt.Errorf("node %q: role %q has no place in the store", live.Name, live.Role)
	}
	if err := api.CheckName(live.Name); err != nil {
		return fmt.Errorf("key %s: %w: %w", key, errName, err)
	}
	again := newRetry()
	failing := false
	for ctx.Err() == nil {
		err := s.keepLive(ctx, key, live, ttl, func() {
			again.reset()
			if failing {
				s.log.Info("registered again", "node", live.Name)
			}
			failing = false
		})
		if ctx.Err() != nil {
			break
		}
		if errors.Is(err, errTaken) {
			return fmt.Errorf("node %s: %w: %w", live.Name, ErrConflict, err)
		}
		if errors.Is(err, ErrTooLarge) {
			return err // trying again would not help
		}
		if !failing {
			s.log.Warn("registration lost", "node", live.Name, "error", err)
		}
		failing = true
		again.wait(ctx)
	}
	return nil
}

// keepLive registers once, calls done, and stays until the lease is lost.
func (s *Store) keepLive(ctx context.Context, key string, live api.Live, ttl time.Duration, done func()) error {
	id, err := s.grant(ctx, ttl)
	if err != nil {
		return err
	}
	defer s.revoke(id)
	if err := s.put(ctx, liveKeys+string(live.Role)+"/", live.Name, live, clientv3.WithLease(id)); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	renewals, err := s.client.KeepAlive(ctx, id)
	if err != nil {
		return s.explain("lease", err)
	}
	done()
	// etcd renews every third of the ttl; one that stays away is lost.
	patience := time.NewTimer(ttl)
	defer patience.Stop()
	look := time.NewTicker(max(ttl/2, minLook))
	defer look.Stop()
	for {
		select {
		case <-patience.C:
			return errors.New("the lease was not renewed in time")
		case <-look.C:
			if err := s.registered(ctx, key, id, live); err != nil {
				return err
			}
		case r, ok := <-renewals:
			if !ok {
				return errors.New("the lease expired")
			}
			patience.Reset(max(ttl, time.Duration(r.TTL)*time.Second))
		}
	}
}

// minLook bounds how often a node looks for its own registration.
const minLook = 500 * time.Millisecond

// registered says why the live key is not that of the lease. That etcd does
// not answer is no such reason: the lease tells.
func (s *Store) registered(ctx context.Context, key string, id clientv3.LeaseID, live api.Live) error {
	ctx, cancel := s.request(ctx)
	defer cancel()
	r, err := s.client.Get(ctx, key)
	switch {
	case err != nil:
		return nil //nolint:nilerr // see above
	case len(r.Kvs) == 0:
		return errors.New("the key was deleted")
	case clientv3.LeaseID(r.Kvs[0].Lease) == id:
		return nil
	}
	v, err := decode(key, r.Kvs[0].Value)
	if other, ok := v.(*api.Live); ok && err == nil && (other.BootID != live.BootID || !other.StartedAt.Equal(live.StartedAt)) {
		return errTaken
	}
	return errors.New("the key was overwritten")
}

func (s *Store) grant(ctx context.Context, ttl time.Duration) (clientv3.LeaseID, error) {
	ctx, cancel := s.request(ctx)
	defer cancel()
	// etcd counts in whole seconds.
	r, err := s.client.Grant(ctx, int64(max(1, (ttl+time.Second-1)/time.Second)))
	if err != nil {
		return 0, s.explain("lease", err)
	}
	return r.ID, nil
}

// revoke gives a lease back. It runs when the caller's context has ended, so
// it has one of its own. A failure is harmless: the lease runs out.
func (s *Store) revoke(id clientv3.LeaseID) {
	ctx, cancel := context.WithTimeout(context.Background(), revokeTimeout)
	defer cancel()
	_, _ = s.client.Revoke(ctx, id)
}
