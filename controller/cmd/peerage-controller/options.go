package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
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
	listen, advertise         string
	embedded, embeddedListen  string
	tlsCert, tlsKey, clientCA string
	electionTTL               time.Duration
}

// parse reads the command line and the configuration file. help tells that
// what was asked for is printed, and there is nothing to run.
func parse(args []string, stdout io.Writer) (o *options, help bool, err error) {
	o = &options{}
	fs := node.NewFlags(program)
	fs.StringVar(&o.listen, "listen", "127.0.0.1:8179", "`address` of the HTTP API; beyond loopback, give --tls-cert and --client-ca")
	fs.StringVar(&o.advertise, "advertise", "", "`URL` at which others reach the API; default: that of --listen")
	fs.StringVar(&o.embedded, "embedded-etcd", "", "`directory` of a store that runs inside this process; for sites without an etcd cluster")
	fs.StringVar(&o.embeddedListen, "embedded-etcd-listen", "http://127.0.0.1:2379",
		"`URL` at which the embedded store serves agents and real servers; https uses --tls-cert, --tls-key and --client-ca")
	fs.StringVar(&o.tlsCert, "tls-cert", "", "`file` with the API's certificate")
	fs.StringVar(&o.tlsKey, "tls-key", "", "`file` with the key of the certificate")
	fs.StringVar(&o.clientCA, "client-ca", "", "`file` with the CA whose certificates clients must have")
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
	if (o.tlsCert == "") != (o.tlsKey == "") {
		errs = append(errs, errors.New("--tls-cert and --tls-key belong together: give both, or neither"))
	}
	if o.clientCA != "" && o.tlsCert == "" {
		errs = append(errs, errors.New("--client-ca needs --tls-cert and --tls-key: without TLS no client can show a certificate"))
	}
	if _, _, err := net.SplitHostPort(o.listen); err != nil {
		errs = append(errs, fmt.Errorf("--listen: %w; write an address such as 127.0.0.1:8179, or :8179", err))
	}
	if o.advertise != "" {
		u, err := url.Parse(o.advertise)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			errs = append(errs, fmt.Errorf("--advertise: %q is not a URL; write it as https://HOST:8179", o.advertise))
		}
	}
	if o.electionTTL < time.Second || o.electionTTL > 5*time.Minute {
		errs = append(errs, fmt.Errorf("--election-ttl: %v is out of range; 1s to 5m make sense", o.electionTTL))
	}
	return errors.Join(errs...)
}

// url is where others reach the API that listens on addr.
func (o *options) url(addr net.Addr) string {
	if o.advertise != "" {
		return strings.TrimSuffix(o.advertise, "/")
	}
	scheme := "http"
	if o.tlsCert != "" {
		scheme = "https"
	}
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return scheme + "://" + addr.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		if host, err = os.Hostname(); err != nil {
			host = o.Name
		}
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// dir is where state is kept: beside the embedded store's by default.
func (o *options) dir() string {
	if o.StateDir == "" {
		return o.embedded
	}
	return o.StateDir
}
