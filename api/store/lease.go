package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
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
	// A lease that is only thought to be lost is left to itself: the key moves
	// on to the next one, and must not go with the old one meanwhile.
	defer func() {
		if ctx.Err() != nil {
			s.revoke(id)
		}
	}()
	if err := s.put(ctx, liveKeys+string(live.Role)+"/", live.Name, live, clientv3.WithLease(id)); err != nil {
		return err
	}
	done()
	renewing, cancel := context.WithCancelCause(ctx)
	var renewal sync.WaitGroup
	renewal.Go(func() { cancel(s.renew(renewing, id, ttl, false)) })
	defer renewal.Wait()
	defer cancel(nil)
	look := time.NewTicker(max(ttl/2, minLook))
	defer look.Stop()
	for {
		select {
		case <-renewing.Done():
			return context.Cause(renewing)
		case <-look.C:
			if err := s.registered(renewing, key, id, live); err != nil {
				return err
			}
		}
	}
}

// minLook bounds how often a node looks for its own registration.
const minLook = 500 * time.Millisecond

// registered says why the live key is not that of the lease. That etcd does
// not answer is no such reason: the lease tells.
func (s *Store) registered(ctx context.Context, key string, id clientv3.LeaseID, live api.Live) error {
	r, err := s.get(ctx, "key "+key, key)
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
	r, err := try(ctx, s, "lease", func(ctx context.Context) (*clientv3.LeaseGrantResponse, error) {
		// etcd counts in whole seconds. A lease that was granted without an
		// answer runs out by itself.
		return s.client.Grant(ctx, int64(max(1, (ttl+time.Second-1)/time.Second)))
	})
	if err != nil {
		return 0, err
	}
	return r.ID, nil
}

// renew renews a lease every third of its ttl until ctx ends, and returns why
// it cannot be renewed: because etcd says so, or, if strict, because etcd was
// not heard of for a ttl. Without a quorum etcd does not end leases either, and
// then gives them their whole ttl once more.
//
// Each attempt goes to another member, and there is time for two before the
// lease ends: the one stream on which etcd's client renews all leases would hang
// for longer with the member that it happens to go to.
func (s *Store) renew(ctx context.Context, id clientv3.LeaseID, ttl time.Duration, strict bool) error {
	end := time.Now().Add(ttl)
	again := &retry{first: 50 * time.Millisecond, most: ttl / 8}
	for sleep(ctx, ttl/3) {
		for {
			begin := time.Now()
			left, err := s.renewOnce(ctx, id, ttl/4)
			if err == nil && left <= 0 {
				return errors.New("the lease expired")
			}
			if err == nil {
				end = begin.Add(ttl)
				again.reset()
				break
			}
			if strict && time.Now().After(end) {
				return fmt.Errorf("the lease was not renewed in time: %w", s.explain("lease", err))
			}
			if !again.wait(ctx) {
				return ctx.Err()
			}
		}
	}
	return ctx.Err()
}

// renewOnce asks one member to renew a lease, and returns the seconds that it
// has then, 0 if it is gone.
func (s *Store) renewOnce(ctx context.Context, id clientv3.LeaseID, patience time.Duration) (int64, error) {
	ctx, cancel := context.WithTimeout(clientv3.WithRequireLeader(ctx), patience)
	defer cancel()
	stream, err := pb.NewLeaseClient(s.client.ActiveConnection()).LeaseKeepAlive(ctx)
	if err != nil {
		return 0, err
	}
	if err := stream.Send(&pb.LeaseKeepAliveRequest{ID: int64(id)}); err != nil && !errors.Is(err, io.EOF) {
		return 0, err // at EOF Recv tells why
	}
	r, err := stream.Recv()
	if err != nil {
		return 0, err
	}
	return r.TTL, nil
}

// revoke gives a lease back. It runs when the caller's context has ended, so
// it has one of its own. A failure is harmless: the lease runs out.
func (s *Store) revoke(id clientv3.LeaseID) {
	ctx, cancel := context.WithTimeout(context.Background(), revokeTimeout)
	defer cancel()
	_, _ = s.client.Revoke(ctx, id)
}
