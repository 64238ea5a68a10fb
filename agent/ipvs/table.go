package ipvs

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/peerage/peerage/api"
)

const (
	// defaultTimeout leaves room for the first fill of a large table: mh builds
	// its own anew with every destination.
	defaultTimeout = 30 * time.Second
	// maxRounds bounds how often Set reads the kernel again because somebody
	// else changed it, or because an answer was lost.
	maxRounds = 3
)

// Config says what a Table works with.
type Config struct {
	// Kernel is the table to work on: OpenKernel's, or a Fake.
	Kernel Kernel
	// Record is the file that remembers which services are ours and what the
	// kernel does not show. Its directory must exist.
	Record string
	// HostID names the life of the kernel's table; see hostnet.HostID. A record
	// of another life is void.
	HostID string
	Logger hclog.Logger
	// Timeout bounds one Set, Dump, Counters or Remove. Default 30s.
	Timeout time.Duration
}

// Result tells what a Set did.
type Result struct {
	// Changed is the number of changes made in the kernel.
	Changed int
	// Ops are the changes, in order, one line each, as ipvsadm takes them.
	Ops []string
	// Reached is the state of our tables after the changes.
	Reached []api.Table
}

// Table is the part of the kernel's IPVS table that belongs to us. It is safe
// for concurrent use.
//
// Weights that somebody else wrote leave no trace in the kernel once they are
// 0 again: a destination at weight 0 is believed to remember what the record
// says.
type Table struct {
	cfg Config

	mu sync.Mutex // one Set, Reweigh or Remove at a time; guards the fields below
	// rec is what the file holds. It is replaced, never changed.
	rec *record
	// released says that no hold of an earlier process is left; see release.
	released bool
}

// Open makes a Table. It does not touch the kernel.
func Open(cfg Config) (*Table, error) {
	switch {
	case cfg.Kernel == nil:
		return nil, errors.New("ipvs: no kernel to work on")
	case cfg.Record == "":
		return nil, errors.New("ipvs: no file for the record; set the state directory")
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.Logger == nil {
		cfg.Logger = hclog.NewNullLogger()
	}
	t := &Table{cfg: cfg}
	rec, why := loadRecord(cfg.Record, cfg.HostID)
	if why != nil {
		cfg.Logger.Warn("record of own services is lost; services that no plan names any more will stay", "error", why)
	}
	t.rec = rec
	return t, nil
}

// Set makes our part of the kernel's table equal to desired. One wrong or
// failing service does not keep the others from being set; nothing is deleted
// while anything failed, because it may be what still serves.
func (t *Table) Set(ctx context.Context, desired []api.Table) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, t.cfg.Timeout)
	defer cancel()
	t.mu.Lock()
	defer t.mu.Unlock()
	good, wrong, invalid := split(desired)
	if wrong == nil {
		return Result{}, invalid
	}
	var res Result
	var err error
	for range maxRounds {
		if err = t.round(ctx, good, wrong, &res); !again(err) || ctx.Err() != nil {
			break
		}
	}
	return res, errors.Join(invalid, err)
}

// again tells whether the failure may be gone when the kernel is read anew.
func again(err error) bool {
	return errors.Is(err, unix.EEXIST) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) || errors.Is(err, ErrTimeout)
}

// round reads the kernel once and removes the difference.
func (t *Table) round(ctx context.Context, desired []api.Table, wrong map[netip.AddrPort]bool, res *Result) error {
	wanted := make(map[netip.AddrPort]bool, len(desired))
	for _, d := range desired {
		wanted[key(d)] = true
	}
	services, err := t.services(ctx, func(s netip.AddrPort) bool { return wanted[s] || t.rec.owns(s) })
	if err != nil {
		return err
	}
	actual, untouched := t.split(services, wrong)
	ops := diff(desired, actual)
	if err := t.release(ctx); err != nil {
		return err
	}
	p := progress{kernel: t.cfg.Kernel, tables: actual, res: res, keepAll: len(wrong) > 0,
		failed: map[netip.AddrPort]bool{}, doubtful: map[doubt]bool{}}
	p.anchors(ctx, services, ops)
	if err := t.remember(t.rec.before(ops)); err != nil {
		return err
	}
	p.apply(ctx, ops)
	res.Reached = slices.Concat(p.tables, untouched)
	return errors.Join(append(p.errs, t.remember(t.rec.after(res.Reached, p.failed, p.doubtful)))...)
}

// release ends, once, what a process that was killed in the middle of a repair
// of the order has left: a kernel in which the sessions of a destination that is
// deleted stall in silence until their hold time, in place of being reset.
func (t *Table) release(ctx context.Context) error {
	if t.released {
		return nil
	}
	held, err := t.cfg.Kernel.KeepOrphans(ctx, false)
	if err != nil {
		return fmt.Errorf("release sessions that an earlier process may have held: %w", err)
	}
	if held {
		t.cfg.Logger.Warn("sessions of deleted destinations were held; they are released", "parameter", "net.ipv4.vs.expire_nodest_conn")
	}
	t.released = true
	return nil
}

// split separates the services to work on from those whose desired state is
// wrong and which stay as they are.
func (t *Table) split(services []Service, wrong map[netip.AddrPort]bool) (actual, untouched []api.Table) {
	for _, s := range services {
		if s.Key != tcp(s.Addr) {
			continue
		}
		a := t.rec.view(s)
		switch {
		case !wrong[s.Addr]:
			actual = append(actual, a)
		case t.rec.owns(s.Addr):
			untouched = append(untouched, a)
		}
	}
	return actual, untouched
}

// services reads the TCP services that are chosen, with destinations, and the
// anchors, in the order of their addresses.
func (t *Table) services(ctx context.Context, choose func(netip.AddrPort) bool) ([]Service, error) {
	want := func(k Key) bool { return k == tcp(k.Addr) && choose(k.Addr) }
	all, err := t.cfg.Kernel.Services(ctx, want)
	if err != nil {
		return nil, fmt.Errorf("read the kernel's IPVS table: %w", err)
	}
	all = slices.DeleteFunc(all, func(s Service) bool { return !want(s.Key) && s.Mark != AnchorMark })
	slices.SortFunc(all, func(a, b Service) int { return a.Addr.Compare(b.Addr) })
	return all, nil
}

func (r *record) view(s Service) api.Table {
	weights := r.Services[s.Addr]
	return table(s, func(d netip.AddrPort) int { return weights[d] })
}

// remember makes the record so, on disk first.
func (t *Table) remember(r *record) error {
	if r == t.rec || r.equal(t.rec) {
		return nil
	}
	if err := r.save(t.cfg.Record); err != nil {
		return fmt.Errorf("ipvs record: %w", err)
	}
	t.rec = r
	return nil
}

// owned reads the services that the record says are ours. The record is not
// locked meanwhile: a change of weights does not wait for a reading.
func (t *Table) owned(ctx context.Context) ([]Service, *record, error) {
	t.mu.Lock()
	rec := t.rec // never changed, only replaced
	t.mu.Unlock()
	services, err := t.services(ctx, rec.owns)
	return slices.DeleteFunc(services, func(s Service) bool { return s.Mark != 0 }), rec, err
}

// Dump reads our tables from the kernel, destinations in the order of
// insertion. Nominal weights come from the record; 0 means unknown.
func (t *Table) Dump(ctx context.Context) ([]api.Table, error) {
	ctx, cancel := context.WithTimeout(ctx, t.cfg.Timeout)
	defer cancel()
	services, rec, err := t.owned(ctx)
	if err != nil {
		return nil, err
	}
	tables := make([]api.Table, 0, len(services))
	for _, s := range services {
		tables = append(tables, rec.view(s))
	}
	return tables, nil
}

// Counters reads the statistics of our services, by VIP, then by destination.
// The kernel refreshes them every 2 s.
func (t *Table) Counters(ctx context.Context) (map[netip.AddrPort]map[netip.Addr]api.ServerCounters, error) {
	ctx, cancel := context.WithTimeout(ctx, t.cfg.Timeout)
	defer cancel()
	services, _, err := t.owned(ctx)
	if err != nil {
		return nil, err
	}
	counters := make(map[netip.AddrPort]map[netip.Addr]api.ServerCounters, len(services))
	for _, s := range services {
		by := make(map[netip.Addr]api.ServerCounters, len(s.Destinations))
		for _, d := range s.Destinations {
			by[d.Addr.Addr()] = d.Counters
		}
		counters[s.Addr] = by
	}
	return counters, nil
}

// Remove deletes our services, then our anchors. It is the explicit way out:
// the sessions they carry end.
func (t *Table) Remove(ctx context.Context) error {
	if _, err := t.Set(ctx, nil); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, t.cfg.Timeout)
	defer cancel()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, ipv6 := range []bool{false, true} {
		if err := t.cfg.Kernel.DelService(ctx, anchor(ipv6).Key); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("delete the anchor service of mark %d: %w", AnchorMark, err)
		}
	}
	return nil
}

// Close releases what the Table holds in the process, the Kernel included. The
// kernel's table stays.
func (t *Table) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.cfg.Kernel.Close()
}
