package ipvs

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/peerage/peerage/api"
)

// ErrTimeout reports that the kernel, or the library in front of it, did not
// answer in time. Whether the change was made is then unknown.
var ErrTimeout = errors.New("no answer in time")

// doubt names a destination of a service.
type doubt struct{ service, destination netip.AddrPort }

// progress is one application of a list of ops.
type progress struct {
	kernel Kernel
	// tables is the state reached, as far as is known.
	tables []api.Table
	res    *Result
	// failed are the services whose ops were not all done, for errs.
	failed map[netip.AddrPort]bool
	errs   []error
	// doubtful are the destinations of which it is not known whether the last
	// change was made.
	doubtful map[doubt]bool
	// keepAll suppresses the deletion of services.
	keepAll bool
}

// anchors makes the anchor of every family that the ops concern or that has
// services, before anything else happens.
func (p *progress) anchors(ctx context.Context, services []Service, ops []op) {
	for _, ipv6 := range []bool{false, true} {
		a := anchor(ipv6)
		there := slices.ContainsFunc(services, func(s Service) bool { return s.Key == a.Key })
		needed := slices.ContainsFunc(services, func(s Service) bool { return s.Mark == 0 && s.IPv6 == ipv6 }) ||
			slices.ContainsFunc(ops, func(o op) bool { return o.service.Addr().Is6() == ipv6 })
		if there || !needed {
			continue
		}
		err := p.kernel.NewService(ctx, a)
		if err == nil {
			p.did("-A " + serviceArguments(a))
			continue
		}
		if errors.Is(err, unix.EEXIST) {
			continue
		}
		p.errs = append(p.errs, fmt.Errorf("create the anchor service %s: %w", a.Key, explain(err)))
		for _, o := range ops {
			if o.service.Addr().Is6() == ipv6 {
				p.failed[o.service] = true
			}
		}
	}
}

// apply performs the ops in order. After a failure the rest of that service
// stays undone, and no service is deleted any more: it may be the one that
// still serves in place of the one that failed.
func (p *progress) apply(ctx context.Context, ops []op) {
	var holding netip.AddrPort
	defer func() {
		// Also when an op panics: sessions held for an instant must not stay
		// held, or those of a dead destination would stall in silence.
		if holding.IsValid() {
			p.release(ctx, holding)
		}
	}()
	for i, o := range ops {
		if err := ctx.Err(); err != nil {
			p.fail(o.service, fmt.Errorf("%d of %d changes are left undone: %w", len(ops)-i, len(ops), err))
			return
		}
		if p.failed[o.service] && o.action != releaseSessions {
			continue
		}
		if o.action == deleteService && (p.keepAll || len(p.failed) > 0) {
			continue
		}
		switch o.action {
		case holdSessions:
			if err := p.hold(ctx, o.service); err == nil {
				holding = o.service
			}
			continue
		case releaseSessions:
			if holding.IsValid() {
				holding = netip.AddrPort{}
				p.release(ctx, o.service)
			}
			continue
		}
		if err := p.do(ctx, o); err != nil {
			p.fail(o.service, fmt.Errorf("service %s: %s: %w", o.service, o, explain(err)))
			// The kernel's refusal is an answer: nothing was changed.
			var refused unix.Errno
			if !errors.As(err, &refused) {
				p.doubtful[doubt{o.service, address(o.destination)}] = true
			}
			continue
		}
		p.did(o.String())
		p.tables = advance(p.tables, o)
	}
}

func (p *progress) did(line string) {
	p.res.Ops = append(p.res.Ops, line)
	p.res.Changed++
}

// do sends one change to the kernel.
func (p *progress) do(ctx context.Context, o op) error {
	k := tcp(o.service)
	switch o.action {
	case addService:
		return p.kernel.NewService(ctx, service(o))
	case editService:
		return p.kernel.SetService(ctx, service(o))
	case deleteService:
		return p.kernel.DelService(ctx, k)
	case addDestination:
		return p.kernel.NewDestination(ctx, k, destination(o.destination))
	case editDestination:
		return p.kernel.SetDestination(ctx, k, destination(o.destination))
	case deleteDestination:
		return p.kernel.DelDestination(ctx, k, address(o.destination))
	}
	return fmt.Errorf("action %d: %w", o.action, errors.ErrUnsupported)
}

func (p *progress) hold(ctx context.Context, s netip.AddrPort) error {
	if _, err := p.kernel.KeepOrphans(ctx, true); err != nil {
		// Without it the destinations stay out of order rather than that their
		// sessions are reset.
		p.fail(s, fmt.Errorf("service %s: hold sessions while destinations are put in order: %w", s, err))
		return err
	}
	p.res.Ops = append(p.res.Ops, op{action: holdSessions}.String())
	return nil
}

// release ends hold, whatever happened to ctx. How the kernel was found does not
// count: if it held sessions before, a process died in the middle of a repair.
func (p *progress) release(ctx context.Context, s netip.AddrPort) {
	if _, err := p.kernel.KeepOrphans(context.WithoutCancel(ctx), false); err != nil {
		p.fail(s, fmt.Errorf("service %s: release sessions: %w", s, err))
		return
	}
	p.res.Ops = append(p.res.Ops, op{action: releaseSessions}.String())
}

func (p *progress) fail(s netip.AddrPort, err error) {
	p.failed[s] = true
	p.errs = append(p.errs, err)
}

// explain adds the way out to what the kernel says.
func explain(err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w: the process needs CAP_NET_ADMIN", err)
	case errors.Is(err, unix.EAFNOSUPPORT):
		return fmt.Errorf("%w: this kernel's IPVS lacks the address family", err)
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("%w: to this host a destination's address must be a unicast one (see `ip route get`), and lo must be up", err)
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("%w: gone meanwhile, or a scheduler's module (ip_vs_...) cannot be loaded", err)
	}
	return err
}
