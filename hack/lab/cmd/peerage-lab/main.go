//go:build linux

// Command peerage-lab builds a site out of network namespaces and plays with
// it. It runs inside the lab: see docs/lab.md.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(os.Stdout).ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "peerage-lab:", err)
		os.Exit(1)
	}
}
