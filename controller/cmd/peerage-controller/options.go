package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/peerage/peerage/api/node"
	"github.com/peerage/peerage/controller"
)

const usage = `peerage-controller serves the API of a site, and plans it while it is the leader.

Run one on each control host; one of them leads, all of them answer. When all are
gone, the load balancers go on with the plan that they have.

  # the smallest site: one controller with a store of its own
  peerage-controller --embedded-etcd /var/lib/peerage/etcd

  # one of several, with an etcd cluster
  peerage-controller --name ctl-1 --state-dir /var/lib/peerage \
      --etcd https://10.0.0.1:2379,https://10.0.0.2:2379,https://10.0.0.3:2379 \
      --etcd-ca ca.crt --etcd-cert ctl-1.crt --etcd-key ctl-1.key \
      --listen :8179 --tls-cert ctl-1.crt --tls-key ctl-1.key --client-ca operators.crt

Then: peeragectl --server http://127.0.0.1:8179 status

The controller needs no privileges. It serves /healthz, /readyz (which says what
is missing), /metrics and /openapi.yaml beside the API.

Flags:
`

// options are the flags.
type options struct {
	node.Common
	api                       node.API
	embedded, embeddedListen  string
	nodeCA, nodeCert, nodeKey string
	electionTTL               time.Duration
}

// parse reads the command line and the configuration file. help tells that
// what was asked for is printed, and there is nothing to run.
func parse(args []string, stdout io.Writer) (o *options, help bool, err error) {
	o = &options{api: node.API{Listen: "127.0.0.1:8179"}}
	fs := node.NewFlags(program)
	o.api.Flags(fs, "", "the HTTP API")
	fs.StringVar(&o.embedded, "embedded-etcd", "", "`directory` of a store that runs inside this process; for sites without an etcd cluster")
	fs.StringVar(&o.embeddedListen, "embedded-etcd-listen", "http://127.0.0.1:2379",
		"`URL` at which the embedded store serves agents and real servers; https uses --tls-cert, --tls-key and --client-ca")
	fs.StringVar(&o.nodeCA, "node-ca", "", "`file` with the CA that signed the certificates of the real servers' APIs")
	fs.StringVar(&o.nodeCert, "node-cert", "", "`file` with the client certificate for the real servers' APIs")
	fs.StringVar(&o.nodeKey, "node-key", "", "`file` with the key of that certificate")
	fs.DurationVar(&o.electionTTL, "election-ttl", controller.DefaultTTL,
		"how long a leader that died without a word keeps the others from leading")
	o.Flags(fs)
	help, err = o.Parse(fs, usage, args, stdout, o.check)
	return o, help, err
}

func (o *options) check() error {
	var errs []error
	switch {
	case o.embedded == "" && len(o.Etcd) == 0:
		errs = append(errs, errors.New("there is no store: name the cluster with --etcd, or run one inside with --embedded-etcd DIR"))
	case o.embedded != "" && len(o.Etcd) > 0:
		errs = append(errs, errors.New("--etcd and --embedded-etcd exclude each other: there is one store"))
	}
	if o.api.Listen == "" {
		errs = append(errs, errors.New("--listen: the address is missing; write one such as 127.0.0.1:8179, or :8179"))
	}
	errs = append(errs, o.api.Check())
	if (o.nodeCert == "") != (o.nodeKey == "") {
		errs = append(errs, errors.New("--node-cert and --node-key belong together: give both, or neither"))
	}
	if o.electionTTL < time.Second || o.electionTTL > 5*time.Minute {
		errs = append(errs, fmt.Errorf("--election-ttl: %v is out of range; 1s to 5m make sense", o.electionTTL))
	}
	return errors.Join(errs...)
}

// nodeTLS is how real servers are asked, nil without any --node-ca, --node-cert
// and --node-key.
func (o *options) nodeTLS() (*tls.Config, error) {
	if o.nodeCA == "" && o.nodeCert == "" {
		return nil, nil
	}
	config, err := node.ClientTLS(o.nodeCA, o.nodeCert, o.nodeKey)
	if err != nil {
		return nil, fmt.Errorf("real servers: %w", err)
	}
	return config, nil
}

// dir is where state is kept: beside the embedded store's by default.
func (o *options) dir() string {
	if o.StateDir == "" {
		return o.embedded
	}
	return o.StateDir
}
