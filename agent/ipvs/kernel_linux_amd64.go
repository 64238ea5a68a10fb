package ipvs

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"

	"github.com/mqliang/libipvs"
)

// expireOrphans is net.ipv4.vs.expire_nodest_conn.
const expireOrphans = "/proc/sys/net/ipv4/vs/expire_nodest_conn"

// kernel is the IPVS of the network namespace of the process: changes go
// through libipvs, everything that is read comes by netlink, because a dump
// through libipvs can block for ever.
type kernel struct {
	write *writer
	read  *client
}

// OpenKernel returns the IPVS of the network namespace of the process. It does
// no I/O yet.
func OpenKernel(o KernelOptions) (Kernel, error) {
	return openKernel(o), nil
}

func openKernel(o KernelOptions) *kernel {
	if o.CallTimeout == 0 {
		o.CallTimeout = defaultCallTimeout
	}
	return &kernel{&writer{timeout: o.CallTimeout, open: openLibrary}, &client{timeout: o.CallTimeout}}
}

// Services implements Kernel.
func (k *kernel) Services(ctx context.Context, want func(Key) bool) ([]Service, error) {
	list, err := k.read.services(ctx)
	if err != nil {
		return nil, fmt.Errorf("list services: %w", err)
	}
	for i := range list {
		if !want(list[i].Key) {
			continue
		}
		if list[i].Destinations, err = k.read.destinations(ctx, list[i].Key); err != nil {
			return nil, fmt.Errorf("list destinations of %s: %w", list[i].Key, err)
		}
	}
	return list, nil
}

func (k *kernel) service(ctx context.Context, s Service, fn func(libipvs.IPVSHandle, *libipvs.Service) error) error {
	if err := checkKey(s.Key); err != nil {
		return err
	}
	return k.write.do(ctx, func(h libipvs.IPVSHandle) error { return fn(h, libService(s)) })
}

// NewService implements Kernel.
func (k *kernel) NewService(ctx context.Context, s Service) error {
	return k.service(ctx, s, libipvs.IPVSHandle.NewService)
}

// SetService implements Kernel.
func (k *kernel) SetService(ctx context.Context, s Service) error {
	return k.service(ctx, s, libipvs.IPVSHandle.UpdateService)
}

// DelService implements Kernel.
func (k *kernel) DelService(ctx context.Context, key Key) error {
	return k.service(ctx, Service{Key: key}, libipvs.IPVSHandle.DelService)
}

func (k *kernel) destination(ctx context.Context, key Key, d Destination, fn func(libipvs.IPVSHandle, *libipvs.Service, *libipvs.Destination) error) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if err := checkAddress(d.Addr); err != nil {
		return err
	}
	return k.write.do(ctx, func(h libipvs.IPVSHandle) error { return fn(h, libKey(key), libDestination(d)) })
}

// NewDestination implements Kernel.
func (k *kernel) NewDestination(ctx context.Context, key Key, d Destination) error {
	return k.destination(ctx, key, d, libipvs.IPVSHandle.NewDestination)
}

// SetDestination implements Kernel.
func (k *kernel) SetDestination(ctx context.Context, key Key, d Destination) error {
	return k.destination(ctx, key, d, libipvs.IPVSHandle.UpdateDestination)
}

// DelDestination implements Kernel.
func (k *kernel) DelDestination(ctx context.Context, key Key, d netip.AddrPort) error {
	return k.destination(ctx, key, Destination{Addr: d}, libipvs.IPVSHandle.DelDestination)
}

// KeepOrphans implements Kernel.
func (k *kernel) KeepOrphans(_ context.Context, keep bool) (was bool, err error) {
	value, err := os.ReadFile(expireOrphans)
	if err != nil {
		return false, err
	}
	was = bytes.Equal(bytes.TrimSpace(value), []byte("0"))
	if was == keep {
		return was, nil
	}
	want := "1"
	if keep {
		want = "0"
	}
	return was, os.WriteFile(expireOrphans, []byte(want), 0)
}

// Daemons implements Kernel.
func (k *kernel) Daemons(ctx context.Context) ([]Daemon, error) { return k.read.daemons(ctx) }

// StartDaemon implements Kernel.
func (k *kernel) StartDaemon(ctx context.Context, d Daemon) error { return k.read.startDaemon(ctx, d) }

// StopDaemon implements Kernel.
func (k *kernel) StopDaemon(ctx context.Context, r DaemonRole) error {
	return k.read.stopDaemon(ctx, r)
}

// Timeouts implements Kernel.
func (k *kernel) Timeouts(ctx context.Context) (Timeouts, error) { return k.read.timeouts(ctx) }

// SetTimeouts implements Kernel.
func (k *kernel) SetTimeouts(ctx context.Context, t Timeouts) error {
	return k.read.setTimeouts(ctx, t)
}

// Stats implements Kernel.
func (k *kernel) Stats() KernelStats {
	return KernelStats{AbandonedHandles: k.write.abandonedHandles(), RepeatedDumps: k.read.interrupted.Load()}
}

// Close implements Kernel.
func (k *kernel) Close() error {
	k.write.close()
	k.read.close()
	return nil
}
