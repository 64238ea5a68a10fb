package realserver

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/node/bgpcheck"
)

// CheckFunc checks one address; bgpcheck.Check is the real one.
type CheckFunc func(ctx context.Context, t bgpcheck.Target) (bgpcheck.Result, error)

// trend turns single checks into a judgement: Fall failures in a row make it
// bad, Rise successes in a row good. The first check judges alone, so that a
// restarted agent knows at once.
type trend struct {
	known, ok bool
	run       int // checks in a row that disagree with ok
	since     time.Time
	reason    string
}

// judge takes one check, and tells whether the judgement changed.
func (t *trend) judge(err error, hc api.HealthCheck, now time.Time) (changed bool) {
	good := err == nil
	if !t.known {
		t.known, t.ok, t.since = true, good, now
		t.reason = reason(err)
		return true
	}
	if good == t.ok {
		t.run = 0
		changed = !good && t.reason != reason(err)
		t.reason = reason(err)
		return changed
	}
	t.run++
	if good && t.run < hc.Rise || !good && t.run < hc.Fall {
		return false
	}
	t.ok, t.run, t.since, t.reason = good, 0, now, reason(err)
	return true
}

func reason(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// check tells whether a speaker accepts sessions on every VIP of a service, as
// a customer would see it; the source is the server's own address, which the
// speaker knows as a probe.
func check(ctx context.Context, do CheckFunc, s Service, own []netip.Addr, hc api.HealthCheck) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(hc.Timeout))
	defer cancel()
	var errs []error
	for _, vip := range s.VIPs {
		_, err := do(ctx, bgpcheck.Target{
			Addr: netip.AddrPortFrom(vip, s.Port), Source: sameFamily(own, vip), LocalAS: s.LocalAS, Type: hc.Type,
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("VIP %s: %w", vip, err))
		}
	}
	return errors.Join(errs...)
}

func sameFamily(all []netip.Addr, as netip.Addr) netip.Addr {
	for _, a := range all {
		if a.Is4() == as.Is4() {
			return a
		}
	}
	return netip.Addr{}
}
