package ipvs

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/peerage/peerage/api"
)

func openTable(t testing.TB, k Kernel, record string) *Table {
	t.Helper()
	table, err := Open(Config{Kernel: k, Record: record, HostID: "boot"})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func recordFile(t testing.TB) string { return filepath.Join(t.TempDir(), "ipvs.json") }

// foreign puts a service into the kernel that is somebody else's.
func foreign(t fataler, f *Fake) {
	vip := netip.MustParseAddrPort("198.51.100.1:80")
	for _, k := range []Key{tcp(vip), {Protocol: 17, Addr: netip.MustParseAddrPort("192.0.2.1:179")}, {Mark: 7}, {IPv6: true, Mark: 7}} {
		if err := f.NewService(context.Background(), Service{Key: k, Scheduler: "rr", MaskBits: maskBits(k.IPv6)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.NewDestination(context.Background(), tcp(vip), Destination{Addr: netip.MustParseAddrPort("10.9.9.9:80"), Weight: 3}); err != nil {
		t.Fatal(err)
	}
}

type fataler interface{ Fatal(...any) }

// foreignText is what must be left of them, whatever we do.
func foreignText(f *Fake) string {
	var lines []string
	for line := range strings.Lines(f.String()) {
		if strings.Contains(line, "198.51.100.1") || strings.Contains(line, "-u ") || strings.Contains(line, "-f 7") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// checkRemembered compares the model's hidden weights with the desired ones.
func checkRemembered(t *rapid.T, f *Fake, desired []api.Table) {
	for _, table := range desired {
		for _, d := range table.Destinations {
			if got := f.Remembered(key(table), address(d)); got != d.Nominal {
				t.Fatalf("%s %s: mh remembers weight %d, want %d", key(table), address(d), got, d.Nominal)
			}
		}
	}
}

// scribble is somebody else writing into our services. A weight that passes
// through another value and ends at 0 leaves no trace; that one thing is left out.
func scribble(t *rapid.T, f *Fake) {
	ctx := context.Background()
	service := netip.AddrPortFrom(rapid.SampledFrom(vips).Draw(t, "scribbled"), 179)
	d := Destination{Addr: netip.AddrPortFrom(server(service.Addr(), rapid.IntRange(0, 5).Draw(t, "server")), 179), Forward: forwardDirect, Weight: rapid.IntRange(1, 4).Draw(t, "w")}
	switch rapid.IntRange(0, 4).Draw(t, "how") {
	case 0:
		_ = f.DelService(ctx, tcp(service))
	case 1:
		_ = f.NewDestination(ctx, tcp(service), d)
	case 2:
		_ = f.SetDestination(ctx, tcp(service), d)
	case 3:
		_ = f.DelDestination(ctx, tcp(service), d.Addr)
	case 4:
		_ = f.SetService(ctx, Service{Key: tcp(service), Scheduler: "rr", Flags: flagPersistent, Timeout: 300})
	}
}

// TestSetProperty: whatever happened before, Set reaches the desired state, a
// dump shows it, a second Set does nothing, and nothing foreign is touched.
func TestSetProperty(t *testing.T) {
	record := recordFile(t)
	rapid.Check(t, func(t *rapid.T) {
		_ = os.Remove(record)
		f := NewFake()
		foreign(t, f)
		before := foreignText(f)
		table, err := Open(Config{Kernel: f, Record: record, HostID: "boot"})
		if err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(1, 4).Draw(t, "rounds") {
			switch rapid.IntRange(0, 3).Draw(t, "between") {
			case 1:
				scribble(t, f)
			case 2: // the process starts anew
				table, _ = Open(Config{Kernel: f, Record: record, HostID: "boot"})
			}
			desired := drawTables(t, "desired", false)
			if _, err := table.Set(context.Background(), desired); err != nil {
				t.Fatal(err)
			}
			got, err := table.Dump(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(desired, got, sameTable); d != "" {
				t.Fatalf("dump (-want +got):\n%s", d)
			}
			checkRemembered(t, f, desired)
			if res, err := table.Set(context.Background(), desired); err != nil || len(res.Ops) > 0 {
				t.Fatalf("a second Set does %v, %v", res.Ops, err)
			}
		}
		if d := cmp.Diff(before, foreignText(f)); d != "" {
			t.Fatalf("foreign services were touched:\n%s", d)
		}
		if f.Unhooked() > 0 && !strings.Contains(f.String(), "-f 1346717010") {
			t.Fatal("a family was unhooked")
		}
	})
}

// copyFile makes to like from, also when there is no from.
func copyFile(t *rapid.T, from, to string) {
	data, err := os.ReadFile(from)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.Remove(to); errors.Is(err, fs.ErrNotExist) {
			return
		}
	} else if err == nil {
		err = os.WriteFile(to, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// errKilled is a process that died.
var errKilled = errors.New("killed")

// TestKilledAnywhere kills the process before or after any change, loses the
// record or not, and starts it again: the desired state is reached.
func TestKilledAnywhere(t *testing.T) {
	dir := t.TempDir()
	record, kept := filepath.Join(dir, "ipvs.json"), filepath.Join(dir, "kept.json")
	rapid.Check(t, func(t *rapid.T) {
		_ = os.Remove(record)
		f := NewFake()
		set := func(desired []api.Table) {
			table, err := Open(Config{Kernel: f, Record: record, HostID: "boot"})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := table.Set(context.Background(), desired); err != nil && !errors.Is(err, errKilled) {
				t.Fatal(err)
			}
		}
		set(drawTables(t, "first", false))
		for range rapid.IntRange(1, 3).Draw(t, "crashes") {
			at, afterwards := rapid.IntRange(0, 12).Draw(t, "crash at"), rapid.Bool().Draw(t, "after the change")
			n, dead := 0, false
			f.SetHook(func(_ string, done bool) error {
				if dead {
					return errKilled
				}
				if done == afterwards {
					if n++; n > at {
						// Whatever the process writes from now on never happened.
						dead = true
						copyFile(t, record, kept)
						return errKilled
					}
				}
				return nil
			})
			set(drawTables(t, "interrupted", false))
			f.SetHook(nil)
			if dead {
				copyFile(t, kept, record)
			}
			if rapid.IntRange(0, 4).Draw(t, "lose the record") == 0 {
				_ = os.Remove(record)
			}
		}
		desired := drawTables(t, "desired", false)
		set(desired)
		checkRemembered(t, f, desired)
		table, _ := Open(Config{Kernel: f, Record: record, HostID: "boot"})
		got, err := table.Dump(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(desired, got, sameTable); d != "" {
			t.Fatalf("dump (-want +got):\n%s", d)
		}
	})
}

func TestLostAnswers(t *testing.T) {
	for _, done := range []bool{false, true} {
		f, desired := NewFake(), bigTables(2, 3)
		desired[1].Destinations[1].Weight = 0
		table := openTable(t, f, recordFile(t))
		n := 0
		f.SetHook(func(_ string, d bool) error {
			if d == done {
				n++
				if n == 3 || n == 6 {
					return ErrTimeout
				}
			}
			return nil
		})
		if _, err := table.Set(t.Context(), desired); err != nil {
			t.Fatalf("done=%v: %v", done, err)
		}
		got, err := table.Dump(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(desired, got, sameTable); d != "" {
			t.Errorf("done=%v (-want +got):\n%s", done, d)
		}
	}
}

// One service that fails keeps neither the others from being set nor an old
// one from serving on.
func TestOneServiceFails(t *testing.T) {
	f, record := NewFake(), recordFile(t)
	table := openTable(t, f, record)
	desired := bigTables(3, 2)
	if _, err := table.Set(t.Context(), desired[:1]); err != nil {
		t.Fatal(err)
	}
	f.SetHook(func(line string, _ bool) error {
		if strings.Contains(line, "192.0.2.2") {
			return unix.ENOMEM
		}
		return nil
	})
	res, err := table.Set(t.Context(), desired[1:])
	if !errors.Is(err, unix.ENOMEM) || !strings.Contains(err.Error(), "service 192.0.2.2:179") {
		t.Errorf("error %v does not name the service and the cause", err)
	}
	if res.Changed != 3 {
		t.Errorf("%d changes, want the 3 of the other service: %v", res.Changed, res.Ops)
	}
	if text := f.String(); !strings.Contains(text, "-A -t 192.0.2.1:179") || !strings.Contains(text, "-A -t 192.0.2.3:179") {
		t.Errorf("kernel holds\n%s", text)
	}
	f.SetHook(nil)
	if _, err := table.Set(t.Context(), desired[1:]); err != nil {
		t.Fatal(err)
	}
	if text := f.String(); strings.Contains(text, "192.0.2.1:179") || !strings.Contains(text, "192.0.2.2:179") {
		t.Errorf("kernel holds\n%s", text)
	}
}

func TestWrongTablesAreRefused(t *testing.T) {
	ok := bigTables(2, 2)
	for _, c := range []struct {
		name string
		bad  func(t *api.Table)
		want string
	}{
		{"port", func(t *api.Table) { t.Port = 0 }, "port 0"},
		{"no address", func(t *api.Table) { t.VIP = netip.Addr{} }, "plain IPv4 or IPv6"},
		{"mapped", func(t *api.Table) { t.VIP = netip.MustParseAddr("::ffff:192.0.2.1") }, "plain IPv4 or IPv6"},
		{"zone", func(t *api.Table) { t.VIP = netip.MustParseAddr("fe80::1%eth0") }, "plain IPv4 or IPv6"},
		{"multicast", func(t *api.Table) { t.VIP = netip.MustParseAddr("224.0.0.81") }, "unicast"},
		{"scheduler", func(t *api.Table) { t.Scheduler = "dh" }, `scheduler "dh" is not known`},
		{"flag", func(t *api.Table) { t.Flags = []string{"sh-port"} }, `no flag "sh-port"`},
		{"destination's port", func(t *api.Table) { t.Destinations[0].Port = 1179 }, "cannot change the port"},
		{"destination's family", func(t *api.Table) { t.Destinations[0].Addr = vips[2] }, "other address family"},
		{"VIP as destination", func(t *api.Table) { t.Destinations[0].Addr = t.VIP }, "VIP itself"},
		{"twice", func(t *api.Table) { t.Destinations[1] = t.Destinations[0] }, "listed twice"},
		{"forwarding", func(t *api.Table) { t.Destinations[0].Forwarding = api.ForwardingGUE }, "does not work yet"},
		{"weight", func(t *api.Table) { t.Destinations[0].Weight = 7 }, "neither 0 nor the nominal"},
		{"negative weight", func(t *api.Table) { t.Destinations[0].Weight, t.Destinations[0].Nominal = -1, -1 }, "not within"},
		{"same VIP and port", func(t *api.Table) { t.VIP = ok[1].VIP }, "more than once"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := NewFake()
			table := openTable(t, f, recordFile(t))
			if _, err := table.Set(t.Context(), ok); err != nil {
				t.Fatal(err)
			}
			before := f.String()
			wrong := cloneTables(ok)
			c.bad(&wrong[0])
			if res, err := table.Set(t.Context(), wrong); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Set = %v, %v; want an error with %q", res.Ops, err, c.want)
			}
			if d := cmp.Diff(before, f.String()); d != "" {
				t.Errorf("the kernel was changed:\n%s", d)
			}
			if res, err := table.Set(t.Context(), ok); err != nil || res.Changed != 0 {
				t.Errorf("afterwards Set = %v, %v; want nothing to do", res.Ops, err)
			}
		})
	}
}

// The record of another boot, and one that is damaged, is void.
func TestRecordIsVoid(t *testing.T) {
	for name, spoil := range map[string]func(path string) string{
		"other boot": func(string) string { return "other" },
		"damaged": func(path string) string {
			if err := os.WriteFile(path, []byte(`{"schema":1,"host":"boot","serv`), 0o600); err != nil {
				panic(err)
			}
			return "boot"
		},
		"future schema": func(path string) string {
			if err := os.WriteFile(path, []byte(`{"schema":2,"host":"boot"}`), 0o600); err != nil {
				panic(err)
			}
			return "boot"
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, record := NewFake(), recordFile(t)
			desired := bigTables(2, 2)
			desired[0].Destinations[0].Weight = 0
			if _, err := openTable(t, f, record).Set(t.Context(), desired); err != nil {
				t.Fatal(err)
			}
			table, err := Open(Config{Kernel: f, Record: record, HostID: spoil(record)})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := table.Dump(t.Context()); err != nil || len(got) != 0 {
				t.Errorf("Dump = %v, %v; nothing is known to be ours", got, err)
			}
			res, err := table.Set(t.Context(), desired[:1])
			if err != nil {
				t.Fatal(err)
			}
			// The nominal weight is unknown, so it is written again; the second
			// service may be anybody's by now, so it stays.
			want := []string{"-e -t 192.0.2.1:179 -r 10.0.0.0:179 -g -w 1", "-e -t 192.0.2.1:179 -r 10.0.0.0:179 -g -w 0"}
			if d := cmp.Diff(want, res.Ops); d != "" {
				t.Errorf("ops (-want +got):\n%s", d)
			}
		})
	}
}

func TestRemove(t *testing.T) {
	f := NewFake()
	foreign(t, f)
	before := f.String()
	table := openTable(t, f, recordFile(t))
	desired := append(bigTables(2, 2), api.Table{VIP: vips[2], Port: 179, Scheduler: api.SchedulerMH})
	if _, err := table.Set(t.Context(), desired); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := table.Remove(t.Context()); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(before, f.String()); d != "" {
			t.Errorf("after Remove (-before +after):\n%s", d)
		}
	}
}

func TestCounters(t *testing.T) {
	f := NewFake()
	table := openTable(t, f, recordFile(t))
	desired := bigTables(1, 2)
	if _, err := table.Set(t.Context(), desired); err != nil {
		t.Fatal(err)
	}
	want := api.ServerCounters{ActiveConns: 3, Connections: 1 << 40, InBytes: 1 << 33}
	f.Count(key(desired[0]), address(desired[0].Destinations[1]), want)
	got, err := table.Counters(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if c := got[key(desired[0])][desired[0].Destinations[1].Addr]; c != want {
		t.Errorf("counters %+v, want %+v", c, want)
	}
}

// The sessions of a destination that is only moved are held, also when it goes
// wrong in the middle.
func TestOrderRepairReleases(t *testing.T) {
	f := NewFake()
	table := openTable(t, f, recordFile(t))
	desired := bigTables(1, 3)
	if _, err := table.Set(t.Context(), desired); err != nil {
		t.Fatal(err)
	}
	slices.Reverse(desired[0].Destinations)
	f.SetHook(func(line string, done bool) error {
		if !done && strings.HasPrefix(line, "-a") {
			return unix.ENOMEM
		}
		return nil
	})
	if _, err := table.Set(t.Context(), desired); !errors.Is(err, unix.ENOMEM) {
		t.Fatalf("error %v, want ENOMEM", err)
	}
	f.SetHook(nil)
	if h := f.History(); h[len(h)-1] != "release sessions" {
		t.Errorf("the last change is %q", h[len(h)-1])
	}
	if _, err := table.Set(t.Context(), desired); err != nil {
		t.Fatal(err)
	}
	got, err := table.Dump(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(desired, got, sameTable); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// A process that is killed while it holds sessions leaves them held. The next one
// ends that with its first Set, whether there is anything else to do or not.
func TestKilledHoldIsReleased(t *testing.T) {
	for _, tc := range []struct {
		name   string
		repair bool // the order is still wrong
	}{{"nothing else to do", false}, {"the repair is still to be done", true}} {
		t.Run(tc.name, func(t *testing.T) {
			f, record := NewFake(), recordFile(t)
			desired := bigTables(1, 3)
			if _, err := openTable(t, f, record).Set(t.Context(), desired); err != nil {
				t.Fatal(err)
			}
			if _, err := f.KeepOrphans(t.Context(), true); err != nil { // and there it was killed
				t.Fatal(err)
			}
			if tc.repair {
				slices.Reverse(desired[0].Destinations)
			}
			if _, err := openTable(t, f, record).Set(t.Context(), desired); err != nil {
				t.Fatal(err)
			}
			if held, err := f.KeepOrphans(t.Context(), false); held || err != nil {
				t.Errorf("sessions are held for ever (%v)", err)
			}
		})
	}
}

// Depool and pool write no file: the record is about what the kernel forgets.
func TestWeightChangeWritesNoFile(t *testing.T) {
	f, record := NewFake(), recordFile(t)
	table := openTable(t, f, record)
	desired := bigTables(1, 64)
	if _, err := table.Set(t.Context(), desired); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(record)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []int{0, 1} {
		desired[0].Destinations[17].Weight = w
		res, err := table.Set(t.Context(), desired)
		if err != nil || res.Changed != 1 {
			t.Errorf("Set = %v, %v; want one change", res.Ops, err)
		}
	}
	if now, err := os.Stat(record); err != nil || !os.SameFile(before, now) {
		t.Errorf("the record was written again (%v)", err)
	}
}
