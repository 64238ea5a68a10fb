package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/pflag"
)

// API holds the flags of a daemon that serves an API to others.
type API struct {
	// Listen is where it is served; Advertise the URL at which others reach
	// it, where that differs.
	Listen, Advertise         string
	TLSCert, TLSKey, ClientCA string
	listenFlag, advertiseFlag string
}

// Flags adds the flags to fs: the names of where to listen and of what to tell
// others begin with prefix. Fields set before are the defaults.
func (a *API) Flags(fs *pflag.FlagSet, prefix, help string) {
	a.listenFlag, a.advertiseFlag = prefix+"listen", prefix+"advertise"
	fs.StringVar(&a.Listen, a.listenFlag, a.Listen, "`address` of "+help+"; beyond loopback, give --tls-cert and --client-ca")
	fs.StringVar(&a.Advertise, a.advertiseFlag, a.Advertise, "`URL` at which others reach the API; default: that of --"+a.listenFlag)
	fs.StringVar(&a.TLSCert, "tls-cert", a.TLSCert, "`file` with the API's certificate")
	fs.StringVar(&a.TLSKey, "tls-key", a.TLSKey, "`file` with the key of the certificate")
	fs.StringVar(&a.ClientCA, "client-ca", a.ClientCA, "`file` with the CA whose certificates clients must have")
}

// Check reports what is wrong with the flags.
func (a *API) Check() error {
	var errs []error
	if (a.TLSCert == "") != (a.TLSKey == "") {
		errs = append(errs, errors.New("--tls-cert and --tls-key belong together: give both, or neither"))
	}
	if a.ClientCA != "" && a.TLSCert == "" {
		errs = append(errs, errors.New("--client-ca needs --tls-cert and --tls-key: without TLS no client can show a certificate"))
	}
	if a.Listen != "" {
		if _, _, err := net.SplitHostPort(a.Listen); err != nil {
			errs = append(errs, fmt.Errorf("--%s: %w; write an address such as 127.0.0.1:8179, or :8179", a.listenFlag, err))
		}
	}
	if a.Advertise != "" {
		u, err := url.Parse(a.Advertise)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			errs = append(errs, fmt.Errorf("--%s: %q is not a URL; write it as https://HOST:8179", a.advertiseFlag, a.Advertise))
		}
	}
	return errors.Join(errs...)
}

// Open listens, with TLS if it is asked for.
func (a *API) Open(ctx context.Context) (net.Listener, *tls.Config, error) {
	var config *tls.Config
	if a.TLSCert != "" {
		var err error
		if config, err = ServerTLS(a.TLSCert, a.TLSKey, a.ClientCA); err != nil {
			return nil, nil, err
		}
	}
	ln, err := Listen(ctx, a.Listen)
	return ln, config, err
}

// URL is where others reach the API that listens on addr; name is the node's,
// for a host that does not know its own.
func (a *API) URL(addr net.Addr, name string) string {
	if a.Advertise != "" {
		return strings.TrimSuffix(a.Advertise, "/")
	}
	scheme := "http"
	if a.TLSCert != "" {
		scheme = "https"
	}
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return scheme + "://" + addr.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		if host, err = os.Hostname(); err != nil {
			host = name
		}
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// Exposed tells whether anybody who reaches the API may use it, from other
// machines too.
func (a *API) Exposed(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && !tcp.IP.IsLoopback() && a.ClientCA == ""
}
