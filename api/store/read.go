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
	ctx, cancel := s.request(ctx)
	defer cancel()
	opts = append(slices.Clone(opts), clientv3.WithRange(end), clientv3.WithLimit(pageSize), clientv3.WithRev(revision))
	r, err := s.client.Get(ctx, from, opts...)
	return r, s.explain("list", err)
}

// acceptance reads which restored store operators accepted; nil: none.
func (s *Store) acceptance(ctx context.Context) (*api.StoreIntent, error) {
	ctx, cancel := s.request(ctx)
	defer cancel()
	r, err := s.client.Get(ctx, storeKey)
	if err != nil {
		return nil, s.explain("key "+storeKey, err)
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
