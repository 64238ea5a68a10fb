package agent

import (
	"context"
	"net/netip"

	"github.com/peerage/peerage/agent/bird"
	"github.com/peerage/peerage/api"
)

// Host is everything on the machine that the agent makes equal to the plans.
// Each part is level-triggered: it is given the whole desired state, compares
// it with what it finds, and does nothing when they are equal.
type Host struct {
	Table     Table
	Addresses Addresses
	Sysctls   Sysctls
	ConnSync  ConnSync
	Netfilter Netfilter
	Speaker   Speaker
}

// Table is the kernel's IPVS table, as far as it is ours.
type Table interface {
	// Dump reads our services back, destinations in the order of insertion.
	Dump(ctx context.Context) ([]api.Table, error)
	// Set makes our services equal to desired. An error about one service does
	// not keep the others from being set.
	Set(ctx context.Context, desired []api.Table) (TableResult, error)
	// Counters are the kernel's statistics by service and real server.
	Counters(ctx context.Context) (map[netip.AddrPort]map[netip.Addr]api.ServerCounters, error)
}

// TableResult is what Table.Set did.
type TableResult struct {
	// Changed counts the operations on the kernel.
	Changed int
	// Ops renders them, one each, for the log.
	Ops []string
}

// Addresses are the VIPs as local addresses on a device of our own.
type Addresses interface {
	Set(ctx context.Context, addresses []netip.Prefix) (changed bool, err error)
	Remove(ctx context.Context) error
}

// Sysctls are kernel parameters; what they were before is recorded on disk.
type Sysctls interface {
	// Set writes what differs and names it.
	Set(ctx context.Context, values map[string]string) (drifted []string, err error)
	// Restore writes back what was recorded.
	Restore(ctx context.Context) error
}

// ConnSync are the kernel's connection synchronisation daemons.
type ConnSync interface {
	// Set runs master and backup on the interface under the id.
	Set(ctx context.Context, iface string, id uint8) (changed bool, err error)
	Remove(ctx context.Context) error
}

// Netfilter are the packet filter's rules for the services, in own chains.
type Netfilter interface {
	Set(ctx context.Context, services []netip.AddrPort) (changed bool, err error)
	Remove(ctx context.Context) error
}

// Speaker announces VIPs to the fabric: BIRD.
type Speaker interface {
	// Set makes the speaker announce exactly the routes, and returns what it
	// reads back, also beside an error.
	Set(ctx context.Context, want bird.Config) (bird.State, error)
	// Read returns what the speaker holds now.
	Read(ctx context.Context) (bird.State, error)
}
