// Package netfilter keeps a few rules for the VIPs in chains of its own.
package netfilter

import (
	"context"
	"errors"
	"net/netip"
)

// ErrUnavailable reports that the host has no iptables. The rules are a safety
// net: an LB works without them, degraded.
var ErrUnavailable = errors.New("iptables is not available")

// Rules are the rules of one host.
type Rules struct{}

// Open finds the iptables of the host; ErrUnavailable when there is none.
func Open() (*Rules, error) { return &Rules{}, nil }

// Set makes the rules suit exactly the VIPs.
func (r *Rules) Set(ctx context.Context, vips []netip.AddrPort) (changed bool, err error) {
	return false, errors.ErrUnsupported
}

// Remove deletes our chains and the jumps to them.
func (r *Rules) Remove(ctx context.Context) error { return errors.ErrUnsupported }
