package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	// readHeaderTimeout bounds a client that opens a connection and dawdles.
	readHeaderTimeout = 10 * time.Second
	// idleTimeout bounds a connection on which nothing is asked.
	idleTimeout = 2 * time.Minute
	// shutdownTimeout bounds the requests that are under way at the end;
	// longer ones, such as watches, are cut.
	shutdownTimeout = 5 * time.Second
)

// NewRegistry makes a daemon's registry with the collectors that all have:
// process, Go runtime and peerage_build_info.
func NewRegistry(program string) *prometheus.Registry {
	r := prometheus.NewRegistry()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "peerage_build_info",
		Help:        "Always 1; the labels say what runs.",
		ConstLabels: prometheus.Labels{"program": program, "version": Version, "goversion": runtime.Version()},
	})
	info.Set(1)
	r.MustRegister(info, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// OpsMux serves /healthz (the process answers), /readyz (503 with ready's
// error) and /metrics.
func OpsMux(registry *prometheus.Registry, ready func() error) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ok\n")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{Registry: registry}))
	return mux
}

// ServeHTTP listens and serves until ctx ends, then lets requests finish for
// a bounded time. An empty listen address serves nowhere and waits for ctx.
func ServeHTTP(ctx context.Context, listen string, handler http.Handler) error {
	if listen == "" {
		<-ctx.Done()
		return nil
	}
	ln, err := Listen(ctx, listen)
	if err != nil {
		return err
	}
	return Serve(ctx, ln, nil, handler)
}

// Listen opens a TCP listener for Serve.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return ln, nil
}

// Serve is ServeHTTP on a listener, with TLS when config is not nil. It
// closes the listener. The context of each request ends with ctx, so that
// watches end. What the server itself has to say, such as of a failed
// handshake, goes to the logger in ctx (hclog.WithContext).
func Serve(ctx context.Context, ln net.Listener, config *tls.Config, handler http.Handler) error {
	server := &http.Server{
		Handler:           handler,
		TLSConfig:         config,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		ErrorLog: hclog.FromContext(ctx).Named("http").StandardLogger(
			&hclog.StandardLoggerOptions{ForceLevel: hclog.Warn}),
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		if err := server.Shutdown(bounded); err != nil {
			_ = server.Close() // cut what did not finish
		}
		close(stopped)
	})
	var err error
	if config != nil {
		err = server.ServeTLS(ln, "", "")
	} else {
		err = server.Serve(ln)
	}
	if !stop() {
		<-stopped
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve on %s: %w", ln.Addr(), err)
}
