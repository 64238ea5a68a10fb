//go:build linux

// Command peerage-bench runs the benchmarks. It runs inside the lab: `make
// bench` puts it there.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/peerage/peerage/hack/bench"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := bench.Main(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "peerage-bench:", err)
		os.Exit(1)
	}
}
