package agent

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/peerage/peerage/api"
)

const (
	maxVIPs         = 64
	maxDestinations = 4096
	maxWeight       = 8
)

// validPlan tells what is wrong with a plan in itself. The controller checks
// the same before it writes; this is for the day it does not.
func validPlan(pool string, p *api.Plan) error {
	switch {
	case p.Schema > api.Schema:
		return fmt.Errorf("schema %d is newer than this program's %d; upgrade the agent", p.Schema, api.Schema)
	case p.Pool != pool:
		return fmt.Errorf("it says that it belongs to pool %q", p.Pool)
	case p.Generation < 1:
		return errors.New("it has no generation")
	case p.Port == 0:
		return errors.New("it has no port")
	case len(p.VIPs) == 0 || len(p.VIPs) > maxVIPs:
		return fmt.Errorf("it has %d VIPs; 1 to %d make sense", len(p.VIPs), maxVIPs)
	case len(p.Destinations) == 0:
		return errors.New("it has no real servers")
	case len(p.Destinations) > maxDestinations:
		return fmt.Errorf("it has %d real servers; at most %d are taken", len(p.Destinations), maxDestinations)
	case p.Forwarding != api.ForwardingDSR:
		return fmt.Errorf("forwarding %q is not supported; only %q is", p.Forwarding, api.ForwardingDSR)
	}
	switch p.Scheduler {
	case api.SchedulerMH, api.SchedulerWLC, api.SchedulerWRR, api.SchedulerRR, api.SchedulerSH:
	default:
		return fmt.Errorf("scheduler %q is not known", p.Scheduler)
	}
	return validAddresses(p)
}

func validAddresses(p *api.Plan) error {
	seen := map[netip.Addr]string{}
	claim := func(a netip.Addr, who string) error {
		if !a.IsValid() || a.Is4In6() || a.Zone() != "" || a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() || a.IsLinkLocalUnicast() {
			return fmt.Errorf("%s: %s is not an address to send to", who, a)
		}
		if other, ok := seen[a]; ok {
			return fmt.Errorf("%s: %s belongs to %s too", who, a, other)
		}
		seen[a] = who
		return nil
	}
	vips := map[netip.Addr]bool{}
	for _, a := range p.VIPs {
		if err := claim(a, "VIP"); err != nil {
			return err
		}
		vips[a] = true
	}
	for _, d := range p.Destinations {
		who := "real server " + d.Server
		if d.Nominal < 1 || d.Nominal > maxWeight || d.Weight < 0 || d.Weight > maxWeight {
			return fmt.Errorf("%s: weight %d (nominal %d) is out of range", who, d.Weight, d.Nominal)
		}
		if len(d.Addresses) == 0 {
			return fmt.Errorf("%s has no address", who)
		}
		var v4, v6 int
		for _, a := range d.Addresses {
			if err := claim(a, who); err != nil {
				return err
			}
			if a.Is4() {
				v4++
			} else {
				v6++
			}
		}
		if v4 > 1 || v6 > 1 {
			return fmt.Errorf("%s has more than one address of a family", who)
		}
	}
	for _, a := range p.Announcements {
		if !vips[a.VIP] {
			return fmt.Errorf("it announces %s, which is none of its VIPs", a.VIP)
		}
	}
	return nil
}
