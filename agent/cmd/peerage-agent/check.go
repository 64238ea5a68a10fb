package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"

	"github.com/peerage/peerage/agent/bird"
	"github.com/peerage/peerage/api/node"
	"github.com/peerage/peerage/api/node/birdc"
	"github.com/peerage/peerage/api/node/hostnet"
)

// requirement is something that the machine must have.
type requirement struct {
	what  string
	check func(ctx context.Context) error
	// hard: without it the agent does not start.
	hard bool
}

func requirements(o *options) []requirement {
	return []requirement{
		{"CAP_NET_ADMIN", func(context.Context) error { return node.RequireCaps(node.CapNetAdmin) }, true},
		{"kernel module ip_vs", func(ctx context.Context) error { return hostnet.RequireModule(ctx, "ip_vs") }, true},
		{"kernel module ip_vs_mh", func(ctx context.Context) error { return hostnet.RequireModule(ctx, "ip_vs_mh") }, false},
		{"BIRD's program", func(context.Context) error {
			if _, err := exec.LookPath(o.birdBinary); err != nil {
				return fmt.Errorf("%w; install bird2, or name the program with --bird-binary", err)
			}
			return nil
		}, false},
		{"BIRD's configuration", func(context.Context) error { return bird.Included(o.birdConfig, o.birdInclude) }, false},
		{"BIRD's control socket", func(ctx context.Context) error {
			_, err := (&birdc.Client{Socket: o.birdSocket}).Status(ctx)
			if err != nil {
				return fmt.Errorf("%w; start BIRD, or name the socket with --bird-socket", err)
			}
			return nil
		}, false},
	}
}

// check tells of everything that is missing.
func check(ctx context.Context, o *options, out io.Writer) error {
	missing := 0
	for _, r := range requirements(o) {
		if err := r.check(ctx); err != nil {
			missing++
			fmt.Fprintf(out, "missing  %s: %v\n", r.what, err)
			continue
		}
		fmt.Fprintf(out, "ok       %s\n", r.what)
	}
	if missing > 0 {
		return fmt.Errorf("%d requirements are missing", missing)
	}
	return nil
}

// preflight fails when the agent cannot work at all on this machine.
func preflight(ctx context.Context, o *options) error {
	var errs []error
	for _, r := range requirements(o) {
		if !r.hard {
			continue
		}
		if err := r.check(ctx); err != nil {
			errs = append(errs, fmt.Errorf("%s is missing: %w", r.what, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%w (`%s --check` tells of everything)", err, program)
	}
	return nil
}
