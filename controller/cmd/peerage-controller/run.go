package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/node"
	"github.com/peerage/peerage/api/server"
	"github.com/peerage/peerage/api/store"
	"github.com/peerage/peerage/api/store/embed"
	"github.com/peerage/peerage/controller"
	"github.com/peerage/peerage/controller/plan"
)

// run is the program.
func run(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) (err error) {
	o, help, err := parse(args, stdout)
	if err != nil || help {
		return err
	}
	node.CollectLater()
	log := o.Logger(stderr)
	ctx = hclog.WithContext(ctx, log)
	if dir := o.dir(); dir != "" {
		lock, err := node.LockDir(dir, program)
		if err != nil {
			return err
		}
		defer lock.Close()
	} else {
		log.Warn("no --state-dir: a restored store cannot be told from the one before after a restart")
	}
	g := node.NewGroup(ctx)
	if o.embedded != "" {
		etcd, err := o.startEtcd(ctx, log)
		if err != nil {
			return err
		}
		defer etcd.Close() // after all that uses it
		g.Go("embedded etcd", func(ctx context.Context) error { return watchEtcd(ctx, etcd) })
	}
	registry := node.NewRegistry(program)
	st, err := o.openStore(log, registry)
	if err != nil {
		return err
	}
	defer st.Close()
	context.AfterFunc(ctx, func() { _ = node.Notify("STOPPING=1") })
	if err := o.wire(ctx, g, log, registry, st); err != nil {
		g.Stop()
		_ = g.Wait()
		return err
	}
	return g.Wait()
}

// wire starts the parts in the group.
func (o *options) wire(ctx context.Context, g *node.Group, log hclog.Logger, registry *prometheus.Registry, st *store.Store) error {
	mirror := st.Mirror(store.MirrorOptions{CacheFile: o.cacheFile()})
	listener, config, err := o.api.Open(ctx)
	if err != nil {
		return err
	}
	live, err := o.live(listener.Addr())
	if err != nil {
		_ = listener.Close()
		return err
	}
	nodeTLS, err := o.nodeTLS()
	if err != nil {
		_ = listener.Close()
		return err
	}
	handler, err := server.New(server.Config{
		Name: o.Name, Store: st, Mirror: mirror, Planner: plan.Planner{}, Logger: log, Registry: registry, NodeTLS: nodeTLS,
	})
	if err != nil {
		_ = listener.Close()
		return err
	}
	c := controller.New(controller.Config{
		Live: live, Store: st, Mirror: mirror, TTL: o.electionTTL,
		Logger: log, Metrics: controller.NewMetrics(registry, mirror.State),
	})
	g.Go("store", mirror.Run)
	g.Go("alarms of the store", st.WatchAlarms)
	g.Go("controller", c.Run)
	g.Go("api", func(ctx context.Context) error { return node.Serve(ctx, listener, config, handler) })
	g.Go("metrics", func(ctx context.Context) error {
		return node.ServeHTTP(ctx, o.MetricsListen, node.OpsMux(registry, ready(mirror)))
	})
	log.Info("listening", "api", live.API, "address", listener.Addr().String(), "version", node.Version)
	return node.Notify("READY=1")
}

// ready tells whether the controller has anything to go by.
func ready(mirror *store.Mirror) func() error {
	return func() error {
		if s := mirror.State(); !s.Synced && !s.FromCache {
			return fmt.Errorf("the store was not read yet: %w", s.Stale)
		}
		return nil
	}
}

func (o *options) openStore(log hclog.Logger, registry *prometheus.Registry) (*store.Store, error) {
	config, err := o.EtcdTLS()
	if err != nil {
		return nil, err
	}
	return store.Open(store.Config{Endpoints: o.Etcd, TLS: config, Logger: log, Metrics: store.NewMetrics(registry)})
}

func (o *options) cacheFile() string {
	if dir := o.dir(); dir != "" {
		return filepath.Join(dir, "mirror.json")
	}
	return ""
}

// live is how the controller shows itself to others.
func (o *options) live(addr net.Addr) (api.Live, error) {
	boot, err := node.BootID()
	if err != nil {
		return api.Live{}, err
	}
	return api.Live{
		Schema: api.Schema, Name: o.Name, Role: api.RoleController, Version: node.Version,
		BootID: boot, API: o.api.URL(addr, o.Name), StartedAt: time.Now().UTC(),
	}, nil
}

// startEtcd runs the store inside the process, and makes it the one to use.
func (o *options) startEtcd(ctx context.Context, log hclog.Logger) (*embed.Server, error) {
	cfg := embed.Config{Dir: o.embedded, ListenClient: o.embeddedListen, Logger: log}
	listen, err := url.Parse(o.embeddedListen)
	if err == nil && listen.Scheme == "https" {
		cfg.CertFile, cfg.KeyFile, cfg.ClientCAFile = o.api.TLSCert, o.api.TLSKey, o.api.ClientCA
	}
	etcd, err := embed.Start(ctx, cfg)
	if err != nil {
		return nil, err
	}
	for _, endpoint := range etcd.Endpoints() {
		o.Etcd = append(o.Etcd, reachable(endpoint))
	}
	if ip := net.ParseIP(listen.Hostname()); listen.Scheme == "http" && (ip == nil || !ip.IsLoopback()) {
		log.Warn("the embedded store is open to everybody who reaches it; use https and --client-ca", "listen", o.embeddedListen)
	}
	log.Info("embedded store serves", "endpoints", o.Etcd, "dir", o.embedded)
	return etcd, nil
}

// reachable replaces the address of a wildcard listener by one to connect to.
func reachable(endpoint string) string {
	u, err := url.Parse(endpoint)
	if err != nil {
		return endpoint
	}
	if ip := net.ParseIP(u.Hostname()); ip != nil && ip.IsUnspecified() {
		u.Host = net.JoinHostPort("localhost", u.Port())
	}
	return u.String()
}

func watchEtcd(ctx context.Context, etcd *embed.Server) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-etcd.Done():
		if err == nil {
			err = errors.New("it ended by itself")
		}
		return err
	}
}
