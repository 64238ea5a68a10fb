package main

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/peerage/peerage/agent"
	"github.com/peerage/peerage/agent/probe"
	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/node"
	"github.com/peerage/peerage/api/node/bgpcheck"
	"github.com/peerage/peerage/api/node/hostnet"
	"github.com/peerage/peerage/api/store"
)

func run(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) error {
	o, done, err := parse(args, stdout)
	if err != nil || done {
		return err
	}
	if o.check {
		return check(ctx, o, stdout)
	}
	lock, err := node.LockDir(o.StateDir, program)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := preflight(ctx, o); err != nil {
		return err
	}
	node.CollectLater()
	log := o.Logger(stderr)
	if o.withdraw {
		return withdraw(ctx, o, log, stdout)
	}
	return serve(ctx, o, log)
}

func withdraw(ctx context.Context, o *options, log hclog.Logger, out io.Writer) (err error) {
	hostID, err := hostnet.HostID()
	if err != nil {
		return err
	}
	host, closeHost, err := openHost(o, hostID, log, func() {})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeHost()) }()
	return agent.Withdraw(ctx, agent.Config{Name: o.Name, Host: host, StateDir: o.StateDir, Grace: o.withdrawGrace}, out)
}

// serve runs the agent until ctx ends. It leaves the host as it is then.
func serve(ctx context.Context, o *options, log hclog.Logger) (err error) {
	hostID, err := hostnet.HostID()
	if err != nil {
		return err
	}
	bootID, err := node.BootID()
	if err != nil {
		return err
	}
	tls, err := o.EtcdTLS()
	if err != nil {
		return err
	}
	registry := node.NewRegistry(program)
	metrics := agent.NewMetrics(registry)
	st, err := store.Open(store.Config{Endpoints: o.Etcd, TLS: tls, Logger: log, Metrics: store.NewMetrics(registry)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	host, closeHost, err := openHost(o, hostID, log, metrics.BirdFailed)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeHost()) }()

	mirror := st.Mirror(store.MirrorOptions{CacheFile: filepath.Join(o.StateDir, "store.json")})
	prober := probe.New(probe.Config{
		LB: o.Name, Check: bgpcheck.Check, Store: st, Observer: metrics, Logger: log.Named("probe"),
	})
	a, err := agent.New(agent.Config{
		Name: o.Name, Host: host, Source: mirror, Store: st, Prober: prober, Logger: log,
		Metrics: metrics, HostID: hostID, StateDir: o.StateDir,
		FullEvery: o.fullInterval, Grace: o.withdrawGrace,
	})
	if err != nil {
		return err
	}
	live := api.Live{
		Schema: api.Schema, Name: o.Name, Role: api.RoleLB, Version: node.Version, BootID: bootID,
		StartedAt: time.Now().UTC(), Capabilities: []string{"bird", string(api.ForwardingDSR)},
	}

	ctx = hclog.WithContext(ctx, log)
	g := node.NewGroup(ctx)
	g.Go("store", mirror.Run)
	g.Go("agent", a.Run)
	g.Go("probe", prober.Run)
	g.Go("register", func(ctx context.Context) error { return st.RegisterNode(ctx, mirror, live) })
	g.Go("metrics", func(ctx context.Context) error {
		return node.ServeHTTP(ctx, o.MetricsListen, node.OpsMux(registry, a.Ready))
	})
	if err := node.Notify("READY=1"); err != nil {
		log.Warn("systemd was not told", "error", err)
	}
	log.Info("agent runs", "name", o.Name, "version", node.Version)
	return g.Wait()
}
