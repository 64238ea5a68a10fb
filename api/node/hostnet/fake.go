package hostnet

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// FakeDevice models the device in memory, for the tests of its users. Its
// zero value is a host without the device.
type FakeDevice struct {
	mu      sync.Mutex // guards the fields below
	exists  bool
	addrs   []netip.Prefix
	fail    error
	history []string
}

// Fail makes every following call return err, until it is nil again.
func (f *FakeDevice) Fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = err
}

// Set implements Addresses.
func (f *FakeDevice) Set(_ context.Context, want []netip.Prefix) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return false, f.fail
	}
	if err := validate(want); err != nil {
		return false, err
	}
	changed := !f.exists
	f.exists = true
	add, del := diff(want, f.addrs)
	for _, p := range add {
		f.addrs = append(f.addrs, p)
		f.history = append(f.history, "add "+p.String())
	}
	for _, p := range del {
		f.addrs = slices.DeleteFunc(f.addrs, func(q netip.Prefix) bool { return p == q })
		f.history = append(f.history, "del "+p.String())
	}
	slices.SortFunc(f.addrs, netip.Prefix.Compare)
	return changed || len(add)+len(del) > 0, nil
}

// List implements Addresses.
func (f *FakeDevice) List(context.Context) ([]netip.Prefix, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.addrs), f.fail
}

// Remove implements Addresses.
func (f *FakeDevice) Remove(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return f.fail
	}
	f.exists, f.addrs = false, nil
	f.history = append(f.history, "remove")
	return nil
}

// History lists every change since the beginning, such as "add 192.0.2.1/32".
func (f *FakeDevice) History() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.history)
}

// String renders the device in the manner of ip -br address.
func (f *FakeDevice) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.exists {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s UP", DeviceName)
	for _, p := range f.addrs {
		fmt.Fprintf(&b, " %s", p)
	}
	b.WriteByte('\n')
	return b.String()
}
