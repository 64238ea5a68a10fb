// Package embed runs an etcd server inside the process: the store of a site
// that has no etcd cluster.
package embed

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.etcd.io/etcd/server/v3/embed"
	"google.golang.org/grpc"

	"github.com/peerage/peerage/api/node"
	"github.com/peerage/peerage/api/store/internal/zaplog"
)

const (
	// quotaBytes is where the database stops to take writes. A site of
	// hundreds of nodes holds some MB; the rest is history up to compaction.
	quotaBytes = 4 << 30
	// keepRevisions is how much history stays for watches to resume; etcd
	// compacts the rest every five minutes.
	keepRevisions = "10000"
	// maxTxnOps lets one apply write a whole site.
	maxTxnOps       = 4096
	maxRequestBytes = 4 << 20
	// defragMegabytes of free pages are worth a slower start.
	defragMegabytes = 256
	// startTimeout covers the replay of a large log on a slow disk.
	startTimeout = time.Minute
	// drainTimeout is how long Close lets requests end by themselves. Watches
	// never do.
	drainTimeout = 200 * time.Millisecond
)

// Config says what to run.
type Config struct {
	// Dir holds the data; it is made if missing. Not to be shared.
	Dir string
	// ListenClient is the URL for clients, http or https; port 0 is any.
	ListenClient string
	// Name of the member; empty: "peerage".
	Name string
	// Logger is optional.
	Logger hclog.Logger
	// CertFile and KeyFile are for an https URL. ClientCAFile, if set, makes
	// client certificates mandatory.
	CertFile, KeyFile, ClientCAFile string
	// Tick is the heartbeat of the consensus; 0 means 100 ms. An election
	// takes ten ticks. Tests shorten it.
	Tick time.Duration
	// NoFsync makes the data volatile, for tests only.
	NoFsync bool
}

// Server is a running etcd server.
type Server struct {
	etcd   *embed.Etcd
	scheme string
	lock   *node.Lock
	close  func() error // once

	mu   sync.Mutex
	grpc []*grpc.Server // to end watches at Close
}

// Start runs a server and waits until it serves. The data in Dir is durable:
// what a client was told to be written survives a crash.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	if ctx.Err() != nil {
		return nil, fmt.Errorf("embedded etcd: %w", context.Cause(ctx))
	}
	c, err := cfg.etcd()
	if err != nil {
		return nil, err
	}
	// etcd itself would wait for ever for another that uses the directory.
	lock, err := node.LockDir(cfg.Dir, "etcd")
	if err != nil {
		return nil, fmt.Errorf("embedded etcd: %w", err)
	}
	s := &Server{scheme: c.ListenClientUrls[0].Scheme, lock: lock}
	s.close = sync.OnceValue(s.stop)
	c.ServiceRegister = func(g *grpc.Server) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.grpc = append(s.grpc, g)
	}
	if s.etcd, err = embed.StartEtcd(c); err != nil {
		return nil, errors.Join(fmt.Errorf("embedded etcd in %s on %s: %w", cfg.Dir, cfg.ListenClient, err), lock.Close())
	}
	timeout := time.NewTimer(startTimeout)
	defer timeout.Stop()
	select {
	case <-s.etcd.Server.ReadyNotify():
		return s, nil
	case err = <-s.etcd.Err():
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-timeout.C:
		err = fmt.Errorf("not ready within %v", startTimeout)
	}
	return nil, errors.Join(fmt.Errorf("embedded etcd in %s on %s: %w", cfg.Dir, cfg.ListenClient, err), s.Close())
}

// etcd turns the configuration into that of the server.
func (cfg Config) etcd() (*embed.Config, error) {
	if cfg.Dir == "" {
		return nil, errors.New("embedded etcd: no data directory given")
	}
	listen, err := url.Parse(cfg.ListenClient)
	if err != nil || listen.Host == "" || listen.Scheme != "http" && listen.Scheme != "https" {
		return nil, fmt.Errorf("embedded etcd: %q is no URL to listen on; write one such as http://127.0.0.1:2379", cfg.ListenClient)
	}
	if (listen.Scheme == "https") != (cfg.CertFile != "") {
		return nil, fmt.Errorf("embedded etcd: %s and its certificate do not fit; give a certificate and key for https, and none for http", cfg.ListenClient)
	}
	if err := cfg.checkTLS(); err != nil {
		return nil, err
	}
	c := embed.NewConfig()
	c.Dir = cfg.Dir
	c.Name = cfg.Name
	if c.Name == "" {
		c.Name = "peerage"
	}
	// There is one member: nothing listens for peers. The URL is a name only.
	c.ListenPeerUrls = nil
	peer := url.URL{Scheme: "http", Host: "127.0.0.1:2380"}
	c.AdvertisePeerUrls = []url.URL{peer}
	c.InitialCluster = c.Name + "=" + peer.String()
	// A cluster's ID is made of this token: a new data directory must be told
	// from the old one by it. A server that has data ignores the token.
	c.InitialClusterToken = rand.Text()
	c.ListenClientUrls = []url.URL{*listen}
	c.AdvertiseClientUrls = []url.URL{*listen}
	c.ClientTLSInfo.CertFile, c.ClientTLSInfo.KeyFile = cfg.CertFile, cfg.KeyFile
	c.ClientTLSInfo.TrustedCAFile = cfg.ClientCAFile
	c.ClientTLSInfo.ClientCertAuth = cfg.ClientCAFile != ""

	c.QuotaBackendBytes = quotaBytes
	c.MaxTxnOps, c.MaxRequestBytes = maxTxnOps, maxRequestBytes
	c.AutoCompactionMode, c.AutoCompactionRetention = embed.CompactorModeRevision, keepRevisions
	// Compaction frees pages for new data; the file itself shrinks at a start.
	c.BootstrapDefragThresholdMegabytes = defragMegabytes
	c.EnableGRPCGateway = false
	c.UnsafeNoFsync = cfg.NoFsync
	if cfg.Tick > 0 {
		c.TickMs = uint(cfg.Tick.Milliseconds())
		c.ElectionMs = 10 * c.TickMs
	}
	if cfg.NoFsync {
		c.BackendBatchInterval = time.Millisecond
	}
	log := cfg.Logger
	if log == nil {
		log = hclog.NewNullLogger()
	}
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zaplog.New(log.Named("etcd")))
	return c, nil
}

// checkTLS reads the files before etcd does, which tells of what is wrong with
// them only when it serves already.
func (cfg Config) checkTLS() error {
	if cfg.CertFile == "" {
		return nil
	}
	if _, err := tls.LoadX509KeyPair(cfg.CertFile, cfg.KeyFile); err != nil {
		return fmt.Errorf("embedded etcd: certificate %s with key %s: %w", cfg.CertFile, cfg.KeyFile, err)
	}
	if cfg.ClientCAFile == "" {
		return nil
	}
	ca, err := os.ReadFile(cfg.ClientCAFile)
	if err != nil {
		return fmt.Errorf("embedded etcd: client CA: %w", err)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(ca) {
		return fmt.Errorf("embedded etcd: client CA: %s holds no certificate in PEM", cfg.ClientCAFile)
	}
	return nil
}

// Endpoints are the URLs for clients, with the real port.
func (s *Server) Endpoints() []string {
	var urls []string
	for _, l := range s.etcd.Clients {
		urls = append(urls, s.scheme+"://"+l.Addr().String())
	}
	return urls
}

// Done is closed, or yields an error, when the server ended by itself.
func (s *Server) Done() <-chan error { return s.etcd.Err() }

// Close ends the server within seconds. Clients' watches are cut: they resume
// elsewhere, or when the server is back. It may be called again.
func (s *Server) Close() error { return s.close() }

func (s *Server) stop() error {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		s.etcd.Close()
	}()
	timer := time.NewTimer(drainTimeout)
	defer timer.Stop()
	select {
	case <-closed:
	case <-timer.C:
		s.cut()
		<-closed
	}
	return s.lock.Close()
}

// cut ends the requests that have not ended by themselves.
func (s *Server) cut() {
	s.mu.Lock()
	servers := s.grpc
	s.mu.Unlock()
	for _, g := range servers {
		g.Stop()
	}
}

// HasData tells whether a directory holds a store already.
func HasData(dir string) bool {
	found, err := filepath.Glob(filepath.Join(strings.TrimRight(dir, "/"), "member", "wal", "*.wal"))
	return err == nil && len(found) > 0
}
