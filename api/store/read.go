package store

import (
	"context"
	"slices"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/peerage/peerage/api"
)

// pageSize keeps one answer well under the message limit of gRPC.
const pageSize = 500

// get is a linearizable read; what names it in an error.
func (s *Store) get(ctx context.Context, what, key string, opts ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	return try(ctx, s, what, func(ctx context.Context) (*clientv3.GetResponse, error) { return s.client.Get(ctx, key, opts...) })
}

// list reads everything that is mirrored, and the sequence number, in pages
// of one revision.
func (s *Store) list(ctx context.Context, opts ...clientv3.OpOption) (kvs []*mvccpb.KeyValue, id identity, err error) {
	for _, span := range [][2]string{{root, eventKeys}, {clientv3.GetPrefixRangeEnd(eventKeys), clientv3.GetPrefixRangeEnd(root)}} {
		from := span[0]
		for more := true; more; {
			r, err := s.page(ctx, from, span[1], id.Revision, opts)
			if err != nil {
				return nil, id, err
			}
			if id.Revision == 0 {
				id = identity{ClusterID: r.Header.ClusterId, Revision: r.Header.Revision}
			}
			kvs = append(kvs, r.Kvs...)
			if more = r.More; more {
				from = string(r.Kvs[len(r.Kvs)-1].Key) + "\x00"
			}
		}
	}
	return kvs, id, nil
}

func (s *Store) page(ctx context.Context, from, end string, revision int64, opts []clientv3.OpOption) (*clientv3.GetResponse, error) {
	opts = append(slices.Clone(opts), clientv3.WithRange(end), clientv3.WithLimit(pageSize), clientv3.WithRev(revision))
	return s.get(ctx, "list", from, opts...)
}

// acceptance reads which restored store operators accepted; nil: none.
func (s *Store) acceptance(ctx context.Context) (*api.StoreIntent, error) {
	r, err := s.get(ctx, "key "+storeKey, storeKey)
	if err != nil {
		return nil, err
	}
	if len(r.Kvs) == 0 {
		return nil, nil
	}
	v, err := decode(storeKey, r.Kvs[0].Value)
	if err != nil {
		return nil, err
	}
	return v.(*api.StoreIntent), nil
}
