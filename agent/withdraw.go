package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/peerage/peerage/agent/bird"
)

// Withdraw is the explicit way out: it takes the LB out of service, in the
// order that loses least, and leaves the host as it was before the agent. It
// tells out of each step. When BIRD cannot be seen to have withdrawn the VIPs,
// nothing is taken down.
func Withdraw(ctx context.Context, cfg Config, out io.Writer) error {
	path := filepath.Join(cfg.StateDir, recordFile)
	rec, err := loadRecord(path)
	if err != nil {
		fmt.Fprintf(out, "the record is damaged and is passed over: %v\n", err)
	}
	want := bird.Config{Routes: map[netip.Addr]uint32{}}
	if rec.LoadBalancer != nil {
		want.Addresses, want.Fabric = rec.LoadBalancer.Spec.Addresses, rec.LoadBalancer.Spec.Fabric
	}
	switch _, err := cfg.Host.Speaker.Set(ctx, want); {
	case errors.Is(err, bird.ErrNotRunning):
		fmt.Fprintln(out, "BIRD is not running: nothing is announced, and its include file holds no VIP any more")
	case err != nil:
		return fmt.Errorf("the VIPs are not withdrawn, so nothing was taken down: %w", err)
	default:
		fmt.Fprintln(out, "the VIPs are withdrawn; BIRD was asked and holds none")
	}

	grace := or(cfg.Grace, defaultGrace)
	fmt.Fprintf(out, "waiting %s for packets that are under way\n", grace)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return fmt.Errorf("stopped before anything was taken down: %w", ctx.Err())
	case <-timer.C:
	}

	var errs []error
	for _, step := range []struct {
		done string
		fn   func(context.Context) error
	}{
		{"the IPVS services are removed", cfg.Host.Table.Remove},
		{"the connection sync is stopped", cfg.Host.ConnSync.Remove},
		{"the packet filter's chains are removed", cfg.Host.Netfilter.Remove},
		{"the VIPs are no local addresses any more", cfg.Host.Addresses.Remove},
		{"the kernel parameters are as they were", cfg.Host.Sysctls.Restore},
	} {
		if err := step.fn(ctx); err != nil {
			fmt.Fprintf(out, "failed: %s: %v\n", step.done, err)
			errs = append(errs, err)
			continue
		}
		fmt.Fprintln(out, step.done)
	}
	// The kernel holds nothing of ours now: the next start is a cold one.
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, fmt.Errorf("record: %w", err))
	}
	return errors.Join(errs...)
}
