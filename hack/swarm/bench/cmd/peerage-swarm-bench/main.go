// Command peerage-swarm-bench compares peerage-swarm with GoBGP and ExaBGP.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/peerage/peerage/hack/swarm/bench"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := bench.Main(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "peerage-swarm-bench:", err)
		os.Exit(1)
	}
}
