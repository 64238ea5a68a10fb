package ipvs

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/peerage/peerage/api"
)

const (
	// maxTables and maxDestinations bound what one Set may ask for.
	maxTables       = 4096
	maxDestinations = 4096
	// maxWeight is the largest weight that the kernel's schedulers handle well.
	maxWeight = 65535
)

// split tells the tables that can be set from those that are wrong. A wrong
// one is left in the kernel as it is: bad input must not take service away.
func split(desired []api.Table) (good []api.Table, wrong map[netip.AddrPort]bool, err error) {
	if len(desired) > maxTables {
		return nil, nil, fmt.Errorf("%d IPVS services are more than the limit of %d", len(desired), maxTables)
	}
	count := map[netip.AddrPort]int{}
	for _, t := range desired {
		count[key(t)]++
	}
	wrong = map[netip.AddrPort]bool{}
	var errs []error
	for _, t := range desired {
		err := validate(t)
		if count[key(t)] > 1 {
			err = errors.New("asked for more than once; no two pools may share an address and port")
		}
		if err == nil {
			good = append(good, t)
			continue
		}
		if !wrong[key(t)] {
			errs = append(errs, fmt.Errorf("service %s: %w", key(t), err))
		}
		wrong[key(t)] = true
	}
	return good, wrong, errors.Join(errs...)
}

// validate refuses what would make libipvs panic, what the kernel would
// refuse or, worse, accept and not do.
func validate(t api.Table) error {
	if err := validateAddress(t.VIP, t.Port); err != nil {
		return err
	}
	if _, err := flagBits(t.Scheduler, t.Flags); err != nil {
		return err
	}
	if len(t.Destinations) > maxDestinations {
		return fmt.Errorf("%d destinations are more than the limit of %d", len(t.Destinations), maxDestinations)
	}
	seen := make(map[netip.AddrPort]bool, len(t.Destinations))
	for _, d := range t.Destinations {
		if err := validateDestination(t, d); err != nil {
			return fmt.Errorf("destination %s: %w", address(d), err)
		}
		if seen[address(d)] {
			return fmt.Errorf("destination %s: listed twice", address(d))
		}
		seen[address(d)] = true
	}
	return nil
}

func validateDestination(t api.Table, d api.TableDestination) error {
	if err := validateAddress(d.Addr, d.Port); err != nil {
		return err
	}
	switch {
	case d.Addr.Is4() != t.VIP.Is4():
		return errors.New("of the other address family than the VIP; connection sync excludes mixed families")
	case d.Addr == t.VIP:
		return errors.New("the VIP itself cannot be a real server's address")
	case d.Forwarding != api.ForwardingDSR:
		return fmt.Errorf("forwarding %q does not work yet; use %q", d.Forwarding, api.ForwardingDSR)
	case d.Port != t.Port:
		return fmt.Errorf("direct return cannot change the port from %d", t.Port)
	case d.Nominal < 1 || d.Nominal > maxWeight:
		return fmt.Errorf("nominal weight %d is not within 1..%d", d.Nominal, maxWeight)
	case d.Weight != 0 && d.Weight != d.Nominal:
		// With any other weight the kernel would forget the nominal one.
		return fmt.Errorf("weight %d is neither 0 nor the nominal weight %d", d.Weight, d.Nominal)
	}
	return nil
}

func validateAddress(a netip.Addr, port uint16) error {
	switch {
	case !a.IsValid() || a.Is4In6() || a.Zone() != "":
		return fmt.Errorf("address %s: must be a plain IPv4 or IPv6 address", a)
	case a.IsUnspecified() || a.IsMulticast() || a.IsLoopback():
		return fmt.Errorf("address %s: must be a unicast address of a network", a)
	case port == 0:
		return errors.New("port 0: must be 1..65535")
	}
	return nil
}
