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
	"github.com/peerage/peerage/api"
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
	if err := withdrawRoutes(ctx, cfg.Host.Speaker, rec.LoadBalancer, out); err != nil {
		return fmt.Errorf("the VIPs are not withdrawn, so nothing was taken down: %w", err)
	}
	fmt.Fprintf(out, "waiting %s for packets that are under way\n", cfg.Grace)
	timer := time.NewTimer(cfg.Grace)
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
		{"the IPVS services are removed", func(ctx context.Context) error { return removeServices(ctx, cfg.Host.Table, rec) }},
		{"the connection sync is stopped", cfg.Host.ConnSync.Remove},
		{"the packet filter's chains are removed", cfg.Host.Netfilter.Remove},
		{"the VIPs are no local addresses any more", cfg.Host.Addresses.Remove},
		{"the kernel parameters are as they were", cfg.Host.Sysctls.Restore},
	} {
		if err := step.fn(ctx); err != nil {
			fmt.Fprintf(out, "failed, it is not so that %s: %v\n", step.done, err)
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

// withdrawRoutes takes the VIPs out of BIRD. Its sessions with the fabric stay.
func withdrawRoutes(ctx context.Context, speaker Speaker, lb *api.LoadBalancer, out io.Writer) error {
	if lb == nil {
		// Nothing is known of the fabric: there is nothing to keep but the
		// peace, when BIRD holds no VIP anyway.
		if st, err := speaker.Read(ctx); err == nil && len(st.Routes)+len(st.Exported) == 0 {
			fmt.Fprintln(out, "BIRD was asked and holds no VIP")
			return nil
		}
		lb = &api.LoadBalancer{}
	}
	_, err := speaker.Set(ctx, bird.Config{Addresses: lb.Spec.Addresses, Fabric: lb.Spec.Fabric, Routes: map[netip.Addr]uint32{}})
	switch {
	case errors.Is(err, bird.ErrNotRunning):
		fmt.Fprintln(out, "BIRD is not running: nothing is announced, and its include file holds no VIP any more")
		return nil
	case err == nil:
		fmt.Fprintln(out, "the VIPs are withdrawn; BIRD was asked and holds none")
	}
	return err
}

// removeServices removes what is ours and looks whether it is gone.
func removeServices(ctx context.Context, table Table, rec *record) error {
	if err := table.Remove(ctx); err != nil {
		return err
	}
	var services []service
	for _, p := range rec.Plans {
		for _, vip := range p.VIPs {
			services = append(services, netip.AddrPortFrom(vip, p.Port))
		}
	}
	there, err := table.Present(ctx, services)
	if err == nil && there {
		return fmt.Errorf("services of the last plan are still in the kernel, among %v: the record does not know them as ours; remove them with `ipvsadm -D -t`", services)
	}
	return err
}
