package ipvs

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/peerage/peerage/api"
)

// What of ip_vs.h is used here.
const (
	protocolTCP = 6

	flagPersistent = 0x1
	flagHashed     = 0x2
	flagOnePacket  = 0x4
	flagScheduler1 = 0x8
	flagScheduler2 = 0x10
	flagScheduler3 = 0x20

	forwardMask   = 0x7
	forwardMasq   = 0
	forwardLocal  = 1
	forwardTunnel = 2
	forwardDirect = 3
)

// AnchorMark is the firewall mark of the anchor services, "PEER" in ASCII. The
// kernel unhooks IPVS from a family's packets with its last service, and live
// sessions are reset by the LB's own stack before the next service is there.
// An anchor is a service of that mark without destinations, one per family,
// that stays. No packet may carry this mark.
const AnchorMark = 0x50454552

// anchorScheduler has no state and is in every build of the module.
const anchorScheduler = "rr"

func anchor(ipv6 bool) Service {
	return Service{Key: Key{IPv6: ipv6, Mark: AnchorMark}, Scheduler: anchorScheduler, MaskBits: maskBits(ipv6)}
}

func maskBits(ipv6 bool) int {
	if ipv6 {
		return 128
	}
	return 32
}

// tcp is the key of a VIP's service.
func tcp(service netip.AddrPort) Key {
	return Key{IPv6: service.Addr().Is6(), Protocol: protocolTCP, Addr: service}
}

// schedulerFlags names the flags of a scheduler from the lowest bit on.
func schedulerFlags(s api.Scheduler) []string {
	switch s {
	case api.SchedulerMH:
		return []string{"mh-fallback", "mh-port", "flag-3"}
	case api.SchedulerSH:
		return []string{"sh-fallback", "sh-port", "flag-3"}
	}
	return []string{"flag-1", "flag-2", "flag-3"}
}

// flagBits encodes the flags, and checks them and the scheduler.
func flagBits(s api.Scheduler, flags []string) (bits uint32, err error) {
	switch s {
	case api.SchedulerMH, api.SchedulerWLC, api.SchedulerWRR, api.SchedulerRR, api.SchedulerSH:
	default:
		return 0, fmt.Errorf("scheduler %q is not known", s)
	}
	for _, f := range flags {
		i := slices.Index(schedulerFlags(s), f)
		if i < 0 {
			return 0, fmt.Errorf("scheduler %s has no flag %q", s, f)
		}
		bits |= flagScheduler1 << i
	}
	return bits, nil
}

// flagNames names everything that makes a service unlike one that we make, so
// that a comparison with a desired one sees it.
func flagNames(s Service) []string {
	var names []string
	for i, name := range schedulerFlags(api.Scheduler(s.Scheduler)) {
		if s.Flags&(flagScheduler1<<i) != 0 {
			names = append(names, name)
		}
	}
	if s.Flags&flagPersistent != 0 {
		names = append(names, fmt.Sprintf("persistent=%d/%d", s.Timeout, s.MaskBits))
	}
	if s.Flags&flagOnePacket != 0 {
		names = append(names, "ops")
	}
	if s.Engine != "" {
		names = append(names, "pe="+s.Engine)
	}
	return names
}

// forwarding names everything that makes a destination unlike one of ours.
func forwarding(d Destination) api.Forwarding {
	var name api.Forwarding
	switch d.Forward & forwardMask {
	case forwardDirect:
		name = api.ForwardingDSR
	case forwardTunnel:
		name = api.ForwardingIPIP
		if d.Tunnel == 1 {
			name = api.ForwardingGUE
		}
	case forwardMasq:
		name = "masq"
	case forwardLocal:
		name = "local"
	default:
		name = "unknown"
	}
	if d.Upper != 0 || d.Lower != 0 {
		name += api.Forwarding(fmt.Sprintf(",x=%d,y=%d", d.Upper, d.Lower))
	}
	return name
}

// service is what the kernel is told of a service.
func service(o op) Service {
	bits, _ := flagBits(o.scheduler, o.flags) // checked by validate
	return Service{Key: tcp(o.service), Scheduler: string(o.scheduler), Flags: bits, MaskBits: maskBits(o.service.Addr().Is6())}
}

// destination is what the kernel is told of a destination.
func destination(d api.TableDestination) Destination {
	return Destination{Addr: address(d), Forward: forwardDirect, Weight: d.Weight}
}

// table is a kernel's service as diff sees it: destinations in the order of
// insertion, which is the reverse of the kernel's.
func table(s Service, remembered func(netip.AddrPort) int) api.Table {
	t := api.Table{VIP: s.Addr.Addr(), Port: s.Addr.Port(), Scheduler: api.Scheduler(s.Scheduler), Flags: flagNames(s)}
	for _, d := range slices.Backward(s.Destinations) {
		nominal := d.Weight
		if nominal == 0 {
			nominal = remembered(d.Addr)
		}
		t.Destinations = append(t.Destinations, api.TableDestination{
			Addr: d.Addr.Addr(), Port: d.Addr.Port(), Forwarding: forwarding(d), Nominal: nominal, Weight: d.Weight,
		})
	}
	return t
}
