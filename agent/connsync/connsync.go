// Package connsync keeps the kernel's connection synchronisation between LBs
// running as master and backup at once, with settings for sessions that are
// quiet and live for months.
package connsync

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/peerage/peerage/agent/ipvs"
	"github.com/peerage/peerage/api"
)

// Kernel is the part of ipvs.Kernel that this package uses.
type Kernel interface {
	Daemons(ctx context.Context) ([]ipvs.Daemon, error)
	StartDaemon(ctx context.Context, d ipvs.Daemon) error
	StopDaemon(ctx context.Context, role ipvs.DaemonRole) error
	Timeouts(ctx context.Context) (ipvs.Timeouts, error)
	SetTimeouts(ctx context.Context, t ipvs.Timeouts) error
}

// Desired says how this LB takes part in the synchronisation.
type Desired struct {
	// Interface carries the multicast.
	Interface string
	// ID separates sites on one wire.
	ID uint8
	// TCPTimeout is how long an entry of a silent session lives; see TCPTimeout.
	TCPTimeout time.Duration
}

// Sync runs the sync daemons of one kernel.
type Sync struct {
	Kernel Kernel
}

// Set makes the daemons and time-outs as desired; it restarts a daemon only
// when its interface or ID differs.
func (s *Sync) Set(ctx context.Context, want Desired) (changed bool, err error) {
	return false, errors.ErrUnsupported
}

// Remove stops both daemons.
func (s *Sync) Remove(ctx context.Context) error { return errors.ErrUnsupported }

// TCPTimeout is the time-out that suits sessions with the hold times.
func TCPTimeout(holds ...time.Duration) time.Duration { return 0 }

// Sysctls are the kernel parameters that an LB needs, for hostnet.Sysctls.
func Sysctls(c api.ConnSync) map[string]string { return nil }

// Connections counts the entries of the kernel's connection table that belong
// to the VIPs.
func Connections(ctx context.Context, vips ...netip.AddrPort) (int, error) {
	return 0, errors.ErrUnsupported
}
