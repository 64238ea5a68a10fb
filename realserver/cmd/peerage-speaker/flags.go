package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/peerage/peerage/api/node"
)

const usage = `peerage-speaker holds the BGP sessions of a real server. It never connects: it listens on
the VIPs, and accepts the routers that it was told of.

  peerage-speaker --socket /run/peerage/speaker.sock --secrets-dir /etc/peerage/secrets

peerage-realserver tells it what to do, through the control socket. It goes on when
peerage-realserver stops, and starts from the last good configuration, which it keeps in
--state-dir. Ending it ends all sessions, each with a Cease.

TCP-MD5 keys are files in --secrets-dir, mode 0600, named as in the customer's md5Secret.
They are read again whenever a configuration comes.

Ports below 1024 need CAP_NET_BIND_SERVICE, and many sessions as many descriptors
(LimitNOFILE= in a systemd unit).

Exit codes: 0 done; 1 failed; 2 wrong use; 4 another one runs.

Flags:
`

// options are the flags.
type options struct {
	node.Common
	socket, secretsDir string
	shards, workers    int
}

// parse reads the command line and the configuration file. done tells that
// what was asked for is printed.
func parse(args []string, stdout io.Writer) (o *options, done bool, err error) {
	o = &options{Common: node.Common{StateDir: "/var/lib/peerage/speaker"}}
	all := node.NewFlags(program)
	o.Flags(all)
	fs := node.NewFlags(program)
	// A speaker has no store: whatever it knows comes through its socket.
	all.VisitAll(func(f *pflag.Flag) {
		switch f.Name {
		case "etcd", "etcd-ca", "etcd-cert", "etcd-key":
		default:
			fs.AddFlag(f)
		}
	})
	fs.StringVar(&o.socket, "socket", "/run/peerage/speaker.sock", "control `socket`, mode 0600")
	fs.StringVar(&o.secretsDir, "secrets-dir", "/etc/peerage/secrets", "`directory` with one file for each TCP-MD5 key")
	fs.IntVar(&o.shards, "shards", 0, "parts of the route tables, each with a goroutine; 0: as many as processors")
	fs.IntVar(&o.workers, "workers", 0, "goroutines that pack UPDATEs; 0: as many as processors")
	done, err = o.Parse(fs, usage, args, stdout, o.validate)
	return o, done, err
}

// maxParts bounds shards and workers: more than a machine has processors only
// cost.
const maxParts = 256

func (o *options) validate() error {
	var errs []error
	for _, f := range []struct{ flag, path string }{{"--socket", o.socket}, {"--state-dir", o.StateDir}} {
		if !filepath.IsAbs(f.path) {
			errs = append(errs, fmt.Errorf("%s: %q must be an absolute path", f.flag, f.path))
		}
	}
	for _, f := range []struct {
		flag string
		n    int
	}{{"--shards", o.shards}, {"--workers", o.workers}} {
		if f.n < 0 || f.n > maxParts {
			errs = append(errs, fmt.Errorf("%s: %d is out of range; 0 to %d make sense", f.flag, f.n, maxParts))
		}
	}
	return errors.Join(errs...)
}
