package store

import (
	"crypto/tls"
	"testing"
	"time"

	"github.com/peerage/peerage/api/store/storetest"
)

// Everything works over TLS with client certificates, and nothing without.
func TestTLS(t *testing.T) {
	t.Parallel()
	etcd, credentials := storetest.StartTLS(t)
	good := credentials.Config(t)
	s := open(t, etcd.Endpoints(), func(c *Config) { c.TLS = good })
	m := run(t, s.Mirror(MirrorOptions{}))
	m.awaitCurrent()
	if err := lead(t, s, "ctl-1").PutPlan(t.Context(), plan("edge", 1)); err != nil {
		t.Error(err)
	}
	etcd.Restart()
	m.awaitCurrent()
	for name, bad := range map[string]*tls.Config{
		"no client certificate": {RootCAs: good.RootCAs, MinVersion: tls.VersionTLS12},
		"unknown authority":     {Certificates: good.Certificates, MinVersion: tls.VersionTLS12},
	} {
		other := open(t, etcd.Endpoints(), func(c *Config) { c.TLS, c.RequestTimeout = bad, 300*time.Millisecond })
		if err := other.Ping(t.Context()); err == nil {
			t.Errorf("%s: it answers", name)
		}
	}
}
