package node

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/peerage/peerage/api"
)

// RunFunc is the body of a program. It returns when ctx ends or when its work
// is done.
type RunFunc func(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error

// Main runs a program and exits. The first SIGINT or SIGTERM ends the context,
// the second kills the process at once. An error is printed to standard error
// with the program's name; the exit code is api.ExitCodeOf.
func Main(name string, run RunFunc) {
	os.Exit(int(execute(name, run)))
}

func execute(name string, run RunFunc) api.ExitCode {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	// Once the first signal arrived, the default handling is back: a second
	// one ends a program that does not stop by itself.
	context.AfterFunc(ctx, stop)
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	if err != nil && !api.Silent(err) {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
	}
	return api.ExitCodeOf(err)
}
