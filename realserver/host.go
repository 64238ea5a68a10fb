package realserver

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// Addresses is the device that holds the VIPs.
type Addresses interface {
	Set(ctx context.Context, want []netip.Prefix) (changed bool, err error)
	List(ctx context.Context) ([]netip.Prefix, error)
	Remove(ctx context.Context) error
}

// Sysctls are the kernel parameters, with a record of what they were.
type Sysctls interface {
	Set(ctx context.Context, want map[string]string) (drifted []string, err error)
	Restore(ctx context.Context) error
}

// Host is what the agent changes on its machine.
type Host struct {
	Addresses Addresses
	Sysctls   Sysctls
	Speaker   Speaker
}

// parameters keep IPv4 VIPs silent on the wire: answer only for addresses of
// the interface that was asked on, and never use a VIP as the source of a
// request (Documentation/networking/ip-sysctl.rst). IPv6 needs nothing as long
// as the VIP is a /128 without duplicate detection on the dummy device.
func parameters() map[string]string {
	return map[string]string{
		"net.ipv4.conf.all.arp_ignore":   "1",
		"net.ipv4.conf.all.arp_announce": "2",
	}
}

// apply makes the host equal to what is desired, in the order of the package
// comment. When removal is forbidden, addresses that are there stay, and so
// does a speaker that would lose all it has.
func (h Host) apply(ctx context.Context, d *desired, forbidden error) (drifted []string, err error) {
	if drifted, err = h.Sysctls.Set(ctx, parameters()); err != nil {
		return drifted, fmt.Errorf("kernel parameters: %w", err)
	}
	have, err := h.Addresses.List(ctx)
	if err != nil {
		return drifted, fmt.Errorf("addresses: %w", err)
	}
	want := d.addresses()
	both := union(have, want)
	if err := h.address(ctx, both); err != nil {
		return drifted, err
	}
	if forbidden != nil && len(d.speaker.Services) == 0 {
		return drifted, nil
	}
	// The speaker is told even when there is nothing left to serve: it must
	// stop to accept before its addresses go.
	if len(d.speaker.Services) > 0 || len(have) > 0 {
		cfg := d.speaker
		cfg.Additive = forbidden != nil
		if _, err := h.Speaker.Set(ctx, cfg); err != nil {
			return drifted, fmt.Errorf("speaker: %w", err)
		}
	}
	if forbidden != nil || len(both) == len(want) {
		return drifted, nil
	}
	return drifted, h.address(ctx, want)
}

func (h Host) address(ctx context.Context, want []netip.Prefix) error {
	if _, err := h.Addresses.Set(ctx, want); err != nil {
		return fmt.Errorf("addresses: %w", err)
	}
	return nil
}

func union(a, b []netip.Prefix) []netip.Prefix {
	all := slices.Concat(a, b)
	slices.SortFunc(all, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
	return slices.Compact(all)
}

// Remove takes the VIPs off and restores the kernel parameters. The speaker is
// left alone: its sessions end, and what else it does is not ours.
func (h Host) Remove(ctx context.Context) error {
	return errors.Join(h.Addresses.Remove(ctx), h.Sysctls.Restore(ctx))
}
