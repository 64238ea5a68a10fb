package node

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/pflag"

	"github.com/peerage/peerage/api"
)

// NewFlags makes the flag set of a daemon: flags stand in the order in which
// they are added, and errors are printed once, by Main.
func NewFlags(program string) *pflag.FlagSet {
	fs := pflag.NewFlagSet(program, pflag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.SortFlags = false
	return fs
}

// Parse reads the command line of a daemon and its --config file, and then asks
// check about the values. fs holds all flags but --version, which is added
// here. done tells that what was asked for, --help or --version, is printed.
// Its errors carry api.ExitUsage.
func (c *Common) Parse(fs *pflag.FlagSet, usage string, args []string, stdout io.Writer, check func() error) (done bool, err error) {
	program := fs.Name()
	version := fs.Bool("version", false, "print the version and exit")
	switch err := fs.Parse(args); {
	case errors.Is(err, pflag.ErrHelp):
		_, err = io.WriteString(stdout, usage+fs.FlagUsages())
		return true, err
	case err != nil:
		return false, api.WithExit(api.ExitUsage, fmt.Errorf("%w; %s --help lists the flags", err, program))
	case *version:
		_, err = fmt.Fprintln(stdout, VersionLine(program))
		return true, err
	case fs.NArg() > 0:
		return false, api.WithExit(api.ExitUsage, fmt.Errorf("argument %q is not expected; %s takes flags only", fs.Arg(0), program))
	}
	if err := c.Load(fs); err != nil {
		return false, err
	}
	if err := check(); err != nil {
		return false, api.WithExit(api.ExitUsage, err)
	}
	return false, nil
}
