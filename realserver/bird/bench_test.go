package bird

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/node"
	"github.com/peerage/peerage/api/node/birdc/birdtest"
	"github.com/peerage/peerage/api/node/nodetest"
	"github.com/peerage/peerage/realserver"
)

// bench is a driver with a real BIRD on addresses of the loopback network.
type bench struct {
	*Driver
	t    *testing.T
	log  *birdtest.Buffer
	cfg  realserver.SpeakerConfig
	port uint16
}

const (
	vipA, vipB = "127.0.0.10", "127.0.0.11"
	own        = "127.0.0.99"
	prober     = "127.0.0.98"
	localAS    = 64500
)

func newBench(t *testing.T, neighbors ...api.Neighbor) *bench {
	t.Helper()
	dir := birdtest.Dir(t)
	b := &bench{t: t, log: &birdtest.Buffer{}, port: nodetest.FreePort(t)}
	if err := os.Mkdir(filepath.Join(dir, "secrets"), 0o700); err != nil {
		t.Fatal(err)
	}
	b.Driver = New(Options{
		Binary: birdtest.Binary(t),
		Config: filepath.Join(dir, "etc", "bird.conf"), Socket: filepath.Join(dir, "bird.ctl"), PID: filepath.Join(dir, "bird.pid"),
		Log:     filepath.Join(dir, "log"),
		Secrets: node.OpenSecrets(filepath.Join(dir, "secrets")),
		Logger:  hclog.New(&hclog.LoggerOptions{Output: b.log, Level: hclog.Debug}),
	})
	b.cfg = realserver.SpeakerConfig{
		RouterID: netip.MustParseAddr("10.0.0.1"),
		Own:      []netip.Addr{netip.MustParseAddr(own)},
		Probes:   []netip.Addr{netip.MustParseAddr(prober), netip.MustParseAddr(own)},
		Services: []realserver.Service{{
			Pool: "bulk", Port: b.port, VIPs: []netip.Addr{netip.MustParseAddr(vipA), netip.MustParseAddr(vipB)},
			Speaker: api.Speaker{LocalAS: localAS, HoldTime: api.Duration(90 * time.Second), Neighbors: neighbors},
		}},
	}
	t.Cleanup(b.end)
	return b
}

// end ends the BIRD that the driver started: nobody else would.
func (b *bench) end() {
	pid := b.process()
	if pid == 0 {
		return
	}
	if b.t.Failed() {
		b.t.Logf("the driver's log:\n%s", b.log)
		text, _ := os.ReadFile(b.opts.Log)
		b.t.Logf("BIRD's log:\n%s", text)
	}
	_ = b.client.Down(context.Background())
	for deadline := time.Now().Add(10 * time.Second); b.process() == pid; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

func (b *bench) secretFile(name, key string) {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(filepath.Dir(b.opts.Socket), "secrets", name), []byte(key), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// put sets the configuration.
func (b *bench) put(wantChanged bool) {
	b.t.Helper()
	changed, err := b.Set(b.t.Context(), b.cfg)
	if err != nil || changed != wantChanged {
		b.t.Fatalf("Set: changed %v, error %v", changed, err)
	}
}

func (b *bench) neighbors(n ...api.Neighbor) { b.cfg.Services[0].Neighbors = n }

// router connects from an address to the first VIP.
func (b *bench) router(from string, as uint16, key string) router {
	return router{from, netip.AddrPortFrom(netip.MustParseAddr(vipA), b.port), as, key}
}

// established awaits the count of sessions that are up.
func (b *bench) established(want int) {
	b.t.Helper()
	birdtest.Await(b.t, func(ctx context.Context) bool {
		s, err := b.Status(ctx)
		return err == nil && s.Pools["bulk"].Established == want
	})
}

func neighbor(name, prefix string, as uint32, secret string) api.Neighbor {
	return api.Neighbor{Name: name, Prefix: netip.MustParsePrefix(prefix), AS: as, MD5Secret: secret}
}

// waiting tells whether no session and no delay after an error is left.
func (b *bench) waiting(ctx context.Context) bool {
	all, err := b.client.Protocols(ctx)
	for _, p := range all {
		if p.BGP != nil && p.BGP.State != "Passive" {
			return false
		}
	}
	return err == nil
}
