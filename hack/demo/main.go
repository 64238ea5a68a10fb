//go:build linux

package demo

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/peerage/peerage/hack/lab"
)

// Main is the command: -json, -topology FILE. It prints why it fails.
func Main(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("peerage-demo", flag.ContinueOnError)
	asJSON := fs.Bool("json", false, "print the result as one JSON object on the last line")
	file := fs.String("topology", "hack/lab/topologies/demo.yaml", "the site to build")
	self, err := os.Executable()
	if err != nil {
		return err
	}
	bin := fs.String("bin", filepath.Dir(self), "folder of the compiled programs")
	if err := fs.Parse(args); err != nil {
		return err
	}
	topology, err := lab.ReadTopology(*file)
	if err != nil {
		return err
	}
	l := &lab.Lab{Topology: topology, Bin: *bin}
	d := newDemo(l, &screen{out: out, terminal: os.Getenv("LAB_TERMINAL") != "", start: time.Now()})
	err = d.run(ctx)
	d.finish(err)
	if err != nil {
		d.site.Dump(context.WithoutCancel(ctx), out, filepath.Join(os.Getenv("LAB_OUT"), "demo"))
	}
	err = errors.Join(err, l.Down(), d.result.Table(out))
	if err != nil {
		fmt.Fprintf(out, "FAILED: %v\n", err)
	} else {
		fmt.Fprintf(out, "Every expectation held (%.0f s).\n", d.result.Seconds)
	}
	if *asJSON { // nothing may come after it
		text, jsonErr := d.result.JSON()
		fmt.Fprintln(out, string(text))
		err = errors.Join(err, jsonErr)
	}
	return err
}
