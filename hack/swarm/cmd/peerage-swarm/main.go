// Command peerage-swarm plays thousands of customers' routers.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/hack/swarm"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	err := swarm.Main(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "peerage-swarm:", err)
	}
	stop()
	os.Exit(int(api.ExitCodeOf(err)))
}

// gcPercent trades a little time while sessions come up for half the memory
// while they stand.
const gcPercent = 40
