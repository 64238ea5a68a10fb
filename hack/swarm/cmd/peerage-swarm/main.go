// Command peerage-swarm plays thousands of customers' routers.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/peerage/peerage/hack/swarm"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := swarm.Command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "peerage-swarm:", err)
		os.Exit(1)
	}
}
