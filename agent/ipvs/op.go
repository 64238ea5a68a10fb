package ipvs

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/peerage/peerage/api"
)

// action is what an op does to the kernel.
type action int

const (
	addService action = iota
	editService
	deleteService
	addDestination
	editDestination
	deleteDestination
	// holdSessions lets sessions survive while their destination is away, and
	// releaseSessions ends that: see Kernel.KeepOrphans.
	holdSessions
	releaseSessions
)

// op is one change in the kernel: one message, which the kernel takes in full
// or not at all.
type op struct {
	action  action
	service netip.AddrPort
	// scheduler and flags are those of addService and editService.
	scheduler api.Scheduler
	flags     []string
	// destination is that of the destination's actions; its Weight is written.
	destination api.TableDestination
}

// String writes the op as ipvsadm would take it.
func (o op) String() string {
	var b strings.Builder
	switch o.action {
	case holdSessions:
		return "hold sessions"
	case releaseSessions:
		return "release sessions"
	case addService, editService:
		fmt.Fprintf(&b, "-%c -t %s -s %s", "AE"[o.action], o.service, o.scheduler)
		if len(o.flags) > 0 {
			fmt.Fprintf(&b, " -b %s", strings.Join(o.flags, ","))
		}
	case deleteService:
		fmt.Fprintf(&b, "-D -t %s", o.service)
	case addDestination, editDestination:
		d := o.destination
		fmt.Fprintf(&b, "-%c -t %s -r %s %s -w %d", "ae"[o.action-addDestination], o.service,
			netip.AddrPortFrom(d.Addr, d.Port), forwardFlag(d.Forwarding), d.Weight)
	case deleteDestination:
		fmt.Fprintf(&b, "-d -t %s -r %s", o.service, netip.AddrPortFrom(o.destination.Addr, o.destination.Port))
	}
	return b.String()
}

// forwardFlag is the flag of ipvsadm for a forwarding method.
func forwardFlag(f api.Forwarding) string {
	if f == api.ForwardingDSR {
		return "-g"
	}
	return "-i"
}
