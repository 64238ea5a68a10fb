package hostnet

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// DeviceName is the device that carries the VIPs, on LBs and on real servers.
const DeviceName = "peerage0"

// ErrForeign reports a device that bears our name and is not ours.
var ErrForeign = errors.New("device is not a dummy device")

// Addresses are the local addresses of one device that we own.
type Addresses interface {
	// Set makes the device hold exactly the prefixes, each a single address
	// (/32 or /128). It creates the device when needed, adds before it deletes,
	// and does nothing when all is as desired. With no prefixes the device
	// stays, empty.
	Set(ctx context.Context, want []netip.Prefix) (changed bool, err error)
	// List tells which addresses the device holds, sorted; none when it is absent.
	List(ctx context.Context) ([]netip.Prefix, error)
	// Remove deletes the device and all its addresses. It is no error when
	// there is none.
	Remove(ctx context.Context) error
}

// diff tells which prefixes to add and which to delete, both sorted.
func diff(want, have []netip.Prefix) (add, del []netip.Prefix) {
	for _, p := range want {
		if !slices.Contains(have, p) {
			add = append(add, p)
		}
	}
	for _, p := range have {
		if !slices.Contains(want, p) {
			del = append(del, p)
		}
	}
	slices.SortFunc(add, netip.Prefix.Compare)
	slices.SortFunc(del, netip.Prefix.Compare)
	return slices.Compact(add), del
}

// validate refuses what would be accepted by the kernel and break the host.
func validate(want []netip.Prefix) error {
	for _, p := range want {
		a := p.Addr()
		switch {
		case !p.IsValid() || !p.IsSingleIP():
			return fmt.Errorf("address %s: must be a single address, a /32 or /128", p)
		case a.Is4In6() || a.Zone() != "":
			return fmt.Errorf("address %s: must be a plain IPv4 or IPv6 address", p)
		case a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() || a.IsLinkLocalUnicast():
			return fmt.Errorf("address %s: cannot be used as a VIP; choose a global unicast address", p)
		}
	}
	return nil
}
