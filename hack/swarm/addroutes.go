package swarm

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"time"
)

// ipTimeout bounds one call of ip.
const ipTimeout = 10 * time.Second

// localRoutes are the routes that make source prefixes local.
type localRoutes struct {
	device string
	added  []netip.Prefix
}

// addLocalRoutes makes prefixes local to an interface. A route that is there
// already stays, now and at the end.
func addLocalRoutes(ctx context.Context, device string, prefixes []netip.Prefix) (*localRoutes, error) {
	r := &localRoutes{device: device}
	for _, p := range prefixes {
		out, err := r.ip(ctx, "add", p.Masked())
		switch {
		case strings.Contains(out, "File exists"):
			continue
		case err != nil:
			err = fmt.Errorf("cannot make %s local to %s: %w: %s; it needs root and the program ip", p, device, err, out)
			return nil, errors.Join(err, r.remove(ctx))
		}
		r.added = append(r.added, p.Masked())
	}
	return r, nil
}

// remove takes back what was added, also when ctx has ended.
func (r *localRoutes) remove(ctx context.Context) error {
	var errs []error
	for _, p := range r.added {
		if out, err := r.ip(context.WithoutCancel(ctx), "del", p); err != nil {
			errs = append(errs, fmt.Errorf("cannot remove the local route %s dev %s: %w: %s", p, r.device, err, out))
		}
	}
	r.added = nil
	return errors.Join(errs...)
}

func (r *localRoutes) ip(ctx context.Context, verb string, p netip.Prefix) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, ipTimeout)
	defer cancel()
	family := "-4"
	if p.Addr().Is6() {
		family = "-6"
	}
	out, err := exec.CommandContext(ctx, "ip", family, "route", verb, "local", p.String(), "dev", r.device).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}
