package netfilter

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"

	"github.com/coreos/go-iptables/iptables"
)

// ErrUnavailable reports that the host has no iptables, or none for a family.
// The rules are a safety net: an LB works without them, degraded.
var ErrUnavailable = errors.New("iptables is not available")

const (
	// lockSeconds is how long iptables waits for another writer.
	lockSeconds = 5
	// conntrackModule is there while connection tracking is loaded.
	conntrackModule = "/sys/module/nf_conntrack"
)

// Tables is what is used of iptables, for one address family: go-iptables, or
// a Fake.
type Tables interface {
	ChainExists(table, chain string) (bool, error)
	NewChain(table, chain string) error
	ClearAndDeleteChain(table, chain string) error
	// List returns the chain as iptables -S prints it.
	List(table, chain string) ([]string, error)
	Exists(table, chain string, rule ...string) (bool, error)
	Insert(table, chain string, at int, rule ...string) error
	Delete(table, chain string, rule ...string) error
	// edit makes all the edits, one after the other, or none.
	edit(ctx context.Context, table, chain string, edits []edit) error
}

// Rules are the rules of one host. It is safe for concurrent use.
type Rules struct {
	// Tracking tells whether connection tracking is loaded. Default: looks.
	Tracking func() bool

	mu       sync.Mutex // one Set or Remove at a time
	families []family
}

type family struct {
	name    string
	ipv6    bool
	tables  Tables
	missing error // why tables is nil
}

// Open finds the iptables of the host; ErrUnavailable when there is none.
func Open() (*Rules, error) {
	r := &Rules{}
	for _, f := range []struct {
		name     string
		protocol iptables.Protocol
	}{{"iptables", iptables.ProtocolIPv4}, {"ip6tables", iptables.ProtocolIPv6}} {
		t, err := openKernel(f.name, f.protocol)
		switch {
		case errors.Is(err, exec.ErrNotFound):
			r.add(f.name, nil, fmt.Errorf("%w: no %s or %[2]s-restore in PATH; install the package iptables", ErrUnavailable, f.name))
		case err != nil:
			r.add(f.name, nil, fmt.Errorf("%w: %w", ErrUnavailable, err))
		default:
			r.add(f.name, t, nil)
		}
	}
	if r.families[0].tables == nil && r.families[1].tables == nil {
		return nil, r.families[0].missing
	}
	return r, nil
}

// With returns the rules on tables of one's own, for tests.
func With(ipv4, ipv6 Tables) *Rules {
	r := &Rules{}
	r.add("iptables", ipv4, nil)
	r.add("ip6tables", ipv6, nil)
	return r
}

func (r *Rules) add(name string, t Tables, missing error) {
	r.families = append(r.families, family{name, name == "ip6tables", t, missing})
}

// Set makes the rules suit exactly the VIPs. One family or chain that fails
// does not keep the others from being set. go-iptables takes no context: Set
// looks at ctx between calls, each of which waits at most 5 s for other writers.
func (r *Rules) Set(ctx context.Context, vips []netip.AddrPort) (changed bool, err error) {
	for _, v := range vips {
		if !v.IsValid() || v.Port() == 0 || v.Addr().Is4In6() || v.Addr().Zone() != "" {
			return false, fmt.Errorf("netfilter: %s: not a service's address", v)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for _, f := range r.families {
		own := slices.DeleteFunc(slices.Clone(vips), func(v netip.AddrPort) bool { return v.Addr().Is6() != f.ipv6 })
		if f.tables == nil {
			if len(own) > 0 {
				errs = append(errs, f.missing)
			}
			continue
		}
		for _, c := range chains() {
			did, err := r.set(ctx, f.tables, c, c.desired(own))
			changed = changed || did
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: chain %s: %w", f.name, c.name, hinted(err)))
			}
		}
	}
	return changed, errors.Join(errs...)
}

// set makes one chain hold the rules, and the jump lead to it.
func (r *Rules) set(ctx context.Context, t Tables, c chain, want []string) (changed bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	have, err := list(t, c)
	if err != nil {
		// Listing first spares a process when the chain is there, as it mostly
		// is; the error does not tell whether it is not.
		exists, err2 := t.ChainExists(c.table, c.name)
		if err2 != nil || exists {
			return false, errors.Join(err, err2)
		}
		if len(want) == 0 || c.name == rawChain && !r.tracking() {
			return false, nil
		}
		if err := t.NewChain(c.table, c.name); err != nil {
			return false, err
		}
		changed = true
	}
	if edits := diff(want, have); len(edits) > 0 {
		if err := t.edit(ctx, c.table, c.name, edits); err != nil {
			return changed, err
		}
		changed = true
	}
	// The jump comes last: the chain takes effect as a whole.
	jump, err := t.Exists(c.table, c.from, "-j", c.name)
	if err != nil || jump {
		return changed, err
	}
	return true, t.Insert(c.table, c.from, 1, "-j", c.name)
}

// list returns the rules of a chain without "-A CHAIN".
func list(t Tables, c chain) ([]string, error) {
	lines, err := t.List(c.table, c.name)
	if err != nil {
		return nil, err
	}
	var rules []string
	for _, line := range lines {
		if rule, ok := strings.CutPrefix(line, "-A "+c.name+" "); ok {
			rules = append(rules, strings.TrimSpace(rule))
		}
	}
	return rules, nil
}

func (r *Rules) tracking() bool {
	if r.Tracking != nil {
		return r.Tracking()
	}
	_, err := os.Stat(conntrackModule)
	return err == nil
}

// Remove deletes our chains and the jumps to them. It is no error when they
// are not there.
func (r *Rules) Remove(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for _, f := range r.families {
		for _, c := range chains() {
			if f.tables == nil {
				continue
			}
			if err := errors.Join(ctx.Err(), remove(f.tables, c)); err != nil {
				errs = append(errs, fmt.Errorf("%s: chain %s: %w", f.name, c.name, hinted(err)))
			}
		}
	}
	return errors.Join(errs...)
}

func remove(t Tables, c chain) error {
	exists, err := t.ChainExists(c.table, c.name)
	if err != nil || !exists {
		return err
	}
	for range maxJumps {
		jump, err := t.Exists(c.table, c.from, "-j", c.name)
		if err != nil {
			return err
		}
		if !jump {
			break
		}
		if err := t.Delete(c.table, c.from, "-j", c.name); err != nil {
			return err
		}
	}
	return t.ClearAndDeleteChain(c.table, c.name)
}

// maxJumps bounds how many jumps to one chain are looked for; there is one.
const maxJumps = 16

// hinted adds to the failure of a program what it mostly means.
func hinted(err error) error {
	var failed *iptables.Error
	var ended *exec.ExitError
	if errors.As(err, &failed) || errors.As(err, &ended) {
		return fmt.Errorf("%w; is the process root, and has the kernel the netfilter modules?", err)
	}
	return err
}
