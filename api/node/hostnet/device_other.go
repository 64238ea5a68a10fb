//go:build !linux

package hostnet

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
)

// Device is a dummy device; it needs Linux.
type Device struct {
	// Name of the device; DeviceName when empty.
	Name string
}

var errLinux = fmt.Errorf("addresses can be managed on Linux only: %w", errors.ErrUnsupported)

// Set implements Addresses.
func (d *Device) Set(context.Context, []netip.Prefix) (bool, error) { return false, errLinux }

// List implements Addresses.
func (d *Device) List(context.Context) ([]netip.Prefix, error) { return nil, errLinux }

// Remove implements Addresses.
func (d *Device) Remove(context.Context) error { return errLinux }
