package node

import (
	"crypto/tls"
	"io"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/pflag"
)

// Common holds the flags that every daemon has. Fields set before Flags are
// the defaults.
type Common struct {
	// Config is a YAML file whose keys are the names of the flags.
	Config string
	// Name is the node's name in the site: that of its object.
	Name     string
	LogLevel string
	LogJSON  bool
	// Etcd lists the store's endpoints.
	Etcd                      []string
	EtcdCA, EtcdCert, EtcdKey string
	StateDir                  string
	// MetricsListen is where /healthz, /readyz and /metrics are served;
	// empty: nowhere.
	MetricsListen string
}

// Flags adds the flags to fs.
func (c *Common) Flags(fs *pflag.FlagSet) {
	fs.StringVar(&c.Config, "config", c.Config, "YAML `file` whose keys are the names of these flags; a flag wins over it")
	fs.StringVar(&c.Name, "name", c.Name, "this node's `name` in the site")
	fs.StringVar(&c.LogLevel, "log-level", "info", "trace, debug, info, warn or error")
	fs.BoolVar(&c.LogJSON, "log-json", c.LogJSON, "log one JSON object a line")
	fs.StringSliceVar(&c.Etcd, "etcd", c.Etcd, "etcd `endpoints`, such as https://10.0.0.1:2379")
	fs.StringVar(&c.EtcdCA, "etcd-ca", c.EtcdCA, "`file` with the CA that signed etcd's certificate")
	fs.StringVar(&c.EtcdCert, "etcd-cert", c.EtcdCert, "`file` with the client certificate for etcd")
	fs.StringVar(&c.EtcdKey, "etcd-key", c.EtcdKey, "`file` with the key of the client certificate")
	fs.StringVar(&c.StateDir, "state-dir", c.StateDir, "`directory` for what must survive a restart")
	fs.StringVar(&c.MetricsListen, "metrics-listen", c.MetricsListen, "`address` for /healthz, /readyz and /metrics; empty: none")
}

// Load reads the --config file into the flags of fs that were not given on
// the command line, and checks what all daemons need. Call it once, after
// fs.Parse. Its errors carry api.ExitUsage.
func (c *Common) Load(fs *pflag.FlagSet) error { return nil }

// Logger makes the daemon's logger.
func (c *Common) Logger(w io.Writer) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{Level: hclog.LevelFromString(c.LogLevel), JSONFormat: c.LogJSON, Output: w})
}

// EtcdTLS is the TLS configuration for the store, nil without any --etcd-ca,
// --etcd-cert and --etcd-key.
func (c *Common) EtcdTLS() (*tls.Config, error) {
	if c.EtcdCA == "" && c.EtcdCert == "" && c.EtcdKey == "" {
		return nil, nil
	}
	return ClientTLS(c.EtcdCA, c.EtcdCert, c.EtcdKey)
}
