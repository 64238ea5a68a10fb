package ipvs

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/peerage/peerage/api"
)

// Fake is a model of the kernel's table: the order and the errors of the real
// one, the weight that mh remembers, the hooks that go with a family's last
// service, the sync daemons. It prints itself as ipvsadm -Sn would.
type Fake struct {
	mu       sync.Mutex // guards the fields below
	services []fakeService
	hook     Hook
	keep     bool
	unhooked int
	daemons  []Daemon
	timeouts Timeouts
	mixed    bool
	lines    []string
	closed   bool
}

type fakeService struct {
	Service
	// last is the weight that mh builds its table with.
	last map[netip.AddrPort]int
}

// Hook is a failpoint: it is called with every change, written as ipvsadm
// takes it, and an error that it returns becomes the result. With done it is
// called a second time, after the change was made: an error then is an answer
// that was lost.
type Hook func(line string, done bool) error

// NewFake returns an empty kernel.
func NewFake() *Fake {
	return &Fake{timeouts: Timeouts{TCP: 900 * time.Second, TCPFin: 120 * time.Second, UDP: 300 * time.Second}}
}

// SetHook installs a failpoint; nil removes it.
func (f *Fake) SetHook(h Hook) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hook = h
}

// String renders the table as ipvsadm -Sn does.
func (f *Fake) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return Text(f.list(func(Key) bool { return true }))
}

// History lists the changes made since the beginning.
func (f *Fake) History() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.lines)
}

// Unhooked counts how often a family lost its last service, and with it every
// live session.
func (f *Fake) Unhooked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.unhooked
}

// Remembered is the weight that mh builds its table with; the kernel has no
// way to show it.
func (f *Fake) Remembered(service, destination netip.AddrPort) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.find(tcp(service)); s != nil {
		return s.last[destination]
	}
	return 0
}

// Count adds to the statistics of a destination.
func (f *Fake) Count(service, destination netip.AddrPort, c api.ServerCounters) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.find(tcp(service)); s != nil {
		for i := range s.Destinations {
			if s.Destinations[i].Addr == destination {
				s.Destinations[i].Counters = c
			}
		}
	}
}

func (f *Fake) find(k Key) *fakeService {
	for i := range f.services {
		if f.services[i].Key == k {
			return &f.services[i]
		}
	}
	return nil
}

func (f *Fake) list(want func(Key) bool) []Service {
	list := make([]Service, 0, len(f.services))
	for _, s := range f.services {
		c := s.Service
		c.Destinations = nil
		if want(s.Key) {
			c.Destinations = slices.Clone(s.Destinations)
		}
		list = append(list, c)
	}
	return list
}

// change runs one change with its failpoints.
func (f *Fake) change(ctx context.Context, line string, fn func() error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if f.closed {
		return errors.New("kernel was closed")
	}
	if f.hook != nil {
		if err := f.hook(line, false); err != nil {
			return err
		}
	}
	if err := fn(); err != nil {
		return err
	}
	f.lines = append(f.lines, line)
	if f.hook != nil {
		return f.hook(line, true)
	}
	return nil
}

// Services implements Kernel.
func (f *Fake) Services(ctx context.Context, want func(Key) bool) ([]Service, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.list(want), ctx.Err()
}

// NewService implements Kernel.
func (f *Fake) NewService(ctx context.Context, s Service) error {
	return f.change(ctx, "-A "+serviceArguments(s), func() error {
		if f.find(s.Key) != nil {
			return unix.EEXIST
		}
		s.Destinations = nil
		f.services = append(f.services, fakeService{s, map[netip.AddrPort]int{}})
		return nil
	})
}

// SetService implements Kernel.
func (f *Fake) SetService(ctx context.Context, s Service) error {
	return f.change(ctx, "-E "+serviceArguments(s), func() error {
		old := f.find(s.Key)
		if old == nil {
			return unix.ESRCH
		}
		s.Destinations = old.Destinations
		old.Service = s
		return nil
	})
}

// DelService implements Kernel.
func (f *Fake) DelService(ctx context.Context, k Key) error {
	return f.change(ctx, "-D "+k.String(), func() error {
		if f.find(k) == nil {
			return unix.ESRCH
		}
		f.services = slices.DeleteFunc(f.services, func(s fakeService) bool { return s.Key == k })
		if !slices.ContainsFunc(f.services, func(s fakeService) bool { return s.IPv6 == k.IPv6 }) {
			f.unhooked++
		}
		return nil
	})
}

// NewDestination implements Kernel.
func (f *Fake) NewDestination(ctx context.Context, k Key, d Destination) error {
	return f.change(ctx, destinationLine("-a", k, d), func() error {
		s, i, err := f.locate(k, d.Addr)
		switch {
		case err != nil:
			return err
		case i >= 0:
			return unix.EEXIST
		case d.Addr.Addr().Is6() != k.IPv6 && len(f.daemons) > 0:
			return unix.EINVAL
		}
		f.mixed = f.mixed || d.Addr.Addr().Is6() != k.IPv6
		s.Destinations = slices.Insert(s.Destinations, 0, d)
		s.last[d.Addr] = d.Weight
		return nil
	})
}

// SetDestination implements Kernel.
func (f *Fake) SetDestination(ctx context.Context, k Key, d Destination) error {
	return f.change(ctx, destinationLine("-e", k, d), func() error {
		s, i, err := f.locate(k, d.Addr)
		switch {
		case err != nil:
			return err
		case i < 0:
			return unix.ENOENT
		}
		d.Counters = s.Destinations[i].Counters
		s.Destinations[i] = d
		if d.Weight != 0 {
			s.last[d.Addr] = d.Weight
		}
		return nil
	})
}

// DelDestination implements Kernel.
func (f *Fake) DelDestination(ctx context.Context, k Key, d netip.AddrPort) error {
	return f.change(ctx, "-d "+k.String()+" -r "+d.String(), func() error {
		s, i, err := f.locate(k, d)
		switch {
		case err != nil:
			return err
		case i < 0:
			return unix.ENOENT
		}
		s.Destinations = slices.Delete(s.Destinations, i, i+1)
		delete(s.last, d)
		return nil
	})
}

// locate finds a service, and the index of a destination or -1.
func (f *Fake) locate(k Key, d netip.AddrPort) (*fakeService, int, error) {
	s := f.find(k)
	if s == nil {
		return nil, -1, unix.ESRCH
	}
	return s, slices.IndexFunc(s.Destinations, func(o Destination) bool { return o.Addr == d }), nil
}

func destinationLine(verb string, k Key, d Destination) string {
	return verb + " " + destinationArguments(k, d)
}

// KeepOrphans implements Kernel.
func (f *Fake) KeepOrphans(ctx context.Context, keep bool) (was bool, err error) {
	f.mu.Lock()
	same := f.keep == keep
	f.mu.Unlock()
	if same { // nothing is written
		return keep, ctx.Err()
	}
	line := op{action: releaseSessions}.String()
	if keep {
		line = op{action: holdSessions}.String()
	}
	err = f.change(ctx, line, func() error {
		was, f.keep = f.keep, keep
		return nil
	})
	return was, err
}

// Daemons implements Kernel.
func (f *Fake) Daemons(ctx context.Context) ([]Daemon, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.daemons), ctx.Err()
}

// StartDaemon implements Kernel.
func (f *Fake) StartDaemon(ctx context.Context, d Daemon) error {
	return f.change(ctx, "--start-daemon "+d.String(), func() error {
		switch {
		case d.Interface == "":
			return unix.ENODEV
		case f.mixed:
			return unix.EINVAL
		case slices.ContainsFunc(f.daemons, func(o Daemon) bool { return o.Role == d.Role }):
			return unix.EEXIST
		}
		f.daemons = append(f.daemons, d)
		return nil
	})
}

// StopDaemon implements Kernel.
func (f *Fake) StopDaemon(ctx context.Context, role DaemonRole) error {
	return f.change(ctx, "--stop-daemon "+role.String(), func() error {
		i := slices.IndexFunc(f.daemons, func(o Daemon) bool { return o.Role == role })
		if i < 0 {
			return unix.ESRCH
		}
		f.daemons = slices.Delete(f.daemons, i, i+1)
		return nil
	})
}

// Timeouts implements Kernel.
func (f *Fake) Timeouts(ctx context.Context) (Timeouts, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.timeouts, ctx.Err()
}

// SetTimeouts implements Kernel.
func (f *Fake) SetTimeouts(ctx context.Context, t Timeouts) error {
	return f.change(ctx, "--set "+t.String(), func() error {
		for _, v := range []struct {
			to   *time.Duration
			from time.Duration
		}{{&f.timeouts.TCP, t.TCP}, {&f.timeouts.TCPFin, t.TCPFin}, {&f.timeouts.UDP, t.UDP}} {
			if v.from != 0 {
				*v.to = v.from
			}
		}
		return nil
	})
}

// Stats implements Kernel.
func (f *Fake) Stats() KernelStats { return KernelStats{} }

// Close implements Kernel.
func (f *Fake) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	return nil
}
