package ipvs

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/peerage/peerage/api"
)

var update = flag.Bool("update", false, "rewrite what the scenarios expect")

// A scenario is a txtar archive whose sections are worked through in order:
//
//	do      what happens besides: "ipvsadm ARGUMENTS" by somebody else, "restart"
//	        of the process, "lose record", "kill after N" changes of the next set
//	set     the desired tables, destinations in canonical order
//	ops     the changes that the set before made
//	error   a part of the error that it returned
//	dump    our tables as read back; without it they must equal the set
//	kernel  the whole kernel, destinations in its own order
//
// The same files run against the model and, in the lab, against the kernel.
type scenario struct {
	t      *testing.T
	kernel *flaky
	record string
	table  *Table
	admin  func(args ...string) error
	// check judges the rendered kernel by other means, where there are any.
	check func(text string)

	desired, dump string
	res           Result
	err           error
	pending       bool // the set before has not been judged
}

// flaky is a kernel whose user dies at some change.
type flaky struct {
	Kernel
	left int // changes until death; -1: never
}

func (f *flaky) change() error {
	if f.left == 0 {
		return errKilled
	}
	f.left = max(f.left-1, -1)
	return nil
}

func (f *flaky) NewService(ctx context.Context, s Service) error {
	if err := f.change(); err != nil {
		return err
	}
	return f.Kernel.NewService(ctx, s)
}

func (f *flaky) SetService(ctx context.Context, s Service) error {
	if err := f.change(); err != nil {
		return err
	}
	return f.Kernel.SetService(ctx, s)
}

func (f *flaky) DelService(ctx context.Context, k Key) error {
	if err := f.change(); err != nil {
		return err
	}
	return f.Kernel.DelService(ctx, k)
}

func (f *flaky) NewDestination(ctx context.Context, k Key, d Destination) error {
	if err := f.change(); err != nil {
		return err
	}
	return f.Kernel.NewDestination(ctx, k, d)
}

func (f *flaky) SetDestination(ctx context.Context, k Key, d Destination) error {
	if err := f.change(); err != nil {
		return err
	}
	return f.Kernel.SetDestination(ctx, k, d)
}

func (f *flaky) DelDestination(ctx context.Context, k Key, d netip.AddrPort) error {
	if err := f.change(); err != nil {
		return err
	}
	return f.Kernel.DelDestination(ctx, k, d)
}

func scenarioFiles(t *testing.T) []string {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	return files
}

func TestScenarios(t *testing.T) {
	for _, file := range scenarioFiles(t) {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			f := NewFake()
			runScenario(t, file, f, func(args ...string) error { return ipvsadm(f, args) }, nil)
		})
	}
}

func runScenario(t *testing.T, file string, k Kernel, admin func(args ...string) error, check func(string)) {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := &scenario{t: t, kernel: &flaky{k, -1}, record: recordFile(t), admin: admin, check: check}
	s.table = openTable(t, s.kernel, s.record)
	for i := range archive.Files {
		s.section(&archive.Files[i])
	}
	s.judge("", false)
	if *update {
		if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// section works through one section; with -update the expected text is
// replaced instead of compared.
func (s *scenario) section(f *txtar.File) {
	want := string(f.Data)
	got := want
	switch f.Name {
	case "do":
		s.judge("", false)
		for line := range strings.Lines(want) {
			s.do(strings.Fields(line))
		}
	case "set":
		s.judge("", false)
		s.set(want)
	case "ops":
		got = strings.Join(s.res.Ops, "\n")
		if got != "" {
			got += "\n"
		}
	case "error":
		if s.err == nil || !strings.Contains(s.err.Error(), strings.TrimSpace(want)) {
			s.t.Errorf("error %v, want one with %q", s.err, strings.TrimSpace(want))
		}
		s.err, s.pending = nil, false
	case "dump":
		s.judge(want, true)
		got = s.dump
	case "kernel":
		services, err := s.kernel.Services(s.t.Context(), func(Key) bool { return true })
		if err != nil {
			s.t.Fatal(err)
		}
		got = Text(services)
		if s.check != nil {
			s.check(got)
		}
	default:
		s.t.Fatalf("section %q is not known", f.Name)
	}
	if *update {
		f.Data = []byte(got)
	} else if d := cmp.Diff(want, got); d != "" {
		s.t.Errorf("%s (-want +got):\n%s", f.Name, d)
	}
}

func (s *scenario) do(words []string) {
	s.t.Helper()
	switch {
	case len(words) == 0:
	case words[0] == "ipvsadm":
		if err := s.admin(words[1:]...); err != nil {
			s.t.Fatalf("%v: %v", words, err)
		}
	case words[0] == "restart":
		s.kernel.left = -1
		s.table = openTable(s.t, s.kernel, s.record)
	case words[0] == "lose":
		if err := os.Remove(s.record); err != nil {
			s.t.Fatal(err)
		}
	case words[0] == "kill":
		n, err := strconv.Atoi(words[2])
		if err != nil {
			s.t.Fatal(err)
		}
		s.kernel.left = n
	default:
		s.t.Fatalf("%v: not known", words)
	}
}

func (s *scenario) set(text string) {
	desired, err := parseTables(text)
	if err != nil {
		s.t.Fatal(err)
	}
	dying := s.kernel.left >= 0
	s.res, s.err = s.table.Set(s.t.Context(), desired)
	if dying {
		if !errors.Is(s.err, errKilled) {
			s.t.Fatalf("nothing was killed: %v", s.err)
		}
		s.err = nil
		return
	}
	tables, err := s.table.Dump(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	s.dump = ""
	for _, t := range tables {
		s.dump += t.String()
	}
	s.desired, s.pending = text, true
	if again, err := s.table.Set(s.t.Context(), desired); s.err == nil && (err != nil || len(again.Ops) > 0) {
		s.t.Errorf("a second set does %v, %v", again.Ops, err)
	}
}

// judge compares the dump after the last set with what was set.
func (s *scenario) judge(want string, own bool) {
	if !s.pending {
		return
	}
	s.pending = false
	if !own {
		want = s.desired
	}
	if s.err != nil {
		s.t.Errorf("set: %v", s.err)
	}
	if d := cmp.Diff(want, s.dump); d != "" && (!own || !*update) {
		s.t.Errorf("dump (-want +got):\n%s", d)
	}
}

// parseTables reads what api.Table.String writes.
func parseTables(text string) ([]api.Table, error) {
	var tables []api.Table
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		o, err := parseOptions(strings.Fields(lines.Text()))
		if err != nil {
			return nil, err
		}
		service, err := netip.ParseAddrPort(o["-t"])
		if err != nil {
			return nil, err
		}
		if _, add := o["-A"]; add {
			t := api.Table{VIP: service.Addr(), Port: service.Port(), Scheduler: api.Scheduler(o["-s"])}
			if o["-b"] != "" {
				t.Flags = strings.Split(o["-b"], ",")
			}
			tables = append(tables, t)
			continue
		}
		addr, err1 := netip.ParseAddrPort(o["-r"])
		weight, err2 := strconv.Atoi(o["-w"])
		nominal, err3 := strconv.Atoi(o["nominal"])
		if err := errors.Join(err1, err2, err3); err != nil {
			return nil, err
		}
		t := &tables[len(tables)-1]
		t.Destinations = append(t.Destinations, api.TableDestination{Addr: addr.Addr(), Port: addr.Port(), Forwarding: api.ForwardingDSR, Nominal: nominal, Weight: weight})
	}
	return tables, lines.Err()
}

// parseOptions maps each word to the one after it, unless that is an option.
func parseOptions(words []string) (map[string]string, error) {
	o := map[string]string{}
	for i := 0; i < len(words); i++ {
		if !strings.HasPrefix(words[i], "-") && words[i] != "nominal" {
			return nil, fmt.Errorf("%q: want an option", words[i])
		}
		o[words[i]] = ""
		if i+1 < len(words) && !strings.HasPrefix(words[i+1], "-") && words[i+1] != "nominal" {
			o[words[i]] = words[i+1]
			i++
		}
	}
	return o, nil
}

// ipvsadm does to a model what the program of that name does to a kernel.
func ipvsadm(k Kernel, args []string) error {
	o, err := parseOptions(args)
	if err != nil {
		return err
	}
	has := func(name string) bool { _, ok := o[name]; return ok }
	ctx := context.Background()
	var key Key
	switch {
	case has("-f"):
		mark, err := strconv.ParseUint(o["-f"], 10, 32)
		if err != nil {
			return err
		}
		key = Key{Mark: uint32(mark), IPv6: has("-6")}
	default:
		text, protocol := o["-t"], uint16(protocolTCP)
		if has("-u") {
			text, protocol = o["-u"], 17
		}
		addr, err := netip.ParseAddrPort(text)
		if err != nil {
			return err
		}
		key = Key{Protocol: protocol, Addr: addr, IPv6: addr.Addr().Is6()}
	}
	s := Service{Key: key, Scheduler: o["-s"], MaskBits: maskBits(key.IPv6)}
	if o["-p"] != "" {
		seconds, err := strconv.ParseUint(o["-p"], 10, 32)
		if err != nil {
			return err
		}
		s.Flags, s.Timeout = flagPersistent, uint32(seconds)
	}
	if o["-b"] != "" {
		bits, err := flagBits(api.Scheduler(s.Scheduler), strings.Split(o["-b"], ","))
		if err != nil {
			return err
		}
		s.Flags |= bits
	}
	var d Destination
	if has("-r") {
		if d.Addr, err = netip.ParseAddrPort(o["-r"]); err != nil {
			return err
		}
		d.Forward = forwardDirect
		if has("-m") {
			d.Forward = forwardMasq
		}
		d.Weight = 1
		if has("-w") {
			if d.Weight, err = strconv.Atoi(o["-w"]); err != nil {
				return err
			}
		}
		for name, to := range map[string]*uint32{"-x": &d.Upper, "-y": &d.Lower} {
			if o[name] != "" {
				n, err := strconv.ParseUint(o[name], 10, 32)
				if err != nil {
					return err
				}
				*to = uint32(n)
			}
		}
	}
	switch args[0] {
	case "-A":
		return k.NewService(ctx, s)
	case "-E":
		return k.SetService(ctx, s)
	case "-D":
		return k.DelService(ctx, key)
	case "-a":
		return k.NewDestination(ctx, key, d)
	case "-e":
		return k.SetDestination(ctx, key, d)
	case "-d":
		return k.DelDestination(ctx, key, d.Addr)
	}
	return fmt.Errorf("%v: %w", args, errors.ErrUnsupported)
}
