package speaker

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/node"
	"github.com/peerage/peerage/api/node/nodetest"
	"github.com/peerage/peerage/realserver/speaker/control"
)

const (
	vipA    = "127.0.0.10"
	vipB    = "127.0.0.11"
	ownAddr = "127.0.0.1"
	prober  = "127.0.0.98"
	localAS = 64500
	pool    = "bulk"
)

var routerID = netip.MustParseAddr("10.1.1.1")

// bench is a speaker that runs on loopback.
type bench struct {
	*Speaker
	t       testing.TB
	port    uint16
	cfg     control.Config
	secrets string
	log     *syncBuffer
	stop    func()
}

// syncBuffer keeps a log.
type syncBuffer struct {
	mu  sync.Mutex
	b   strings.Builder
	off bool
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.off {
		return len(p), nil
	}
	return b.b.Write(p)
}

// discard keeps no more.
func (b *syncBuffer) discard() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.off = true
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// newBench runs a speaker with one customer for each of the given ones.
func newBench(t testing.TB, customers ...control.Customer) *bench {
	t.Helper()
	return newBenchWith(t, Options{}, customers...)
}

func newBenchWith(t testing.TB, o Options, customers ...control.Customer) *bench {
	t.Helper()
	b := &bench{t: t, port: nodetest.FreePort(t), secrets: t.TempDir(), log: &syncBuffer{}}
	b.cfg = control.Config{
		Schema: control.Schema, RouterID: routerID,
		Own: addrs(ownAddr), Probes: addrs(prober, ownAddr),
		Services:  []control.Service{{Pool: pool, VIPs: addrs(vipA, vipB), Port: b.port, LocalAS: localAS, HoldTime: api.Duration(90 * time.Second)}},
		Customers: customers,
	}
	o.Secrets, o.Logger = node.OpenSecrets(b.secrets), hclog.New(&hclog.LoggerOptions{Output: b.log, Level: hclog.Debug})
	b.Speaker = New(o)
	b.stop = start(t, b.Speaker)
	return b
}

// start runs a speaker until the test ends or the returned function is called.
func start(t testing.TB, s *Speaker) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the speaker failed: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func addrs(texts ...string) (all []netip.Addr) {
	for _, t := range texts {
		all = append(all, netip.MustParseAddr(t))
	}
	return all
}

// acme is a customer with neighbours of prefixes.
func acme(name string, prefixes ...string) control.Customer {
	c := control.Customer{Name: name, CustomerSpec: api.CustomerSpec{Pools: []string{pool}, Mode: api.CustomerCollect}}
	for _, p := range prefixes {
		c.Neighbors = append(c.Neighbors, api.CustomerNeighbor{Prefix: netip.MustParsePrefix(p)})
	}
	return c
}

// signed gives every neighbour of a customer a key.
func signed(c control.Customer, secret string) control.Customer {
	for i := range c.Neighbors {
		c.Neighbors[i].MD5Secret = secret
	}
	return c
}

// put sets the configuration, and checks whether that changed something.
func (b *bench) put(changed bool, problems ...string) {
	b.t.Helper()
	result, err := b.Set(b.t.Context(), b.cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	if result.Changed != changed {
		b.t.Errorf("changed is %v, not %v", result.Changed, changed)
	}
	if len(result.Problems) != len(problems) {
		b.t.Fatalf("problems are %q, not %q", result.Problems, problems)
	}
	for i, want := range problems {
		if !strings.Contains(result.Problems[i], want) {
			b.t.Errorf("problem %q does not have %q", result.Problems[i], want)
		}
	}
}

// secret writes a key.
func (b *bench) secret(name, key string) {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(b.secrets, name), []byte(key+"\n"), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// eventually waits until what holds.
func (b *bench) eventually(what string, ok func() bool) {
	b.t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			b.t.Fatalf("%s: not within %v; the log:\n%s", what, patience, b.log)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// established waits until that many sessions are up.
func (b *bench) established(n int) {
	b.t.Helper()
	b.eventually(fmt.Sprintf("%d sessions", n), func() bool { return b.Status().Pools[pool].Established == n })
}

// session finds a session by its router.
func (b *bench) session(peer string) control.Session {
	b.t.Helper()
	for _, s := range b.Sessions(control.Filter{Peer: netip.MustParseAddr(peer)}) {
		return s
	}
	b.t.Fatalf("no session of %s", peer)
	return control.Session{}
}

// configOf is a configuration at one address.
func configOf(customers ...control.Customer) control.Config {
	return control.Config{
		Schema: control.Schema, RouterID: routerID, Customers: customers,
		Services: []control.Service{{Pool: pool, VIPs: addrs(vipA), Port: 179, LocalAS: localAS}},
	}
}

// control127 is a customer with n signed routers.
func control127(n int) control.Customer {
	c := control.Customer{Name: "many", CustomerSpec: api.CustomerSpec{Pools: []string{pool}}}
	for i := range n {
		c.Neighbors = append(c.Neighbors, api.CustomerNeighbor{
			Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{127, 9, byte(i >> 8), byte(i)}), 32), MD5Secret: "a",
		})
	}
	return c
}

func contains(text string, parts ...string) bool {
	for _, p := range parts {
		if !strings.Contains(text, p) {
			return false
		}
	}
	return true
}
