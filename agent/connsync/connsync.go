// Package connsync keeps the kernel's connection synchronisation between LBs
// running as master and backup at once, with settings for sessions that are
// quiet and live for months.
package connsync

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/peerage/peerage/agent/ipvs"
)

// Kernel is the part of ipvs.Kernel that this package uses.
type Kernel interface {
	Daemons(ctx context.Context) ([]ipvs.Daemon, error)
	StartDaemon(ctx context.Context, d ipvs.Daemon) error
	StopDaemon(ctx context.Context, role ipvs.DaemonRole) error
	Timeouts(ctx context.Context) (ipvs.Timeouts, error)
	SetTimeouts(ctx context.Context, t ipvs.Timeouts) error
}

const (
	// defaultTimeout bounds one Set or Remove.
	defaultTimeout = 10 * time.Second
	// maxName is IFNAMSIZ without its final zero.
	maxName = 15
)

// Sync runs the sync daemons of one kernel and sets how long it remembers a
// silent session. It is safe for concurrent use.
type Sync struct {
	Kernel Kernel

	mu    sync.Mutex // one Set or Remove at a time; guards the fields below
	holds []time.Duration
}

// HoldTimes tells with which BGP hold times the LB has to reckon; the next Set
// makes the kernel remember sessions long enough for them.
func (s *Sync) HoldTimes(holds ...time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holds = slices.Clone(holds)
}

// Set runs a backup and a master daemon on the interface under the id, and
// sets the time-out. A daemon is restarted only when it differs.
func (s *Sync) Set(ctx context.Context, iface string, id uint8) (changed bool, err error) {
	if iface == "" || len(iface) > maxName || id == 0 {
		return false, fmt.Errorf("connection sync: interface %q with id %d: want an interface's name and an id of 1..255", iface, id)
	}
	ctx, cancel := context.WithTimeout(ctx, defaultTimeout)
	defer cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	running, err := s.Kernel.Daemons(ctx)
	if err != nil {
		return false, fmt.Errorf("connection sync: read the daemons: %w", err)
	}
	var errs []error
	// The backup first: what the neighbours send meanwhile is not lost.
	for _, role := range []ipvs.DaemonRole{ipvs.Backup, ipvs.Master} {
		c, err := s.run(ctx, running, ipvs.Daemon{Role: role, Interface: iface, ID: id})
		changed = changed || c
		errs = append(errs, err)
	}
	c, err := s.remember(ctx)
	return changed || c, errors.Join(append(errs, err)...)
}

// run starts one daemon unless it runs as wanted.
func (s *Sync) run(ctx context.Context, running []ipvs.Daemon, want ipvs.Daemon) (changed bool, err error) {
	i := slices.IndexFunc(running, func(d ipvs.Daemon) bool { return d.Role == want.Role })
	if i >= 0 {
		if running[i] == want {
			return false, nil
		}
		if err := s.stop(ctx, want.Role); err != nil {
			return false, err
		}
	}
	if err := s.Kernel.StartDaemon(ctx, want); err != nil {
		return i >= 0, fmt.Errorf("connection sync: start the %s daemon on %s: %w", want.Role, want.Interface, explain(err))
	}
	return true, nil
}

func (s *Sync) stop(ctx context.Context, role ipvs.DaemonRole) error {
	if err := s.Kernel.StopDaemon(ctx, role); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("connection sync: stop the %s daemon: %w", role, explain(err))
	}
	return nil
}

// remember sets the TCP time-out.
func (s *Sync) remember(ctx context.Context) (changed bool, err error) {
	want := TCPTimeout(s.holds...)
	got, err := s.Kernel.Timeouts(ctx)
	if err == nil && got.TCP != want {
		changed = true
		err = s.Kernel.SetTimeouts(ctx, ipvs.Timeouts{TCP: want})
	}
	if err != nil {
		return false, fmt.Errorf("IPVS time-outs: %w", explain(err))
	}
	return changed, nil
}

// Remove stops both daemons. It is no error when they do not run.
func (s *Sync) Remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, defaultTimeout)
	defer cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	running, err := s.Kernel.Daemons(ctx)
	if err != nil {
		return fmt.Errorf("connection sync: read the daemons: %w", err)
	}
	var errs []error
	for _, d := range running {
		errs = append(errs, s.stop(ctx, d.Role))
	}
	return errors.Join(errs...)
}

func explain(err error) error {
	switch {
	case errors.Is(err, unix.ENODEV):
		return fmt.Errorf("%w: there is no such interface; correct spec.interface of the LoadBalancer", err)
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("%w: some IPVS service on this host mixes address families, which excludes connection sync; remove it", err)
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w: the process needs CAP_NET_ADMIN", err)
	}
	return err
}
