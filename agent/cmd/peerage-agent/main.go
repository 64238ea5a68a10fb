// Command peerage-agent makes a load balancer equal to the controller's plans.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "peerage-agent:", err)
		os.Exit(1)
	}
}

func run(context.Context, []string, io.Reader, io.Writer, io.Writer) error { return nil }
