package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/peerage/peerage/api/node"
)

const usage = `peerage-realserver makes this machine a real server of the pools whose plans name it: it puts
the VIPs on a device of its own without answering for them on the wire, has a BGP
speaker accept the customers' sessions on them, and reports the speaker's health.

  peerage-realserver --name rs-1 --etcd https://10.0.0.1:2379 --etcd-ca ca.crt \
      --etcd-cert rs-1.crt --etcd-key rs-1.key

The speaker is peerage-speaker, or with --speaker=bird a BIRD of its own, beside any
other on the machine. Peerage writes its whole configuration and starts it when it does
not run, but never stops or restarts it. Stopping peerage-realserver changes nothing:
sessions go on, and the next start adopts what it finds.

TCP-MD5 keys are files in --secrets-dir, mode 0600, named as in the pool's md5Secret.

With --api-listen the controllers can ask which sessions the speaker holds and what they
announced (peeragectl session, route). Nothing can be changed through it. Beyond loopback,
give --tls-cert, --tls-key and --client-ca, and the controllers --node-ca, --node-cert and
--node-key: the routes are the customers'.

  peerage-realserver --check     tells what is missing on this machine, and changes nothing
  peerage-realserver --remove    takes the VIPs off and restores the kernel parameters; the
                                 sessions end. The speaker is left running. Depool the
                                 server and stop the agent first.

Exit codes: 0 done; 1 failed, or something is missing; 2 wrong use; 4 another one runs.

Flags:
`

// What may host the sessions.
const (
	hostedNative = "native"
	hostedBIRD   = "bird"
)

// options are the flags.
type options struct {
	node.Common
	// speaker is native or bird.
	speaker                                                                string
	speakerBinary, speakerSocket, speakerStateDir, speakerUnit, speakerLog string
	birdSocket, birdConfig, birdBinary, birdPID, birdUnit, birdLog         string
	secretsDir                                                             string
	api                                                                    node.API
	remove, check                                                          bool
	fullInterval                                                           time.Duration
}

// parse reads the command line and the configuration file. done tells that
// what was asked for is printed.
func parse(args []string, stdout io.Writer) (o *options, done bool, err error) {
	o = &options{Common: node.Common{StateDir: "/var/lib/peerage/realserver"}}
	fs := node.NewFlags(program)
	o.Flags(fs)
	fs.StringVar(&o.speaker, "speaker", hostedNative, "what hosts the sessions: `native` (peerage-speaker) or bird")
	fs.StringVar(&o.speakerBinary, "speaker-binary", "peerage-speaker", "the `program` of the native speaker")
	fs.StringVar(&o.speakerSocket, "speaker-socket", "/run/peerage/speaker.sock", "control `socket` of the native speaker")
	fs.StringVar(&o.speakerStateDir, "speaker-state-dir", "/var/lib/peerage/speaker", "`directory` where the native speaker keeps its last configuration")
	fs.StringVar(&o.speakerUnit, "speaker-unit", "", "systemd `unit` to start the native speaker with; default: start the program itself")
	fs.StringVar(&o.speakerLog, "speaker-log", "", "`file` for the log of a native speaker that is started here; default: speaker.log in its state directory")
	fs.StringVar(&o.birdSocket, "bird-socket", "/run/peerage/speaker.ctl", "control `socket` of the speaker's BIRD")
	fs.StringVar(&o.birdConfig, "bird-config", "/var/lib/peerage/realserver/speaker.conf", "configuration `file` of the speaker's BIRD; Peerage owns it")
	fs.StringVar(&o.birdBinary, "bird-binary", "bird", "the BIRD `program`")
	fs.StringVar(&o.birdPID, "bird-pid", "/run/peerage/speaker.pid", "PID `file` of the speaker's BIRD")
	fs.StringVar(&o.birdUnit, "bird-unit", "", "systemd `unit` to start the speaker with; default: start the program itself")
	fs.StringVar(&o.birdLog, "bird-log", "", "`file` for the log of the speaker's BIRD; default: syslog")
	fs.StringVar(&o.secretsDir, "secrets-dir", "/etc/peerage/secrets", "`directory` with one file for each TCP-MD5 key")
	o.api.Flags(fs, "api-", "the API that tells the controllers of sessions and routes; empty: none")
	fs.DurationVar(&o.fullInterval, "full-interval", 10*time.Second, "time between two rounds that look at everything and repair what drifted")
	fs.BoolVar(&o.check, "check", false, "tell what is missing on this machine, and exit")
	fs.BoolVar(&o.remove, "remove", false, "take the VIPs off, restore the kernel parameters, and exit")
	done, err = o.Parse(fs, usage, args, stdout, o.validate)
	return o, done, err
}

func (o *options) validate() error {
	var errs []error
	if o.speaker != hostedNative && o.speaker != hostedBIRD {
		errs = append(errs, fmt.Errorf("--speaker: %q is not known; write %s or %s", o.speaker, hostedNative, hostedBIRD))
	}
	for flag, path := range map[string]string{
		"--speaker-socket": o.speakerSocket, "--speaker-state-dir": o.speakerStateDir,
		"--bird-config": o.birdConfig, "--bird-socket": o.birdSocket, "--state-dir": o.StateDir} {
		if !filepath.IsAbs(path) {
			errs = append(errs, fmt.Errorf("%s: %q must be an absolute path", flag, path))
		}
	}
	errs = append(errs, o.api.Check())
	if o.api.Listen != "" && o.speaker == hostedBIRD {
		errs = append(errs, errors.New("--api-listen: BIRD tells nothing of sessions and routes; use --speaker=native, or delete the flag"))
	}
	if o.remove && o.check {
		errs = append(errs, errors.New("--remove and --check exclude each other"))
	}
	if len(o.Etcd) == 0 && !o.remove && !o.check {
		errs = append(errs, errors.New("there is no store: name the cluster with --etcd"))
	}
	if o.fullInterval < time.Second || o.fullInterval > time.Hour {
		errs = append(errs, fmt.Errorf("--full-interval: %v is out of range; 1s to 1h make sense", o.fullInterval))
	}
	return errors.Join(errs...)
}
