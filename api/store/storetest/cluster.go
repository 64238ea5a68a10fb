package storetest

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
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

const (
	members = 3
	// tick is the heartbeat of a cluster. An election takes ten of them: short
	// for a test, and long enough that a busy machine causes none.
	tick = 50 * time.Millisecond
	// patience bounds what is awaited; nothing is expected to take that long.
	patience = 30 * time.Second
)

// Cluster is an etcd cluster of three members such as a site runs it beside
// Peerage: mutual TLS between members and with clients, and etcd's own limits,
// not those of the embedded store.
type Cluster struct {
	t       testing.TB
	quota   int64
	token   string
	ca      *authority
	peer    Credentials // of members among themselves, and as servers
	client  Credentials
	Members []*Member
}

// Member is one server of a cluster, which a test can stop, cut off and replace.
type Member struct {
	c       *Cluster
	name    string
	dir     string
	clients *relay
	peers   *relay
	server  *embed.Etcd // nil while stopped
	closing sync.WaitGroup
}

// StartCluster runs an empty cluster for the time of the test. quota bounds the
// database in bytes; 0 is etcd's default.
func StartCluster(t testing.TB, quota int64) *Cluster {
	t.Helper()
	c := &Cluster{t: t, quota: quota, token: rand.Text(), ca: newAuthority(t)}
	c.peer.CAFile, c.client.CAFile = c.ca.file, c.ca.file
	c.peer.CertFile, c.peer.KeyFile = c.ca.issue("member", x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth)
	c.client.CertFile, c.client.KeyFile = c.ca.issue("client", x509.ExtKeyUsageClientAuth)
	for n := range members {
		m := &Member{c: c, name: fmt.Sprintf("etcd-%d", n+1), dir: filepath.Join(t.TempDir(), "etcd"), clients: newRelay(t), peers: newRelay(t)}
		c.Members = append(c.Members, m)
		t.Cleanup(func() { m.Stop(); m.closing.Wait() })
	}
	for _, m := range c.Members {
		m.launch(embed.ClusterStateFlagNew)
	}
	for _, m := range c.Members {
		m.ready()
	}
	return c
}

// Endpoints are the URLs of all members; they stay the same.
func (c *Cluster) Endpoints() []string {
	var urls []string
	for _, m := range c.Members {
		urls = append(urls, m.Endpoint())
	}
	return urls
}

// TLS is the client's side.
func (c *Cluster) TLS() *tls.Config { return c.client.Config(c.t) }

// Leader waits until the running members agree on a leader among them.
func (c *Cluster) Leader() *Member {
	c.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(tick) {
		if m := c.agreed(); m != nil {
			return m
		}
	}
	c.t.Fatal("the cluster has no leader")
	return nil
}

func (c *Cluster) agreed() *Member {
	var leader *Member
	said := uint64(0)
	for _, m := range c.Members {
		if m.server == nil {
			continue
		}
		switch id := uint64(m.server.Server.Leader()); {
		case said == 0:
			said = id
		case said != id:
			return nil
		}
		if m.id() == said {
			leader = m
		}
	}
	return leader
}

// Others are the members without one.
func (c *Cluster) Others(than *Member) []*Member {
	var others []*Member
	for _, m := range c.Members {
		if m != than {
			others = append(others, m)
		}
	}
	return others
}

func (m *Member) id() uint64 { return uint64(m.server.Server.MemberID()) }

// Endpoint is the member's URL for clients.
func (m *Member) Endpoint() string { return m.clients.url() }

// Stop ends a member as a crash would: connections are cut, and the leader hands
// nothing over. Its data stays. It may be stopped already.
func (m *Member) Stop() {
	if m.server == nil {
		return
	}
	m.clients.cut()
	m.peers.cut()
	m.server.Server.HardStop()
	server := m.server
	m.server = nil
	// What is left of it are listeners. Close would hand the leadership over
	// first, of a server that is no more.
	server.Server = nil
	m.closing.Go(server.Close)
}

// Start starts a stopped member on its data, and waits until it serves, which
// takes a quorum.
func (m *Member) Start() {
	m.c.t.Helper()
	m.Launch()
	m.ready()
}

// Launch starts a stopped member on its data, and does not wait for a quorum.
func (m *Member) Launch() {
	m.c.t.Helper()
	m.launch(embed.ClusterStateFlagNew) // etcd ignores the state when there is data
}

// Isolate cuts a member off from the others. Its clients still reach it.
func (m *Member) Isolate() {
	m.peers.cut()
	for _, o := range m.c.Others(m) {
		if o.server == nil {
			continue
		}
		o.server.Server.CutPeer(m.server.Server.MemberID())
		m.server.Server.CutPeer(o.server.Server.MemberID())
	}
}

// Rejoin ends the isolation.
func (m *Member) Rejoin() {
	m.peers.open(m.server.Peers[0].Addr().String())
	for _, o := range m.c.Others(m) {
		if o.server == nil {
			continue
		}
		o.server.Server.MendPeer(m.server.Server.MemberID())
		m.server.Server.MendPeer(o.server.Server.MemberID())
	}
}

// Freeze lets a member fall silent towards its clients, as a process that is
// stopped or whose disk hangs: connections stay open. The others do without it.
func (m *Member) Freeze() {
	m.clients.hush()
	m.Isolate()
}

// Thaw ends Freeze.
func (m *Member) Thaw() {
	m.Rejoin()
	m.clients.speak()
}

// Replace removes a member from the cluster, and adds it as another one without
// data.
func (m *Member) Replace() {
	m.c.t.Helper()
	id := m.id()
	m.Stop()
	m.c.Leader() // what is asked of a dead one is lost
	m.c.manage(func(ctx context.Context, client *clientv3.Client) error {
		_, err := client.MemberRemove(ctx, id)
		return err
	})
	if err := os.RemoveAll(m.dir); err != nil {
		m.c.t.Fatal(err)
	}
	m.c.manage(func(ctx context.Context, client *clientv3.Client) error {
		_, err := client.MemberAdd(ctx, []string{m.peers.url()})
		return err
	})
	m.launch(embed.ClusterStateFlagExisting)
	m.ready()
}

// manage does what operators do with etcdctl.
func (c *Cluster) manage(do func(ctx context.Context, client *clientv3.Client) error) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	var running []string
	for _, m := range c.Members {
		if m.server != nil {
			running = append(running, m.Endpoint())
		}
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: running, TLS: c.TLS(), Logger: zap.NewNop()})
	if err != nil {
		c.t.Fatal(err)
	}
	defer client.Close()
	for ctx.Err() == nil {
		attempt, cancel := context.WithTimeout(ctx, patience/6)
		last := do(attempt, client)
		cancel()
		// What an attempt without an answer did is done.
		if last == nil || errors.Is(last, rpctypes.ErrMemberNotFound) || errors.Is(last, rpctypes.ErrPeerURLExist) {
			return
		}
		err = last
		time.Sleep(tick) // an election is under way
	}
	c.t.Fatalf("etcd: %v", err)
}

func (m *Member) launch(state string) {
	m.c.t.Helper()
	if m.server != nil {
		m.c.t.Fatalf("%s is running: stop it first", m.name)
	}
	server, err := embed.StartEtcd(m.config(state))
	if err != nil {
		m.c.t.Fatalf("start %s: %v", m.name, err)
	}
	m.server = server
	m.clients.open(server.Clients[0].Addr().String())
	m.peers.open(server.Peers[0].Addr().String())
}

func (m *Member) ready() {
	m.c.t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case <-m.server.Server.ReadyNotify():
	case err := <-m.server.Err():
		m.c.t.Fatalf("start %s: %v", m.name, err)
	case <-timeout.C:
		m.c.t.Fatalf("%s is not ready", m.name)
	}
}

func (m *Member) config(state string) *embed.Config {
	c := embed.NewConfig()
	c.Name, c.Dir = m.name, m.dir
	anyPort := []url.URL{{Scheme: "https", Host: "127.0.0.1:0"}}
	c.ListenClientUrls, c.ListenPeerUrls = anyPort, anyPort
	c.AdvertiseClientUrls, c.AdvertisePeerUrls = m.c.parse(m.clients), m.c.parse(m.peers)
	var all []string
	for _, o := range m.c.Members {
		all = append(all, o.name+"="+o.peers.url())
	}
	c.InitialCluster, c.InitialClusterToken, c.ClusterState = strings.Join(all, ","), m.c.token, state
	c.PeerTLSInfo.CertFile, c.PeerTLSInfo.KeyFile = m.c.peer.CertFile, m.c.peer.KeyFile
	c.PeerTLSInfo.TrustedCAFile, c.PeerTLSInfo.ClientCertAuth = m.c.peer.CAFile, true
	c.ClientTLSInfo = c.PeerTLSInfo
	c.TickMs, c.ElectionMs = uint(tick.Milliseconds()), uint(10*tick.Milliseconds())
	c.QuotaBackendBytes = m.c.quota
	// etcd wants five quiet seconds before a change of members; the tests are
	// about its clients.
	c.StrictReconfigCheck = false
	c.EnableGRPCGateway = false
	c.UnsafeNoFsync, c.BackendBatchInterval = true, time.Millisecond
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	return c
}

func (c *Cluster) parse(r *relay) []url.URL {
	u, err := url.Parse(r.url())
	if err != nil {
		c.t.Fatal(err)
	}
	return []url.URL{*u}
}
