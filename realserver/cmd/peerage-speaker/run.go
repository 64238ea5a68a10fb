package main

import (
	"context"
	"io"

	"github.com/hashicorp/go-hclog"

	"github.com/peerage/peerage/api/node"
	"github.com/peerage/peerage/realserver/garbage"
	"github.com/peerage/peerage/realserver/speaker"
	"github.com/peerage/peerage/realserver/speaker/control"
)

func run(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) error {
	o, done, err := parse(args, stdout)
	if err != nil || done {
		return err
	}
	lock, err := node.LockDir(o.StateDir, program)
	if err != nil {
		return err
	}
	defer lock.Close()
	log := o.Logger(stderr)
	return serve(hclog.WithContext(ctx, log), o, log)
}

// serve runs the speaker until ctx ends, and its sessions with it.
func serve(ctx context.Context, o *options, log hclog.Logger) error {
	registry := node.NewRegistry(program)
	s := speaker.New(speaker.Options{
		Shards: o.shards, Workers: o.workers, StateDir: o.StateDir, Secrets: node.OpenSecrets(o.secretsDir), Logger: log,
	})
	registry.MustRegister(s)
	socket, err := control.Listen(ctx, o.socket)
	if err != nil {
		return err
	}
	ops := node.OpsMux(registry, s.Ready)
	g := node.NewGroup(ctx)
	g.Go("garbage", garbage.Run)
	g.Go("speaker", s.Run)
	g.Go("control", func(ctx context.Context) error { return node.Serve(ctx, socket, nil, control.Handler(s, ops)) })
	g.Go("metrics", func(ctx context.Context) error { return node.ServeHTTP(ctx, o.MetricsListen, ops) })
	if err := node.Notify("READY=1"); err != nil {
		log.Warn("systemd was not told", "error", err)
	}
	log.Info("speaker runs", "version", node.Version, "socket", o.socket)
	return g.Wait()
}
