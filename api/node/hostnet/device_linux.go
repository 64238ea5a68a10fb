package hostnet

import (
	"context"
	"errors"
	"net/netip"
)

// Device is a dummy device of the network namespace of the process.
type Device struct {
	// Name of the device; DeviceName when empty.
	Name string
}

// Set implements Addresses.
func (d *Device) Set(context.Context, []netip.Prefix) (bool, error) {
	return false, errors.ErrUnsupported
}

// List implements Addresses.
func (d *Device) List(context.Context) ([]netip.Prefix, error) { return nil, errors.ErrUnsupported }

// Remove implements Addresses.
func (d *Device) Remove(context.Context) error { return errors.ErrUnsupported }
