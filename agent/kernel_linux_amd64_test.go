package agent

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/peerage/peerage/agent/connsync"
	"github.com/peerage/peerage/agent/ipvs"
	"github.com/peerage/peerage/api/node/hostnet"
	"github.com/peerage/peerage/hack/lab/labtest"
)

// TestKernelScenarios runs the scenarios again, with the same expectations, on
// the real kernel: its IPVS table, its addresses, parameters and sync daemons.
// Those are left out that need a reboot, a failure, or days. BIRD and the
// packet filter are models; their packages are tested on real ones.
func TestKernelScenarios(t *testing.T) {
	labtest.Netns(t, func(t *testing.T) {
		for _, args := range [][]string{{"link", "add", "eth0", "type", "dummy"}, {"address", "add", "10.0.0.11/24", "dev", "eth0"}, {"link", "set", "eth0", "up"}} {
			if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
				t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
			}
		}
		kernel, err := ipvs.OpenKernel(ipvs.KernelOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer kernel.Close()
		for _, name := range []string{"bring-up", "restart", "told-to-withdraw", "drift", "leave", "poisoned", "two-pools", "way-out"} {
			t.Run(name, func(t *testing.T) {
				archive, err := txtar.ParseFile("testdata/" + name + ".txtar")
				if err != nil {
					t.Fatal(err)
				}
				m := realMachine(t, kernel)
				defer m.clean()
				scenarioOn(t, archive, m).run()
			})
		}
	})
}

// realMachine is this network namespace with the kernel's own parts.
func realMachine(t *testing.T, kernel ipvs.Kernel) *machine {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "sysctls"), 0o700); err != nil {
		t.Fatal(err)
	}
	m := newMachine(t, dir)
	m.kernel, m.addrs = kernel, &hostnet.Device{}
	m.real = &Host{
		Sysctls: &hostnet.Sysctls{Dir: filepath.Join(dir, "sysctls")}, ConnSync: realSync{&connsync.Sync{Kernel: kernel}},
		Netfilter: fakeNetfilter{m}, Parameters: connsync.Sysctls,
	}
	return m
}

// clean leaves the namespace as it was.
func (m *machine) clean() {
	h := m.host()
	ctx := context.Background()
	for _, remove := range []func(context.Context) error{h.Table.Remove, h.ConnSync.Remove, h.Netfilter.Remove, m.addrs.Remove, h.Sysctls.Restore} {
		if err := remove(ctx); err != nil {
			m.t.Error(err)
		}
	}
	foreign := netip.MustParseAddrPort("192.0.2.1:80")
	_ = m.kernel.DelService(ctx, ipvs.Key{Addr: foreign, Protocol: 6}) // where the scenario made one
}

type realSync struct{ *connsync.Sync }

func (s realSync) Set(ctx context.Context, want SyncConfig) (bool, error) {
	s.HoldTimes(want.HoldTimes...)
	return s.Sync.Set(ctx, want.Interface, want.ID)
}
