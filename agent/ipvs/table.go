package ipvs

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/peerage/peerage/api"
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
	// Timeout bounds one Set, Dump or Counters. Default 10s.
	Timeout time.Duration
}

// Result tells what a Set did.
type Result struct {
	// Changed is the number of changes made in the kernel.
	Changed int
	// Ops are the changes, in order, one line each.
	Ops []string
	// Reached is the state of our tables after the changes.
	Reached []api.Table
}

// Table is the part of the kernel's IPVS table that belongs to us. It is safe
// for concurrent use.
type Table struct {
	cfg Config
}

// Open makes a Table. It reads the record, and nothing else yet.
func Open(cfg Config) (*Table, error) { return &Table{cfg: cfg}, nil }

// Set makes our part of the kernel's table equal to desired.
func (t *Table) Set(ctx context.Context, desired []api.Table) (Result, error) {
	return Result{}, errors.ErrUnsupported
}

// Dump reads our tables from the kernel, destinations in the order of
// insertion. Nominal weights come from the record; 0 means unknown.
func (t *Table) Dump(ctx context.Context) ([]api.Table, error) { return nil, errors.ErrUnsupported }

// Counters reads the statistics of our services, by VIP, then by destination.
func (t *Table) Counters(ctx context.Context) (map[netip.AddrPort]map[netip.Addr]api.ServerCounters, error) {
	return nil, errors.ErrUnsupported
}

// Remove deletes our services and anchors. It is the explicit way out; the
// sessions they carry end.
func (t *Table) Remove(ctx context.Context) error { return errors.ErrUnsupported }

// Close releases what the Table holds in the process. The kernel's table stays.
func (t *Table) Close() error { return nil }
