package agent

import (
	"context"
	"net/netip"
	"time"

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
	// Parameters are the kernel parameters that an LB needs.
	Parameters func(api.ConnSync) map[string]string
}

// Table is the kernel's IPVS table, as far as it is ours.
type Table interface {
	// Dump reads our services back, destinations in the order of insertion.
	Dump(ctx context.Context) ([]api.Table, error)
	// Present tells whether the kernel holds one of the services, whosever it
	// is: without a record, Dump does not know what is ours.
	Present(ctx context.Context, services []netip.AddrPort) (bool, error)
	// Set makes our services equal to desired. An error about one service does
	// not keep the others from being set.
	Set(ctx context.Context, desired []api.Table) (TableResult, error)
	// Reweigh brings services from one desired state to another when that takes
	// nothing but weights, without reading the kernel or writing a file. When it
	// takes more, nothing happens and done is false.
	Reweigh(ctx context.Context, before, after []api.Table) (ops []string, done bool, err error)
	// Counters are the kernel's statistics by service and real server.
	Counters(ctx context.Context) (map[netip.AddrPort]map[netip.Addr]api.ServerCounters, error)
	// Remove deletes our services. The sessions that they carry end.
	Remove(ctx context.Context) error
}

// TableResult is what Table.Set did.
type TableResult struct {
	// Changed counts the operations on the kernel.
	Changed int
	// Ops renders them, one each, for the log.
	Ops []string
	// Reached is what the table holds afterwards.
	Reached []api.Table
}

// Addresses are the VIPs as local addresses on a device of our own.
type Addresses interface {
	// List tells what the device holds.
	List(ctx context.Context) ([]netip.Prefix, error)
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
	// Set runs master and backup as the configuration says.
	Set(ctx context.Context, want SyncConfig) (changed bool, err error)
	Remove(ctx context.Context) error
}

// SyncConfig says how this LB takes part in the connection synchronisation.
type SyncConfig struct {
	// Interface carries the multicast.
	Interface string
	// ID separates sites on one wire.
	ID uint8
	// HoldTimes of the sessions decide how long a quiet entry must live.
	HoldTimes []time.Duration
}

// Netfilter are the packet filter's rules for the services, in own chains.
// They are a net below: an LB announces without them.
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
