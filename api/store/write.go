package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/peerage/peerage/api"
)

// A plan grows without a change of configuration: the reasons of operators stand
// in it, for each real server that is out. So much is kept free for that.
const reasonRoom, mostRoom = 512, 128 << 10

// FitsPlan tells whether a plan can be written, also when operators take real
// servers out; the error is an ErrTooLarge with the sizes.
func FitsPlan(p *api.Plan) error {
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	most := maxValue - min(reasonRoom*len(p.Destinations), mostRoom)
	if len(data) > most {
		return fmt.Errorf("%w: its plan takes %d KiB, and can have %d KiB", ErrTooLarge, (len(data)+1023)>>10, most>>10)
	}
	return nil
}

// PutPaths writes what an LB measured. The schema is filled in.
func (s *Store) PutPaths(ctx context.Context, o *api.PathObservation) error {
	v := *o
	v.Schema = api.Schema
	return s.put(ctx, pathKeys, v.LB, &v)
}

// PutServer writes what a real server measured. The schema is filled in.
func (s *Store) PutServer(ctx context.Context, o *api.ServerObservation) error {
	v := *o
	v.Schema = api.Schema
	return s.put(ctx, serverKeys, v.Server, &v)
}

// PutApplied writes what an LB made of a plan. The schema is filled in.
func (s *Store) PutApplied(ctx context.Context, a *api.Applied) error {
	v := *a
	v.Schema = api.Schema
	if err := api.CheckName(v.Pool); err != nil {
		return fmt.Errorf("applied plan of LB %s: pool: %w", v.LB, err)
	}
	return s.put(ctx, appliedKeys+v.Pool+"/", v.LB, &v)
}

// DeleteApplied removes an LB's word on a pool that it no longer carries.
func (s *Store) DeleteApplied(ctx context.Context, pool, lb string) error {
	key := appliedKeys + pool + "/" + lb
	_, err := try(ctx, s, "key "+key, func(ctx context.Context) (*clientv3.DeleteResponse, error) { return s.client.Delete(ctx, key) })
	return err
}

// errName is a name that must not be part of a key.
var errName = errors.New("bad name")

// put writes a value under a name, which must not lead elsewhere.
func (s *Store) put(ctx context.Context, prefix, name string, v any, opts ...clientv3.OpOption) error {
	if err := api.CheckName(name); err != nil {
		return fmt.Errorf("key %s%s: %w: %w", prefix, name, errName, err)
	}
	data, err := encode(prefix+name, v)
	if err != nil {
		return err
	}
	_, err = try(ctx, s, "key "+prefix+name, func(ctx context.Context) (*clientv3.PutResponse, error) {
		return s.client.Put(ctx, prefix+name, data, opts...)
	})
	return err
}

// explain says what failed, and the way out where etcd does not say it. A nil
// error stays nil.
func (s *Store) explain(what string, err error) error {
	at := strings.Join(s.cfg.Endpoints, ", ")
	switch {
	case err == nil:
		return nil
	case errors.Is(err, rpctypes.ErrNoSpace):
		return fmt.Errorf("etcd: %s: %w, etcd raised its alarm NOSPACE: compact and defragment it or raise its quota, then disarm the alarm: %w", what, ErrFull, err)
	case errors.Is(err, rpctypes.ErrRequestTooLarge):
		return fmt.Errorf("etcd: %s: %w: %w", what, ErrTooLarge, err)
	case errors.Is(err, context.DeadlineExceeded), unavailable(err):
		return fmt.Errorf("etcd: %s: no answer from %s: check that it runs, has a quorum and can be reached: %w", what, at, err)
	}
	return fmt.Errorf("etcd: %s: %w", what, err)
}

// unavailable recognises gRPC's ways to say that nobody answers.
func unavailable(err error) bool {
	if e, ok := errors.AsType[rpctypes.EtcdError](err); ok {
		return e.Code() == codes.Unavailable || e.Code() == codes.DeadlineExceeded
	}
	code := status.Code(err)
	return code == codes.Unavailable || code == codes.DeadlineExceeded
}
