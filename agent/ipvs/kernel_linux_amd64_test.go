package ipvs

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/hack/lab/labtest"
)

func openTestKernel(t testing.TB) *kernel {
	k := openKernel(KernelOptions{})
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
		if n := k.write.abandonedHandles(); n > 0 {
			t.Errorf("%d handles were abandoned", n)
		}
	})
	return k
}

func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// sortedLines makes two listings comparable: ipvsadm has an order of its own,
// and ends some lines with a blank.
func sortedLines(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.TrimSpace(line))
	}
	slices.Sort(lines)
	return lines
}

// TestKernelScenarios runs the scenarios against the kernel of the lab. What
// the kernel is said to hold is compared with what ipvsadm says.
func TestKernelScenarios(t *testing.T) {
	labtest.Netns(t, func(t *testing.T) {
		for _, file := range scenarioFiles(t) {
			t.Run(filepath.Base(file), func(t *testing.T) {
				run(t, "ipvsadm", "-C")
				admin := func(args ...string) error {
					out, err := exec.Command("ipvsadm", args...).CombinedOutput()
					if err != nil {
						return fmt.Errorf("%w: %s", err, out)
					}
					return nil
				}
				runScenario(t, file, openTestKernel(t), admin, func(text string) {
					if d := cmp.Diff(sortedLines(text), sortedLines(run(t, "ipvsadm", "-Sn"))); d != "" {
						t.Errorf("ipvsadm says otherwise (-we +ipvsadm):\n%s", d)
					}
				})
			})
		}
	})
}

// TestKernelAgainstModel does the same random things to the kernel and to the
// model of it: both must answer and look the same.
func TestKernelAgainstModel(t *testing.T) {
	labtest.Netns(t, func(t *testing.T) {
		const seed, steps = 7, 1500
		random := rand.New(rand.NewPCG(seed, seed))
		host, fake := Kernel(openTestKernel(t)), Kernel(NewFake())
		for i := range steps {
			vip := vips[random.IntN(len(vips))]
			k := tcp(netip.AddrPortFrom(vip, 179))
			if random.IntN(8) == 0 {
				k = anchor(random.IntN(2) == 0).Key
			}
			s := Service{Key: k, Scheduler: []string{"mh", "wlc", "sh", "rr"}[random.IntN(4)], Flags: uint32(random.IntN(4)) * flagScheduler1, MaskBits: maskBits(k.IPv6)}
			d := Destination{Addr: netip.AddrPortFrom(server(vip, random.IntN(4)), 179), Forward: forwardDirect, Weight: random.IntN(4), Upper: uint32(random.IntN(2) * 9)}
			if k.Mark != 0 {
				d.Addr = netip.AddrPortFrom(server(map[bool]netip.Addr{false: vips[0], true: vips[2]}[k.IPv6], 1), 179)
			}
			verb := random.IntN(8)
			do := func(kernel Kernel) error {
				ctx := context.Background()
				switch verb {
				case 0, 1:
					return kernel.NewService(ctx, s)
				case 2:
					return kernel.SetService(ctx, s)
				case 3:
					return kernel.DelService(ctx, k)
				case 4, 5:
					return kernel.NewDestination(ctx, k, d)
				case 6:
					return kernel.SetDestination(ctx, k, d)
				}
				return kernel.DelDestination(ctx, k, d.Addr)
			}
			if verb == 3 && random.IntN(3) > 0 {
				continue
			}
			errReal, errFake := do(host), do(fake)
			var a, b unix.Errno
			errors.As(errReal, &a)
			errors.As(errFake, &b)
			if a != b || (errReal == nil) != (errFake == nil) {
				t.Fatalf("step %d, verb %d on %s: the kernel says %v, the model %v", i, verb, k, errReal, errFake)
			}
			if i%25 != 0 {
				continue
			}
			all := func(Key) bool { return true }
			x, err1 := host.Services(t.Context(), all)
			y, err2 := fake.Services(t.Context(), all)
			if err := errors.Join(err1, err2); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(Text(y), Text(x)); d != "" {
				t.Fatalf("step %d (-model +kernel):\n%s", i, d)
			}
		}
	})
}

// A dump of nothing, thousands of times: what hangs the library for ever.
func TestKernelDumpsOfNothing(t *testing.T) {
	labtest.Netns(t, func(t *testing.T) {
		k := openTestKernel(t)
		for range 3000 {
			if s, err := k.Services(t.Context(), func(Key) bool { return true }); err != nil || len(s) != 0 {
				t.Fatal(s, err)
			}
			if d, err := k.read.destinations(t.Context(), tcp(netip.AddrPortFrom(vips[0], 179))); err != nil || len(d) != 0 {
				t.Fatal(d, err)
			}
		}
	})
}

func TestKernelDaemonsAndTimeouts(t *testing.T) {
	labtest.Netns(t, func(t *testing.T) {
		k := openTestKernel(t)
		run(t, "ip", "link", "add", "eth9", "type", "dummy")
		run(t, "ip", "address", "add", "10.1.0.1/24", "dev", "eth9")
		run(t, "ip", "link", "set", "eth9", "up")
		ctx := t.Context()
		want := []Daemon{{Master, "eth9", 7}, {Backup, "eth9", 7}}
		for _, d := range want {
			if err := k.StartDaemon(ctx, d); err != nil {
				t.Fatal(err)
			}
		}
		got, err := k.Daemons(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("daemons (-want +got):\n%s", d)
		}
		if err := k.StartDaemon(ctx, want[0]); !errors.Is(err, unix.EEXIST) {
			t.Errorf("a second master: %v, want EEXIST", err)
		}
		for _, r := range []DaemonRole{Master, Backup} {
			if err := k.StopDaemon(ctx, r); err != nil {
				t.Error(err)
			}
			if err := k.StopDaemon(ctx, r); !errors.Is(err, unix.ESRCH) {
				t.Errorf("stop again: %v, want ESRCH", err)
			}
		}
		if err := k.StartDaemon(ctx, Daemon{Master, "nowhere", 7}); !errors.Is(err, unix.ENODEV) {
			t.Errorf("start on no device: %v, want ENODEV", err)
		}
		before, err := k.Timeouts(ctx)
		if err != nil {
			t.Fatal(err)
		}
		after := before
		after.TCP = longTimeout
		if err := k.SetTimeouts(ctx, Timeouts{TCP: longTimeout}); err != nil {
			t.Fatal(err)
		}
		if got, err := k.Timeouts(ctx); err != nil || got != after {
			t.Errorf("time-outs %v, %v; want %v", got, err, after)
		}
	})
}

// longTimeout is the longest that is ever set.
const longTimeout = 131070 * time.Second

func kernelTable(b *testing.B, desired []api.Table) *Table {
	labtest.Kernel(b)
	if out := run(b, "ipvsadm", "-Sn"); out != "" {
		b.Skip("the kernel's table is not empty: run in a network namespace of its own (unshare -n)")
	}
	b.Cleanup(func() { run(b, "ipvsadm", "-C") })
	table := openTable(b, openTestKernel(b), recordFile(b))
	if _, err := table.Set(b.Context(), desired); err != nil {
		b.Fatal(err)
	}
	return table
}

func BenchmarkKernelWeightOf64(b *testing.B) {
	desired := bigTables(1, 64)
	table := kernelTable(b, desired)
	for b.Loop() {
		d := &desired[0].Destinations[31]
		d.Weight = 1 - d.Weight
		if res, err := table.Set(b.Context(), desired); err != nil || res.Changed != 1 {
			b.Fatal(res.Ops, err)
		}
	}
}

// BenchmarkKernelReweigh is the message alone: what a change of weights waits for
// in the kernel and on the way to it.
func BenchmarkKernelReweigh(b *testing.B) {
	before := bigTables(1, 64)
	table := kernelTable(b, before)
	after := bigTables(1, 64)
	after[0].Destinations[31].Weight = 0
	for b.Loop() {
		if ops, done, err := table.Reweigh(b.Context(), before, after); err != nil || !done || len(ops) != 1 {
			b.Fatal(ops, done, err)
		}
		before, after = after, before
	}
}

func BenchmarkKernelNothing64x64(b *testing.B) {
	desired := bigTables(64, 64)
	table := kernelTable(b, desired)
	for b.Loop() {
		if res, err := table.Set(b.Context(), desired); err != nil || res.Changed != 0 {
			b.Fatal(res.Ops, err)
		}
	}
}

func BenchmarkKernelFill1x64(b *testing.B) {
	desired := bigTables(1, 64)
	table := kernelTable(b, desired)
	for b.Loop() {
		b.StopTimer()
		if err := table.Remove(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if _, err := table.Set(b.Context(), desired); err != nil {
			b.Fatal(err)
		}
	}
}
