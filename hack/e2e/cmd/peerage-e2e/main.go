//go:build linux

// Command peerage-e2e runs the scenarios. It runs inside the lab: `make e2e`
// puts it there.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/peerage/peerage/hack/e2e"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := e2e.Main(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "peerage-e2e:", err)
		os.Exit(1)
	}
}
