package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/peerage/peerage/agent/bird"
	"github.com/peerage/peerage/agent/ipvs"
	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/node/hostnet"
)

// killed is what a failpoint panics with: the agent's process is gone.
type killed struct{}

// machine models a load balancer: the real ipvs.Table works on a model of the
// kernel, the rest are models of their own. It survives the agent, and keeps
// one log of all changes in the order in which they were made.
type machine struct {
	t      testing.TB
	dir    string
	hostID string
	kernel ipvs.Kernel
	addrs  hostnet.Addresses
	// real replaces the models of what is left by the machine's own.
	real *Host

	log    []string
	killAt int // panic at this change, counted from 1; 0: never
	count  int

	mu      sync.Mutex // guards the fields below
	broken  map[part]error
	hanging map[part]chan struct{}

	// services are those in the kernel, for note: the model is locked then.
	services map[netip.AddrPort]bool

	sysctls   map[string]string
	daemons   string
	netfilter []netip.AddrPort
	bird      fakeBird
}

// fakeBird models BIRD: what it holds, and that it tells peers that are up.
type fakeBird struct {
	stopped bool
	peersUp bool
	sticky  bool // withdrawals do not reach the peers
	config  bird.Config
	routes  map[netip.Addr]uint32
	told    map[netip.Addr]bool
	sets    int
}

func newMachine(t testing.TB, dir string) *machine {
	m := &machine{
		t: t, dir: dir, hostID: "boot-1", broken: map[part]error{}, hanging: map[part]chan struct{}{},
		sysctls: map[string]string{}, bird: fakeBird{peersUp: true, routes: map[netip.Addr]uint32{}, told: map[netip.Addr]bool{}},
	}
	m.boot()
	return m
}

// boot empties what a reboot empties. BIRD comes up with the file it had.
func (m *machine) boot() {
	if m.real != nil {
		return // a real machine is not rebooted
	}
	m.kernel, m.services = ipvs.NewFake(), map[netip.AddrPort]bool{}
	m.hook()
	m.addrs = &hostnet.FakeDevice{}
	m.sysctls, m.daemons, m.netfilter = map[string]string{}, "", nil
}

// hook logs the changes of the kernel's table, and is a failpoint before each.
func (m *machine) hook() {
	fake, ok := m.kernel.(*ipvs.Fake)
	if !ok {
		return
	}
	fake.SetHook(func(line string, done bool) error {
		if done {
			m.note("ipvs " + line)
			return nil
		}
		m.failpoint()
		return m.fault(partTable)
	})
}

// failpoint stands before every change.
func (m *machine) failpoint() {
	m.count++
	if m.killAt > 0 && m.count >= m.killAt {
		panic(killed{})
	}
}

func (m *machine) change(format string, args ...any) {
	m.failpoint()
	m.note(fmt.Sprintf(format, args...))
}

// note logs a change, and checks what must be true at every moment: nothing is
// taken down while the fabric sends, and nothing is announced without a base.
func (m *machine) note(line string) {
	m.log = append(m.log, line)
	words := strings.Fields(line)
	switch {
	case strings.HasPrefix(line, "ipvs -A -t"):
		m.services[netip.MustParseAddrPort(words[3])] = true
	case strings.HasPrefix(line, "ipvs -D -t"):
		gone := netip.MustParseAddrPort(words[3])
		delete(m.services, gone)
		for s := range m.services {
			if s.Addr() == gone.Addr() {
				return // another service stays on the VIP
			}
		}
		if m.bird.told[gone.Addr()] {
			m.t.Errorf("%s: while the VIP is exported", line)
		}
	case strings.HasPrefix(line, "addr del"):
		if m.bird.told[netip.MustParsePrefix(words[2]).Addr()] {
			m.t.Errorf("%s: while the VIP is exported", line)
		}
	case line == "addr remove":
		if len(m.bird.told) > 0 {
			m.t.Errorf("%s: while VIPs are exported", line)
		}
	case strings.HasPrefix(line, "bird announce"):
		vip := netip.MustParseAddr(words[2])
		if _, held := m.bird.routes[vip]; held {
			return
		}
		if !strings.Contains(m.device(), netip.PrefixFrom(vip, vip.BitLen()).String()) {
			m.t.Errorf("%s: the address is not there", line)
		}
		if !strings.Contains(m.table(), "-a -t "+strings.TrimSuffix(netip.AddrPortFrom(vip, 0).String(), "0")) {
			m.t.Errorf("%s: there is no real server", line)
		}
	}
}

// fault is how a part is broken, or nil. A part that hangs does so here.
func (m *machine) fault(p part) error {
	m.mu.Lock()
	hangs := m.hanging[p]
	m.mu.Unlock()
	if hangs != nil {
		<-hangs
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.broken[p]
}

// hangs makes a part hang until it is let go.
func (m *machine) hangs(p part) (release func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	hangs := make(chan struct{})
	m.hanging[p] = hangs
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.hanging, p)
		close(hangs)
	}
}

// breaks breaks a part; nil mends it.
func (m *machine) breaks(p part, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.broken[p] = err
}

func (m *machine) host() Host {
	t, err := ipvs.Open(ipvs.Config{Kernel: m.kernel, Record: filepath.Join(m.dir, "ipvs.json"), HostID: m.hostID})
	if err != nil {
		panic(err)
	}
	h := Host{
		Table: fakeTable{t, m}, Addresses: fakeAddresses{m.addrs, m}, Sysctls: fakeSysctls{m}, ConnSync: fakeSync{m},
		Netfilter: fakeNetfilter{m}, Speaker: fakeSpeaker{m},
		Parameters: func(c api.ConnSync) map[string]string {
			return map[string]string{"net.ipv4.vs.sloppy_tcp": "1", "net.ipv4.vs.sync_refresh_period": c.RefreshPeriod.String()}
		},
	}
	if m.real != nil {
		h.Sysctls, h.ConnSync, h.Netfilter, h.Parameters = m.real.Sysctls, m.real.ConnSync, m.real.Netfilter, m.real.Parameters
	}
	return h
}

// table renders the kernel's table in its own order.
func (m *machine) table() string {
	all, err := m.kernel.Services(context.Background(), func(ipvs.Key) bool { return true })
	if err != nil {
		m.t.Error(err)
	}
	return ipvs.Text(all)
}

// device renders the local addresses.
func (m *machine) device() string {
	list, err := m.addrs.List(context.Background())
	if err != nil {
		m.t.Error(err)
	}
	text := hostnet.DeviceName
	for _, p := range list {
		text += " " + p.String()
	}
	return text + "\n"
}

// String renders what a host can be asked for.
func (m *machine) String() string {
	var b strings.Builder
	b.WriteString(m.table())
	b.WriteString(m.device())
	for _, k := range slices.Sorted(maps.Keys(m.sysctls)) {
		fmt.Fprintf(&b, "sysctl %s=%s\n", k, m.sysctls[k])
	}
	if m.daemons != "" {
		fmt.Fprintf(&b, "syncd %s\n", m.daemons)
	}
	for _, s := range m.netfilter {
		fmt.Fprintf(&b, "netfilter %s\n", s)
	}
	for _, vip := range slices.SortedFunc(maps.Keys(m.bird.routes), netip.Addr.Compare) {
		told := ""
		if m.bird.told[vip] {
			told = " exported"
		}
		fmt.Fprintf(&b, "bird %s med %d%s\n", vip, m.bird.routes[vip], told)
	}
	return b.String()
}

type fakeTable struct {
	*ipvs.Table
	m *machine
}

func (t fakeTable) Dump(ctx context.Context) ([]api.Table, error) {
	if err := t.m.fault("dump"); err != nil {
		return nil, err
	}
	return t.Table.Dump(ctx)
}

func (t fakeTable) Set(ctx context.Context, desired []api.Table) (TableResult, error) {
	r, err := t.Table.Set(ctx, desired)
	return TableResult(r), err
}

func (t fakeTable) Present(ctx context.Context, services []netip.AddrPort) (bool, error) {
	all, err := t.m.kernel.Services(ctx, func(ipvs.Key) bool { return false })
	return slices.ContainsFunc(all, func(s ipvs.Service) bool { return s.Mark == 0 && slices.Contains(services, s.Addr) }), err
}

type fakeAddresses struct {
	hostnet.Addresses
	m *machine
}

func (f fakeAddresses) Set(ctx context.Context, want []netip.Prefix) (bool, error) {
	if err := f.m.fault(partAddresses); err != nil {
		return false, err
	}
	f.m.failpoint()
	fake, ok := f.Addresses.(*hostnet.FakeDevice)
	if !ok {
		return f.Addresses.Set(ctx, want)
	}
	before := len(fake.History())
	changed, err := fake.Set(ctx, want)
	for _, line := range fake.History()[before:] {
		f.m.note("addr " + line)
	}
	return changed, err
}

func (f fakeAddresses) Remove(ctx context.Context) error {
	f.m.change("addr remove")
	return f.Addresses.Remove(ctx)
}

type fakeSysctls struct{ m *machine }

func (f fakeSysctls) Set(_ context.Context, want map[string]string) (drifted []string, err error) {
	if err := f.m.fault(partSysctls); err != nil {
		return nil, err
	}
	for _, k := range slices.Sorted(maps.Keys(want)) {
		if have, ok := f.m.sysctls[k]; have != want[k] {
			f.m.change("sysctl %s=%s", k, want[k])
			f.m.sysctls[k] = want[k]
			if ok {
				drifted = append(drifted, k)
			}
		}
	}
	return drifted, nil
}

func (f fakeSysctls) Restore(context.Context) error {
	f.m.change("sysctl restore")
	clear(f.m.sysctls)
	return nil
}

type fakeSync struct{ m *machine }

func (f fakeSync) Set(_ context.Context, want SyncConfig) (bool, error) {
	if err := f.m.fault(partConnSync); err != nil {
		return false, err
	}
	text := fmt.Sprintf("%s id %d", want.Interface, want.ID)
	if f.m.daemons == text {
		return false, nil
	}
	f.m.change("syncd %s", text)
	f.m.daemons = text
	return true, nil
}

func (f fakeSync) Remove(context.Context) error {
	f.m.change("syncd remove")
	f.m.daemons = ""
	return nil
}

type fakeNetfilter struct{ m *machine }

func (f fakeNetfilter) Set(_ context.Context, services []netip.AddrPort) (bool, error) {
	if err := f.m.fault(partNetfilter); err != nil {
		return false, err
	}
	if slices.Equal(f.m.netfilter, services) {
		return false, nil
	}
	f.m.change("netfilter %v", services)
	f.m.netfilter = slices.Clone(services)
	return true, nil
}

func (f fakeNetfilter) Remove(context.Context) error {
	f.m.change("netfilter remove")
	f.m.netfilter = nil
	return nil
}

type fakeSpeaker struct{ m *machine }

func (f fakeSpeaker) Set(_ context.Context, want bird.Config) (bird.State, error) {
	b := &f.m.bird
	b.sets++
	if err := f.m.fault(partSpeaker); err != nil {
		return f.state(), err
	}
	for _, vip := range slices.SortedFunc(maps.Keys(b.routes), netip.Addr.Compare) {
		if _, ok := want.Routes[vip]; !ok {
			f.m.change("bird withdraw %s", vip)
			delete(b.routes, vip)
		}
	}
	for _, vip := range slices.SortedFunc(maps.Keys(want.Routes), netip.Addr.Compare) {
		if med, ok := b.routes[vip]; !ok || med != want.Routes[vip] {
			f.m.change("bird announce %s med %d", vip, want.Routes[vip])
			b.routes[vip] = want.Routes[vip]
		}
	}
	b.config = want
	f.export()
	if b.stopped {
		return bird.State{}, bird.ErrNotRunning
	}
	for _, vip := range slices.SortedFunc(maps.Keys(b.told), netip.Addr.Compare) {
		if _, ok := b.routes[vip]; !ok {
			return f.state(), fmt.Errorf("bird: %s is still exported", vip)
		}
	}
	return f.state(), nil
}

func (f fakeSpeaker) export() {
	b := &f.m.bird
	if !b.sticky {
		clear(b.told)
	}
	for vip := range b.routes {
		if b.peersUp && !b.stopped {
			b.told[vip] = true
		}
	}
}

func (f fakeSpeaker) state() bird.State {
	b := &f.m.bird
	state := "Active"
	if b.peersUp {
		state = "Established"
	}
	return bird.State{Routes: maps.Clone(b.routes), Exported: maps.Clone(b.told), Peers: map[string]api.FabricState{"rt": {State: state}}}
}

func (f fakeSpeaker) Read(context.Context) (bird.State, error) {
	switch {
	case f.m.bird.stopped:
		return bird.State{}, bird.ErrNotRunning
	case f.m.fault("read") != nil:
		return bird.State{}, f.m.fault("read")
	}
	f.export()
	return f.state(), nil
}

var errBroken = errors.New("it is broken")
