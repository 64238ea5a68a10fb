package agent

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"sigs.k8s.io/yaml"

	"github.com/peerage/peerage/agent/ipvs"
	"github.com/peerage/peerage/api"
)

// update rewrites what the scenarios expect with what they got.
var update = flag.Bool("update", false, "rewrite the expectations of the scenarios")

// TestScenarios runs the files of testdata: each is a script, with what it
// reads and what it expects. The commands are the methods of scenario.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no scenarios", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				newScenario(t, archive, dir).run()
			})
			if *update && !t.Failed() {
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// scenario is one machine, the agent on it, and the store it sees.
type scenario struct {
	t       *testing.T
	archive *txtar.Archive
	m       *machine
	state   *api.State
	a       *Agent
	seen    int // lines of the log that were expected
}

const self = "lb-1"

func newScenario(t *testing.T, archive *txtar.Archive, dir string) *scenario {
	return scenarioOn(t, archive, newMachine(t, dir))
}

func scenarioOn(t *testing.T, archive *txtar.Archive, m *machine) *scenario {
	s := &scenario{t: t, archive: archive, m: m, state: &api.State{
		Synced: true, Settings: &api.Settings{}, Pools: map[string]*api.Pool{}, LoadBalancers: map[string]*api.LoadBalancer{},
		RealServers: map[string]*api.RealServer{}, Plans: map[string]*api.Plan{}, LiveLBs: map[string]*api.Live{},
		Applied: map[string]map[string]*api.Applied{}, Bad: map[string]error{},
	}}
	s.state.Settings.Default()
	s.start()
	return s
}

// State implements Source.
func (s *scenario) State() *api.State { return s.state }

// Subscribe implements Source.
func (s *scenario) Subscribe() (<-chan struct{}, func()) { return make(chan struct{}), func() {} }

func (s *scenario) start() {
	s.t.Helper()
	a, err := New(Config{Name: self, Host: s.m.host(), Source: s, HostID: s.m.hostID, StateDir: s.m.dir})
	if err != nil {
		s.t.Fatal(err)
	}
	s.a = a
}

func (s *scenario) run() {
	for i, line := range strings.Split(string(s.archive.Comment), "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if err := s.command(fields[0], fields[1:]); err != nil {
			s.t.Fatalf("line %d: %s: %v", i+1, line, err)
		}
	}
}

func (s *scenario) command(verb string, args []string) error {
	arg := strings.Join(args, " ")
	switch verb {
	case "site": // load configuration objects
		return s.site(arg)
	case "drop": // remove a configuration object
		kind, name, _ := strings.Cut(arg, "/")
		s.change(func(st *api.State) {
			if kind == string(api.KindPool) {
				delete(st.Pools, name)
			} else {
				delete(st.LoadBalancers, name)
			}
		})
	case "plan": // the leader writes a plan
		return s.plan(arg)
	case "unplan": // the leader deletes a plan
		s.change(func(st *api.State) { delete(st.Plans, arg) })
	case "bad": // a value in the store cannot be read
		s.change(func(st *api.State) { st.Bad[arg] = errBroken })
	case "round": // one round, "full" or on a change
		why := roundChange
		if arg != "" {
			why = kind(arg)
		}
		s.a.round(context.Background(), why)
	case "settle": // full rounds until none is waited for
		return s.settle()
	case "sleep":
		d, err := time.ParseDuration(arg)
		time.Sleep(d)
		return err
	case "store":
		return s.store(arg)
	case "neighbour":
		return s.neighbour(args[0], args[1], args[2:])
	case "restart": // the agent stops and starts
		s.start()
	case "reboot": // the machine does
		s.m.hostID += "+"
		s.m.boot()
		s.start()
	case "kill": // the agent dies before the nth change of a round, and starts
		n, err := strconv.Atoi(arg)
		if err == nil && !s.killed(n) {
			err = fmt.Errorf("the round made fewer than %d changes", n)
		}
		s.start()
		return err
	case "lose": // a file of the state directory
		return os.Remove(filepath.Join(s.m.dir, arg))
	case "break":
		s.m.breaks(part(arg), errBroken)
	case "mend":
		s.m.breaks(part(arg), nil)
	case "bird":
		return s.bird(arg)
	case "ipvs": // somebody else changes the kernel's table
		return s.ipvs(args)
	case "addr": // somebody else removes the addresses
		return s.m.addrs.Remove(context.Background())
	case "withdraw": // peerage-agent --withdraw
		return s.withdraw(arg)
	case "expect":
		return s.expect(args[0], args[1])
	default:
		return fmt.Errorf("no such command")
	}
	return nil
}

// change makes a new state: a state that was handed out never changes.
func (s *scenario) change(fn func(st *api.State)) {
	next := *s.state
	next.Pools, next.LoadBalancers, next.Plans = clone(next.Pools), clone(next.LoadBalancers), clone(next.Plans)
	next.LiveLBs, next.Applied, next.Bad = clone(next.LiveLBs), clone(next.Applied), clone(next.Bad)
	fn(&next)
	s.state = &next
}

func clone[K comparable, V any](m map[K]V) map[K]V {
	c := make(map[K]V, len(m))
	maps.Copy(c, m)
	return c
}

func (s *scenario) file(name string) ([]byte, error) {
	for _, f := range s.archive.Files {
		if f.Name == name {
			return f.Data, nil
		}
	}
	return nil, fmt.Errorf("there is no section %s", name)
}

func (s *scenario) site(name string) error {
	data, err := s.file(name)
	if err != nil {
		return err
	}
	objects, err := api.Parse(name, data)
	if err != nil {
		return err
	}
	s.change(func(st *api.State) {
		for _, o := range objects {
			switch o := o.(type) {
			case *api.Pool:
				st.Pools[o.Name] = o
			case *api.LoadBalancer:
				st.LoadBalancers[o.Name] = o
			case *api.Settings:
				st.Settings = o
			}
		}
	})
	return nil
}

func (s *scenario) plan(name string) error {
	data, err := s.file(name)
	if err != nil {
		return err
	}
	p := &api.Plan{Schema: api.Schema}
	if err := yaml.UnmarshalStrict(data, p); err != nil {
		return err
	}
	s.change(func(st *api.State) { st.Plans[p.Pool] = p })
	return nil
}

func (s *scenario) settle() error {
	for range 10 {
		wait := s.a.round(context.Background(), roundFull)
		if wait == 0 {
			return nil
		}
		time.Sleep(wait)
	}
	return fmt.Errorf("ten rounds did not settle")
}

func (s *scenario) store(what string) error {
	s.change(func(st *api.State) {
		st.Stale, st.Held = nil, nil
		switch what {
		case "back":
			st.Synced, st.FromCache = true, false
		case "lost":
			st.Stale = errBroken
		case "held":
			st.Held = errBroken
		case "cache": // a start without etcd: from the disk, without what nodes say
			st.Stale, st.Synced, st.FromCache = errBroken, false, true
			st.Applied, st.LiveLBs = nil, nil
		case "nothing": // a start without etcd and without a cache
			*st = api.State{Stale: errBroken, Settings: st.Settings}
		case "emptied": // somebody deleted everything
			*st = api.State{Synced: true, Settings: st.Settings}
		case "accepted": // by an operator, after it was restored
			st.StoreIntent = &api.StoreIntent{Mark: api.Mark{At: time.Now()}}
		}
	})
	return nil
}

func (s *scenario) neighbour(lb, what string, vips []string) error {
	s.change(func(st *api.State) {
		if what == "dead" {
			delete(st.LiveLBs, lb)
			return
		}
		st.LiveLBs[lb] = &api.Live{Name: lb}
		a := &api.Applied{Pool: "edge", LB: lb, VIPs: map[string]api.Announced{}}
		for _, vip := range vips {
			a.VIPs[vip] = api.Announced{Announced: what == "announces"}
		}
		st.Applied["edge"] = map[string]*api.Applied{lb: a}
	})
	return nil
}

func (s *scenario) bird(what string) error {
	b := &s.m.bird
	switch what {
	case "stops":
		b.stopped = true
		clear(b.told)
	case "starts":
		b.stopped = false
	case "loses-peers":
		b.peersUp = false
	case "finds-peers":
		b.peersUp = true
	case "is-deaf":
		b.sticky = true
	case "hears":
		b.sticky = false
	case "forgets":
		clear(b.routes)
	default:
		return fmt.Errorf("%s is unknown", what)
	}
	return nil
}

func (s *scenario) ipvs(args []string) error {
	if fake, ok := s.m.kernel.(*ipvs.Fake); ok {
		fake.SetHook(nil)
		defer s.m.hook()
	}
	service, err := netip.ParseAddrPort(args[1])
	if err != nil {
		return err
	}
	key := ipvs.Key{Addr: service, Protocol: 6, IPv6: service.Addr().Is6()}
	if args[0] == "add-service" { // somebody else's
		return s.m.kernel.NewService(context.Background(), ipvs.Service{Key: key, Scheduler: "rr"})
	}
	return s.m.kernel.DelService(context.Background(), key)
}

// killed runs a full round that dies before its nth change, and tells whether
// there was one.
func (s *scenario) killed(n int) (died bool) {
	defer func() {
		s.m.killAt = 0
		if r := recover(); r != nil {
			if _, ok := r.(killed); !ok {
				panic(r)
			}
			died = true
		}
	}()
	s.m.count, s.m.killAt = 0, n
	s.a.round(context.Background(), roundFull)
	return false
}

func (s *scenario) withdraw(section string) error {
	var out strings.Builder
	err := Withdraw(context.Background(), Config{Name: self, Host: s.m.host(), StateDir: s.m.dir, Grace: time.Second}, &out)
	if err != nil {
		fmt.Fprintf(&out, "error: %v\n", err)
	}
	return s.compare(section, out.String())
}

func (s *scenario) expect(what, section string) error {
	switch what {
	case "host":
		return s.compare(section, s.m.String())
	case "log": // since the last time
		if s.m.real != nil {
			return nil // the kernel keeps none
		}
		lines := s.m.log[s.seen:]
		s.seen = len(s.m.log)
		return s.compare(section, strings.Join(append(lines, ""), "\n"))
	case "applied":
		return s.compare(section, s.applied())
	case "ready":
		text := "ready\n"
		if err := s.a.Ready(); err != nil {
			text = err.Error() + "\n"
		}
		return s.compare(section, text)
	}
	return fmt.Errorf("%s is unknown", what)
}

// observable are the lines of a host that are the same on a real one.
func observable(text []byte) []byte {
	var b bytes.Buffer
	for line := range bytes.Lines(text) {
		if !bytes.HasPrefix(line, []byte("sysctl ")) && !bytes.HasPrefix(line, []byte("syncd ")) && !bytes.HasPrefix(line, []byte("netfilter ")) {
			b.Write(line)
		}
	}
	return b.Bytes()
}

// applied renders what the agent would publish.
func (s *scenario) applied() string {
	var b strings.Builder
	for _, pool := range slices.Sorted(maps.Keys(s.a.pub.latest)) {
		a := s.a.pub.latest[pool]
		fmt.Fprintf(&b, "%s generation %d warm %t drift %d\n", pool, a.Generation, a.Warm, a.Drift)
		for _, vip := range slices.Sorted(maps.Keys(a.VIPs)) {
			fmt.Fprintf(&b, "%s announced %t %s\n", vip, a.VIPs[vip].Announced, a.VIPs[vip].Reason)
		}
		if a.Error != "" {
			fmt.Fprintf(&b, "error: %s\n", a.Error)
		}
	}
	return b.String()
}

func (s *scenario) compare(section, got string) error {
	want, err := s.file(section)
	if s.m.real != nil {
		want, got = observable(want), string(observable([]byte(got)))
	}
	if *update && s.m.real == nil {
		for i := range s.archive.Files {
			if s.archive.Files[i].Name == section {
				s.archive.Files[i].Data = []byte(got)
				return nil
			}
		}
		s.archive.Files = append(s.archive.Files, txtar.File{Name: section, Data: []byte(got)})
		return nil
	}
	if err != nil {
		return err
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		return fmt.Errorf("differs (-want +got):\n%s", diff)
	}
	return nil
}
