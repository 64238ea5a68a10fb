package node

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/hashicorp/go-hclog"
	"github.com/peerage/peerage/api"
	"github.com/spf13/pflag"
)

// Common holds the flags that every daemon has. Fields set before Flags are
// the defaults.
type Common struct {
	// Config is a YAML file whose keys are the names of the flags.
	Config string
	// Name is the node's name in the site: that of its object. Default: the
	// host's name without its domain.
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

// The names of the flags that Load itself looks at.
const (
	flagConfig   = "config"
	flagLogLevel = "log-level"
)

// Flags adds the flags to fs.
func (c *Common) Flags(fs *pflag.FlagSet) {
	if c.LogLevel == "" {
		c.LogLevel = "info"
	}
	if c.Name == "" {
		c.Name = hostName()
	}
	fs.StringVar(&c.Config, flagConfig, c.Config, "YAML `file` whose keys are the names of these flags; a flag wins over it")
	fs.StringVar(&c.Name, "name", c.Name, "this node's `name` in the site")
	fs.StringVar(&c.LogLevel, flagLogLevel, c.LogLevel, "`level`: trace, debug, info, warn or error")
	fs.BoolVar(&c.LogJSON, "log-json", c.LogJSON, "log one JSON object a line")
	fs.StringSliceVar(&c.Etcd, "etcd", c.Etcd, "`endpoints` of etcd, such as https://10.0.0.1:2379")
	fs.StringVar(&c.EtcdCA, "etcd-ca", c.EtcdCA, "`file` with the CA that signed etcd's certificate")
	fs.StringVar(&c.EtcdCert, "etcd-cert", c.EtcdCert, "`file` with the client certificate for etcd")
	fs.StringVar(&c.EtcdKey, "etcd-key", c.EtcdKey, "`file` with the key of the client certificate")
	fs.StringVar(&c.StateDir, "state-dir", c.StateDir, "`directory` for what must survive a restart")
	fs.StringVar(&c.MetricsListen, "metrics-listen", c.MetricsListen, "`address` for /healthz, /readyz and /metrics; empty: none")
}

// hostName is the first label of the host's name, or empty.
func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(strings.ToLower(name), ".")
	return first
}

// Load reads the --config file into the flags of fs that were not given on
// the command line, and checks what all daemons need. Call it once, after
// fs.Parse. Its errors carry api.ExitUsage.
func (c *Common) Load(fs *pflag.FlagSet) error {
	var errs []error
	if c.Config != "" {
		errs = append(errs, loadFlags(fs, c.Config))
	}
	errs = append(errs, c.check())
	if err := errors.Join(errs...); err != nil {
		return api.WithExit(api.ExitUsage, err)
	}
	return nil
}

func (c *Common) check() error {
	var errs []error
	if err := api.CheckName(c.Name); err != nil {
		errs = append(errs, fmt.Errorf("--name: %w", err))
	}
	if !slices.Contains(logLevels(), c.LogLevel) {
		errs = append(errs, fmt.Errorf("--log-level: %q is not known; write one of %s", c.LogLevel, strings.Join(logLevels(), ", ")))
	}
	for _, e := range c.Etcd {
		if err := checkEndpoint(e); err != nil {
			errs = append(errs, fmt.Errorf("--etcd: %w", err))
		}
	}
	if c.MetricsListen != "" {
		if _, _, err := net.SplitHostPort(c.MetricsListen); err != nil {
			errs = append(errs, fmt.Errorf("--metrics-listen: %w; write an address such as 127.0.0.1:9101, or :9101", err))
		}
	}
	return errors.Join(errs...)
}

func logLevels() []string { return []string{"trace", "debug", "info", "warn", "error"} }

func checkEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Port() == "" || u.Path != "" || u.User != nil {
		return fmt.Errorf("%q is not an endpoint; write it as https://HOST:2379", endpoint)
	}
	return nil
}

// Logger makes the daemon's logger: its name is the node's.
func (c *Common) Logger(w io.Writer) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{
		Name:       c.Name,
		Level:      hclog.LevelFromString(c.LogLevel),
		JSONFormat: c.LogJSON,
		Output:     w,
	})
}

// EtcdTLS is the TLS configuration for the store, nil without any --etcd-ca,
// --etcd-cert and --etcd-key.
func (c *Common) EtcdTLS() (*tls.Config, error) {
	if c.EtcdCA == "" && c.EtcdCert == "" && c.EtcdKey == "" {
		return nil, nil
	}
	config, err := ClientTLS(c.EtcdCA, c.EtcdCert, c.EtcdKey)
	if err != nil {
		return nil, fmt.Errorf("etcd: %w", err)
	}
	return config, nil
}
