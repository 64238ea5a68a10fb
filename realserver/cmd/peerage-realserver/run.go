package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/node"
	"github.com/peerage/peerage/api/node/bgpcheck"
	"github.com/peerage/peerage/api/node/hostnet"
	"github.com/peerage/peerage/api/store"
	"github.com/peerage/peerage/realserver"
	"github.com/peerage/peerage/realserver/bird"
	"github.com/peerage/peerage/realserver/gateway"
	"github.com/peerage/peerage/realserver/native"
)

func run(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) error {
	o, done, err := parse(args, stdout)
	if err != nil || done {
		return err
	}
	if o.check {
		return check(o, stdout)
	}
	lock, err := node.LockDir(o.StateDir, program)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := node.RequireCaps(node.CapNetAdmin); err != nil {
		return err
	}
	log := o.Logger(stderr)
	host, err := openHost(o, log)
	if err != nil {
		return err
	}
	if o.remove {
		return remove(ctx, host, stdout)
	}
	return serve(hclog.WithContext(ctx, log), o, host, log)
}

// openHost puts the parts of the machine together.
func openHost(o *options, log hclog.Logger) (realserver.Host, error) {
	sysctls := filepath.Join(o.StateDir, "sysctls")
	if err := os.MkdirAll(sysctls, 0o700); err != nil {
		return realserver.Host{}, err
	}
	return realserver.Host{
		Addresses: &hostnet.Device{},
		Sysctls:   &hostnet.Sysctls{Dir: sysctls},
		Speaker:   openSpeaker(o, log),
	}, nil
}

// openSpeaker picks what hosts the sessions.
func openSpeaker(o *options, log hclog.Logger) realserver.Speaker {
	if o.speaker == hostedBIRD {
		return bird.New(bird.Options{
			Binary: o.birdBinary, Config: o.birdConfig, Socket: o.birdSocket, PID: o.birdPID, Unit: o.birdUnit, Log: o.birdLog,
			Secrets: node.OpenSecrets(o.secretsDir), Logger: log.Named("bird"),
		})
	}
	return native.New(native.Options{
		Binary: o.speakerBinary, Socket: o.speakerSocket, StateDir: o.speakerStateDir, SecretsDir: o.secretsDir,
		Unit: o.speakerUnit, Log: o.speakerLog, Logger: log.Named("speaker"),
	})
}

func remove(ctx context.Context, host realserver.Host, out io.Writer) error {
	if err := host.Remove(ctx); err != nil {
		return err
	}
	_, err := fmt.Fprintln(out, "The VIPs are off and the kernel parameters are restored. The speaker still runs.")
	return err
}

// check tells of everything that is missing.
func check(o *options, out io.Writer) error {
	what, program, fix := "the speaker's program", o.speakerBinary, "install peerage-speaker, or name the program with --speaker-binary"
	if o.speaker == hostedBIRD {
		what, program, fix = "BIRD's program", o.birdBinary, "install bird2, or name the program with --bird-binary"
	}
	_, noSpeaker := exec.LookPath(program)
	if noSpeaker != nil {
		noSpeaker = fmt.Errorf("%w; %s", noSpeaker, fix)
	}
	missing := 0
	for _, r := range []struct {
		what string
		err  error
	}{
		{"CAP_NET_ADMIN", node.RequireCaps(node.CapNetAdmin)},
		{what, noSpeaker},
	} {
		if r.err != nil {
			missing++
			fmt.Fprintf(out, "missing  %s: %v\n", r.what, r.err)
			continue
		}
		fmt.Fprintf(out, "ok       %s\n", r.what)
	}
	if missing > 0 {
		return fmt.Errorf("%d requirements are missing", missing)
	}
	return nil
}

// serve runs the agent until ctx ends. It leaves the host as it is then.
func serve(ctx context.Context, o *options, host realserver.Host, log hclog.Logger) (err error) {
	bootID, err := node.BootID()
	if err != nil {
		return err
	}
	tls, err := o.EtcdTLS()
	if err != nil {
		return err
	}
	registry := node.NewRegistry(program)
	st, err := store.Open(store.Config{Endpoints: o.Etcd, TLS: tls, Logger: log, Metrics: store.NewMetrics(registry)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, host.Speaker.Close(), st.Close()) }()

	mirror := st.Mirror(store.MirrorOptions{CacheFile: filepath.Join(o.StateDir, "store.json")})
	a, err := realserver.New(realserver.Config{
		Name: o.Name, Host: host, Check: bgpcheck.Check, Source: mirror, Store: st, Logger: log,
		Metrics: realserver.NewMetrics(registry), FullEvery: o.fullInterval,
	})
	if err != nil {
		return err
	}
	live := api.Live{
		Schema: api.Schema, Name: o.Name, Role: api.RoleRealServer, Version: node.Version, BootID: bootID,
		StartedAt: time.Now().UTC(), Capabilities: []string{"speaker", o.speaker},
	}
	g := node.NewGroup(ctx)
	if live.API, err = serveAPI(ctx, g, o, log); err != nil {
		return err
	}
	g.Go("store", mirror.Run)
	g.Go("realserver", a.Run)
	g.Go("register", func(ctx context.Context) error {
		return st.RegisterNode(ctx, mirror, live)
	})
	g.Go("metrics", func(ctx context.Context) error {
		return node.ServeHTTP(ctx, o.MetricsListen, node.OpsMux(registry, a.Ready))
	})
	if err := node.Notify("READY=1"); err != nil {
		log.Warn("systemd was not told", "error", err)
	}
	log.Info("real server runs", "name", o.Name, "version", node.Version)
	return g.Wait()
}

// serveAPI lets the controllers ask the speaker, and returns the URL at which
// they do; empty: they cannot.
func serveAPI(ctx context.Context, g *node.Group, o *options, log hclog.Logger) (string, error) {
	if o.api.Listen == "" {
		return "", nil
	}
	listener, config, err := o.api.Open(ctx)
	if err != nil {
		return "", err
	}
	if o.api.Exposed(listener.Addr()) {
		log.Warn("customers' sessions and routes are open to everybody who reaches the API; give --client-ca", "address", listener.Addr().String())
	}
	handler := gateway.Handler(o.speakerSocket, log.Named("api"))
	g.Go("api", func(ctx context.Context) error { return node.Serve(ctx, listener, config, handler) })
	return o.api.URL(listener.Addr(), o.Name), nil
}
