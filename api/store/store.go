package store

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/peerage/peerage/api/store/internal/zaplog"
)

// Errors to act on, by errors.Is.
var (
	// ErrNotFound is a key that does not exist.
	ErrNotFound = errors.New("not found")
	// ErrConflict is a write that others kept overtaking.
	ErrConflict = errors.New("conflict with another change")
	// ErrNotLeader is a write of a leader that no longer is.
	ErrNotLeader = errors.New("not the leader any more")
	// ErrHeld is a write to a store that was restored from a backup and not
	// accepted yet.
	ErrHeld = errors.New("the store is held")
	// ErrFull is a write to a store whose database has reached its quota.
	ErrFull = errors.New("the database is full")
	// ErrTooLarge is a value or a change that the store does not take.
	ErrTooLarge = errors.New("too large for the store")
)

const (
	defaultRequestTimeout = 5 * time.Second
	defaultMaxEvents      = 2000
	// maxReconnectDelay bounds how long after the return of etcd a client
	// still waits; gRPC's own default is two minutes.
	maxReconnectDelay = 3 * time.Second
)

// Config says where etcd is.
type Config struct {
	// Endpoints are URLs of the cluster's members, such as
	// https://192.0.2.1:2379. Not empty.
	Endpoints []string
	// TLS is needed for https endpoints.
	TLS *tls.Config
	// Logger is optional.
	Logger hclog.Logger
	// Metrics is optional.
	Metrics *Metrics
	// RequestTimeout bounds each request; 0 means 5 s. A change of many
	// operations has more.
	RequestTimeout time.Duration
	// MaxEvents bounds the event trail; 0 means 2000.
	MaxEvents int
}

// Store is a client of one etcd cluster. It is safe for concurrent use.
type Store struct {
	cfg     Config
	log     hclog.Logger
	client  *clientv3.Client
	metrics *Metrics
	// mirror is the one that was made last: writes are refused while it holds
	// the store.
	mirror atomic.Pointer[Mirror]
	// candidacy is the lease of the last campaign; 0: there was none.
	candidacy atomic.Int64
	// alarms are those that etcd has raised; nil: it was not asked.
	alarms atomic.Pointer[[]string]
	// appended counts the appendings of this process to the event trail.
	appended atomic.Int64
}

// Open makes a client. It does no I/O: etcd may be down, and may stay so.
func Open(cfg Config) (*Store, error) {
	if len(cfg.Endpoints) == 0 {
		return nil, errors.New("no etcd endpoint given; name at least one URL such as https://192.0.2.1:2379")
	}
	for _, e := range cfg.Endpoints {
		if strings.HasPrefix(e, "https://") && cfg.TLS == nil {
			return nil, fmt.Errorf("etcd endpoint %s needs TLS, and no CA or certificate is given; name them, or write http://", e)
		}
	}
	if cfg.Logger == nil {
		cfg.Logger = hclog.NewNullLogger()
	}
	if cfg.RequestTimeout == 0 {
		cfg.RequestTimeout = defaultRequestTimeout
	}
	if cfg.MaxEvents == 0 {
		cfg.MaxEvents = defaultMaxEvents
	}
	if cfg.Metrics == nil {
		cfg.Metrics = NewMetrics(nil)
	}
	log := cfg.Logger.Named("store")
	reconnect := backoff.DefaultConfig
	reconnect.BaseDelay, reconnect.MaxDelay = 100*time.Millisecond, maxReconnectDelay
	client, err := clientv3.New(clientv3.Config{
		Endpoints:            cfg.Endpoints,
		TLS:                  cfg.TLS,
		DialTimeout:          cfg.RequestTimeout,
		DialKeepAliveTime:    10 * time.Second,
		DialKeepAliveTimeout: 3 * time.Second,
		Logger:               zaplog.New(log.Named("etcd")),
		DialOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: reconnect, MinConnectTimeout: maxReconnectDelay,
		})},
	})
	if err != nil {
		return nil, fmt.Errorf("etcd client: %w", err)
	}
	return &Store{cfg: cfg, log: log, client: client, metrics: cfg.Metrics}, nil
}

// Close ends the client and everything that blocks in it.
func (s *Store) Close() error {
	if err := s.client.Close(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("etcd client: %w", err)
	}
	return nil
}

// Ping asks for a linearizable read: it answers only with a quorum.
func (s *Store) Ping(ctx context.Context) error {
	_, err := s.ping(ctx)
	return err
}

func (s *Store) ping(ctx context.Context) (identity, error) {
	r, err := s.get(ctx, "ping", root, clientv3.WithCountOnly())
	if err != nil {
		return identity{}, err
	}
	return identity{ClusterID: r.Header.ClusterId, Revision: r.Header.Revision}, nil
}
