// Command peeragectl operates a site of Peerage over the HTTP API.
package main

import (
	"context"
	"io"

	"github.com/peerage/peerage/api/ctl"
	"github.com/peerage/peerage/api/node"
)

func main() {
	node.Main("peeragectl", func(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
		return ctl.Run(ctx, ctl.OSEnv(stdin, stdout, stderr, node.Version), args)
	})
}
