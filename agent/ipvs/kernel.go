package ipvs

import (
	"context"
	"net/netip"
	"time"

	"github.com/peerage/peerage/api"
)

// Kernel is one IPVS table, the kernel's or a model of it. Errors of the
// kernel are unix.Errno: errors.Is(err, unix.EEXIST) works.
type Kernel interface {
	// Services lists every service; destinations only of those wanted.
	Services(ctx context.Context, want func(Key) bool) ([]Service, error)
	// The changes; each is one message to the kernel.
	NewService(ctx context.Context, s Service) error
	SetService(ctx context.Context, s Service) error
	DelService(ctx context.Context, k Key) error
	NewDestination(ctx context.Context, k Key, d Destination) error
	SetDestination(ctx context.Context, k Key, d Destination) error
	DelDestination(ctx context.Context, k Key, d netip.AddrPort) error
	// KeepOrphans sets whether sessions survive while their destination is
	// away (expire_nodest_conn=0), and returns how it was.
	KeepOrphans(ctx context.Context, keep bool) (was bool, err error)

	// Daemons lists the running sync daemons.
	Daemons(ctx context.Context) ([]Daemon, error)
	StartDaemon(ctx context.Context, d Daemon) error
	StopDaemon(ctx context.Context, role DaemonRole) error
	Timeouts(ctx context.Context) (Timeouts, error)
	// SetTimeouts changes those that are not zero.
	SetTimeouts(ctx context.Context, t Timeouts) error

	Stats() KernelStats
	Close() error
}

// defaultCallTimeout bounds one message to the kernel and its answer.
const defaultCallTimeout = 5 * time.Second

// KernelOptions tune OpenKernel.
type KernelOptions struct {
	// CallTimeout bounds one message to the kernel and its answer. Default 5s.
	CallTimeout time.Duration
}

// KernelStats count what should not happen.
type KernelStats struct {
	// AbandonedHandles are handles of the library that did not answer in time.
	AbandonedHandles int
	// RepeatedDumps are lists that the kernel changed while they were read.
	RepeatedDumps int64
}

// Key identifies a service: a TCP (or other) address and port, or a mark.
type Key struct {
	// IPv6 is the family; it matters for a mark, which has no address.
	IPv6     bool
	Protocol uint16
	Addr     netip.AddrPort
	Mark     uint32
}

// Service is a service as the kernel holds it.
type Service struct {
	Key
	Scheduler string
	// Flags are the bits of ip_vs.h without IP_VS_SVC_F_HASHED.
	Flags uint32
	// Timeout and MaskBits belong to persistence, which we do not use.
	Timeout  uint32
	MaskBits int
	// Engine is the persistence engine, mostly empty.
	Engine string
	// Destinations are in the kernel's order: the newest first.
	Destinations []Destination
}

// Destination is a destination as the kernel holds it.
type Destination struct {
	Addr netip.AddrPort
	// Forward is one of the forwarding methods of ip_vs.h.
	Forward      uint32
	Weight       int
	Upper, Lower uint32
	Tunnel       uint8
	Counters     api.ServerCounters
}

// DaemonRole is what a sync daemon does.
type DaemonRole uint32

// The roles of ip_vs.h: a master sends, a backup receives.
const (
	Master DaemonRole = 1
	Backup DaemonRole = 2
)

// Daemon is a connection sync daemon of the kernel.
type Daemon struct {
	Role      DaemonRole
	Interface string
	ID        uint8
}

// Timeouts are how long an idle connection entry lives, by state.
type Timeouts struct {
	TCP, TCPFin, UDP time.Duration
}
