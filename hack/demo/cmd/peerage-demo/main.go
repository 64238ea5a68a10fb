//go:build linux

// Command peerage-demo shows the main job on real parts. It runs inside the
// lab: `make demo` puts it there.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/peerage/peerage/hack/demo"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := demo.Main(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		os.Exit(1)
	}
}
