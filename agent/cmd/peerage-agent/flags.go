package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/peerage/peerage/api/node"
)

const usage = `peerage-agent makes this load balancer equal to the controller's plans: the kernel's
IPVS table, the VIPs as local addresses, the connection sync between load balancers,
and the routes that BIRD announces to the fabric.

  peerage-agent --name lb-1 --etcd https://10.0.0.1:2379 --etcd-ca ca.crt \
      --etcd-cert lb-1.crt --etcd-key lb-1.key

Stopping it changes nothing: the kernel forwards and BIRD announces as before, and the
next start adopts what it finds. It needs CAP_NET_ADMIN, the module ip_vs, and a BIRD 2
whose configuration has, beside a router id and "protocol device {}", the line

  include "/etc/bird/peerage.conf";

A machine that boots must not announce before its table is there. The agent sees to
that as soon as it runs; to be safe from the first moment on, keep the include file
where a reboot removes it (--bird-include /run/peerage/peerage.conf, and in BIRD's
configuration the pattern  include "/run/peerage/*.conf";).

  peerage-agent --check       tells what is missing on this machine, and changes nothing
  peerage-agent --withdraw    takes this load balancer out of service and cleans up:
                              withdraw the VIPs, read back, wait, then remove the services,
                              the connection sync, the packet filter's chains and the VIPs,
                              and restore the kernel parameters. Stop the agent first.

Exit codes: 0 done; 1 failed, or something is missing; 2 wrong use; 4 another agent runs.

Flags:
`

// options are the flags.
type options struct {
	node.Common
	birdSocket, birdInclude, birdConfig, birdBinary, birdGroup string
	secretsDir                                                 string
	withdraw, check                                            bool
	withdrawGrace, fullInterval                                time.Duration
}

// parse reads the command line and the configuration file. done tells that
// what was asked for is printed.
func parse(args []string, stdout io.Writer) (o *options, done bool, err error) {
	o = &options{Common: node.Common{StateDir: "/var/lib/peerage/agent"}}
	fs := node.NewFlags(program)
	o.Flags(fs)
	fs.StringVar(&o.birdSocket, "bird-socket", "/run/bird/bird.ctl", "BIRD's control `socket`")
	fs.StringVar(&o.birdInclude, "bird-include", "/etc/bird/peerage.conf", "the `file` that the agent writes for BIRD")
	fs.StringVar(&o.birdConfig, "bird-config", "", "BIRD's main configuration `file`, which includes it (default bird.conf beside the include)")
	fs.StringVar(&o.birdBinary, "bird-binary", "bird", "the BIRD `program`, to check a configuration before it is used")
	fs.StringVar(&o.birdGroup, "bird-group", "bird", "the `group` that may read the include file")
	fs.StringVar(&o.secretsDir, "secrets-dir", "/etc/peerage/secrets", "`directory` with one file for each TCP-MD5 key")
	fs.DurationVar(&o.fullInterval, "full-interval", 10*time.Second, "time between two rounds that look at everything and repair what drifted")
	fs.BoolVar(&o.check, "check", false, "tell what is missing on this machine, and exit")
	fs.BoolVar(&o.withdraw, "withdraw", false, "take this load balancer out of service, clean up, and exit")
	fs.DurationVar(&o.withdrawGrace, "withdraw-grace", time.Second, "how long services stay after their VIPs were withdrawn")
	done, err = o.Parse(fs, usage, args, stdout, func() error {
		if o.birdConfig == "" {
			o.birdConfig = filepath.Join(filepath.Dir(o.birdInclude), "bird.conf")
		}
		return o.validate()
	})
	return o, done, err
}

func (o *options) validate() error {
	var errs []error
	for flag, path := range map[string]string{"--bird-include": o.birdInclude, "--bird-config": o.birdConfig, "--state-dir": o.StateDir} {
		if !filepath.IsAbs(path) {
			errs = append(errs, fmt.Errorf("%s: %q must be an absolute path", flag, path))
		}
	}
	if o.withdraw && o.check {
		errs = append(errs, errors.New("--withdraw and --check exclude each other"))
	}
	if len(o.Etcd) == 0 && !o.withdraw && !o.check {
		errs = append(errs, errors.New("there is no store: name the cluster with --etcd"))
	}
	if o.fullInterval < time.Second || o.fullInterval > time.Hour {
		errs = append(errs, fmt.Errorf("--full-interval: %v is out of range; 1s to 1h make sense", o.fullInterval))
	}
	if o.withdrawGrace < 0 || o.withdrawGrace > time.Hour {
		errs = append(errs, fmt.Errorf("--withdraw-grace: %v is out of range; 0s to 1h make sense", o.withdrawGrace))
	}
	return errors.Join(errs...)
}
