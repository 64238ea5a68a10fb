package hostnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	// kernelTimeout bounds one exchange with the kernel.
	kernelTimeout = 5 * time.Second
	// dumpAttempts bounds how often a list is read again because the kernel
	// changed it meanwhile.
	dumpAttempts = 5
	// addrGenNone is IN6_ADDR_GEN_MODE_NONE of linux/if_link.h.
	addrGenNone = 1
)

// Device is a dummy device of the network namespace of the process.
type Device struct {
	// Name of the device; DeviceName when empty.
	Name string
}

func (d *Device) name() string {
	if d.Name == "" {
		return DeviceName
	}
	return d.Name
}

// Set implements Addresses.
func (d *Device) Set(ctx context.Context, want []netip.Prefix) (changed bool, err error) {
	if err := validate(want); err != nil {
		return false, err
	}
	err = d.with(func(h *netlink.Handle) error {
		link, made, err := d.ensure(h)
		changed = made
		if err != nil {
			return err
		}
		have, err := addresses(h, link)
		if err != nil {
			return err
		}
		add, del := diff(want, have)
		// Adds come first: when an add fails nothing was lost.
		for _, p := range add {
			if err := errors.Join(ctx.Err(), h.AddrAdd(link, address(p))); err != nil && !errors.Is(err, unix.EEXIST) {
				return fmt.Errorf("add address %s: %w", p, hint(err, p))
			}
			changed = true
		}
		for _, p := range del {
			if err := errors.Join(ctx.Err(), h.AddrDel(link, address(p))); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
				return fmt.Errorf("delete address %s: %w", p, err)
			}
			changed = true
		}
		return nil
	})
	return changed, err
}

// List implements Addresses.
func (d *Device) List(context.Context) (list []netip.Prefix, err error) {
	err = d.with(func(h *netlink.Handle) error {
		link, err := d.find(h)
		if link == nil {
			return err
		}
		list, err = addresses(h, link)
		return err
	})
	return list, err
}

// Remove implements Addresses.
func (d *Device) Remove(context.Context) error {
	return d.with(func(h *netlink.Handle) error {
		link, err := d.find(h)
		if link == nil {
			return err
		}
		return h.LinkDel(link)
	})
}

// with runs fn with a netlink socket in the network namespace of now.
func (d *Device) with(fn func(h *netlink.Handle) error) error {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("device %s: open netlink: %w", d.name(), err)
	}
	defer h.Close()
	if err := errors.Join(h.SetSocketTimeout(kernelTimeout), fn(h)); err != nil {
		return fmt.Errorf("device %s: %w", d.name(), err)
	}
	return nil
}

// find returns the device, or nil when there is none.
func (d *Device) find(h *netlink.Handle) (netlink.Link, error) {
	link, err := h.LinkByName(d.name())
	var missing netlink.LinkNotFoundError
	switch {
	case errors.As(err, &missing):
		return nil, nil
	case err != nil:
		return nil, err
	case link.Type() != "dummy":
		return nil, fmt.Errorf("%w but %q: rename the other device, for it has the name that is ours", ErrForeign, link.Type())
	}
	return link, nil
}

// ensure returns the device, made and up.
func (d *Device) ensure(h *netlink.Handle) (link netlink.Link, changed bool, err error) {
	if link, err = d.find(h); err != nil {
		return nil, false, err
	}
	if link == nil {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = d.name()
		if err := h.LinkAdd(&netlink.Dummy{LinkAttrs: attrs}); err != nil {
			return nil, false, fmt.Errorf("create: %w", hint(err, netip.Prefix{}))
		}
		if link, err = h.LinkByName(d.name()); err != nil {
			return nil, true, err
		}
		// Without a link-local address the device answers no neighbour
		// discovery at all. Where IPv6 is off this fails, and is not needed.
		_ = h.LinkSetIP6AddrGenMode(link, addrGenNone)
		changed = true
	}
	if link.Attrs().Flags&net.FlagUp == 0 {
		if err := h.LinkSetUp(link); err != nil {
			return nil, changed, fmt.Errorf("set up: %w", err)
		}
		changed = true
	}
	return link, changed, nil
}

// addresses lists the addresses of the device that can be ours. The kernel
// makes link-local ones by itself; they are nobody's to manage.
func addresses(h *netlink.Handle, link netlink.Link) ([]netip.Prefix, error) {
	var list []netlink.Addr
	var err error = netlink.ErrDumpInterrupted
	for i := 0; i < dumpAttempts && errors.Is(err, netlink.ErrDumpInterrupted); i++ {
		list, err = h.AddrList(link, netlink.FAMILY_ALL)
	}
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	var have []netip.Prefix
	for _, a := range list {
		ip, ok := netip.AddrFromSlice(a.IP)
		bits, _ := a.Mask.Size()
		if ip = ip.Unmap(); ok && !ip.IsLinkLocalUnicast() {
			have = append(have, netip.PrefixFrom(ip, bits))
		}
	}
	slices.SortFunc(have, netip.Prefix.Compare)
	return have, nil
}

func address(p netip.Prefix) *netlink.Addr {
	a := &netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}}
	if p.Addr().Is6() {
		// Every machine of the pool has the address: duplicate address
		// detection could only do harm.
		a.Flags = unix.IFA_F_NODAD
	}
	return a
}

// hint says what the kernel's refusal means.
func hint(err error, p netip.Prefix) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w: the process needs CAP_NET_ADMIN", err)
	case errors.Is(err, unix.EACCES) && p.Addr().Is6():
		return fmt.Errorf("%w: IPv6 is off on this host; set net.ipv6.conf.all.disable_ipv6=0 or drop the IPv6 VIPs", err)
	case errors.Is(err, unix.EOPNOTSUPP):
		return fmt.Errorf("%w: the kernel has no dummy devices; load the module dummy", err)
	}
	return err
}
