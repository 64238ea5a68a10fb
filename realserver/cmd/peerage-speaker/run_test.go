package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/node"
	"github.com/peerage/peerage/api/node/nodetest"
	"github.com/peerage/peerage/realserver/bgp"
	"github.com/peerage/peerage/realserver/speaker/control"
)

func TestCommandLine(t *testing.T) {
	tests := map[string]struct {
		args []string
		want string // in the error; empty: none
	}{
		"defaults":        {nil, ""},
		"shards":          {[]string{"--shards=4", "--workers=2"}, ""},
		"too many":        {[]string{"--shards=1000"}, "0 to 256 make sense"},
		"relative socket": {[]string{"--socket=speaker.sock"}, "must be an absolute path"},
		"relative state":  {[]string{"--state-dir=x"}, "must be an absolute path"},
		"no store":        {[]string{"--etcd=http://127.0.0.1:2379"}, "--help lists the flags"},
		"argument":        {[]string{"rs-1"}, "takes flags only"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			_, done, err := parse(append([]string{"--name=rs-1"}, tt.args...), &out)
			switch {
			case tt.want == "" && (err != nil || done):
				t.Errorf("done %v, %v", done, err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("error is %v, want %q", err, tt.want)
			case tt.want != "" && api.ExitCodeOf(err) != api.ExitUsage:
				t.Errorf("exit code %d", api.ExitCodeOf(err))
			}
		})
	}
}

func TestHelpTeaches(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), []string{"--help"}, nil, &out, nil); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"--socket", "--secrets-dir", "Exit codes", "LimitNOFILE"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the help lacks %q", want)
		}
	}
}

// daemon runs the program in this process.
type daemon struct {
	*control.Client
	args []string
	log  strings.Builder
	end  context.CancelFunc
	done chan error
}

func startDaemon(t *testing.T, dir string) *daemon {
	t.Helper()
	socket := filepath.Join(dir, "run", "speaker.sock")
	d := &daemon{Client: control.NewClient(socket), done: make(chan error, 1)}
	d.args = []string{"--name=rs-1", "--socket=" + socket, "--state-dir=" + filepath.Join(dir, "state"), "--secrets-dir=" + dir}
	var ctx context.Context
	ctx, d.end = context.WithCancel(context.Background())
	go func() { d.done <- run(ctx, d.args, nil, io.Discard, &d.log) }()
	t.Cleanup(d.stop)
	d.await(t, "an answer", func(control.Status) bool { return true })
	return d
}

// await asks for the status until it is what is wanted.
func (d *daemon) await(t *testing.T, what string, ok func(control.Status) bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		st, err := d.Status(t.Context())
		if err == nil && ok(st) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s; status %+v, error %v", what, st, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (d *daemon) stop() {
	d.end()
	<-d.done
	d.done <- nil
}

// A process from its first start to its end, and the next one.
func TestLifeOfADaemon(t *testing.T) {
	dir := t.TempDir()
	d := startDaemon(t, dir)
	h := &http.Client{Transport: control.Transport(filepath.Join(dir, "run", "speaker.sock"))}
	get := func(path string, want ...string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://speaker"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := h.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, _ := io.ReadAll(answer.Body)
		for _, w := range want {
			if !strings.Contains(string(body), w) {
				t.Errorf("%s lacks %q", path, w)
			}
		}
	}
	get(control.PathHealth, "ok")
	get(control.PathMetrics, "peerage_build_info", "peerage_speaker_connections 0", "go_goroutines")
	if st, err := d.Status(t.Context()); err != nil || st.Configured || st.Shards == 0 || st.Workers == 0 {
		t.Errorf("%+v, %v", st, err)
	}
	if err := run(t.Context(), d.args, nil, io.Discard, io.Discard); !errors.Is(err, node.ErrLocked) || api.ExitCodeOf(err) != api.ExitConflict {
		t.Errorf("a second one: %v", err)
	}
	other := append(append([]string(nil), d.args...), "--state-dir="+filepath.Join(dir, "other"))
	if err := run(t.Context(), other, nil, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "another process serves it") {
		t.Errorf("a second one with a state of its own: %v", err)
	}

	port := nodetest.FreePort(t)
	cfg := control.Config{
		Schema: control.Schema, RouterID: netip.MustParseAddr("10.1.1.1"),
		Services: []control.Service{{Pool: "bulk", VIPs: []netip.Addr{netip.MustParseAddr("127.0.0.10")}, Port: port, LocalAS: 64500}},
		Customers: []control.Customer{{Name: "acme", CustomerSpec: api.CustomerSpec{
			Pools: []string{"bulk"}, Neighbors: []api.CustomerNeighbor{{Prefix: netip.MustParsePrefix("127.0.0.0/8")}},
		}}},
	}
	if r, err := d.Configure(t.Context(), cfg); err != nil || !r.Changed || len(r.Problems) > 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	p := &process{TB: t, client: d.Client, port: port}
	conn := p.connectTo("127.0.0.10", 7)
	d.await(t, "a session", func(st control.Status) bool { return st.Pools["bulk"].Established == 1 })
	d.stop()
	last := readAll(t, conn)
	want := bgp.Shutdown(bgp.SubAdministrativeShutdown, "the speaker is shut down").Append(nil)
	if !strings.HasSuffix(last, string(want)) {
		t.Errorf("the router was not told of the end: %x", last)
	}
	if !strings.Contains(d.log.String(), "session is up") {
		t.Errorf("log: %s", d.log.String())
	}

	// The socket answers before what was in force is in force again.
	d = startDaemon(t, dir)
	d.await(t, "the restored configuration", func(st control.Status) bool { return st.Configured })
	p.client = d.Client
	p.connectTo("127.0.0.10", 7)
	d.await(t, "a session", func(st control.Status) bool { return st.Pools["bulk"].Established == 1 })
	if r, err := d.Configure(t.Context(), cfg); err != nil || r.Changed {
		t.Errorf("the configuration that it has: %+v, %v", r, err)
	}
}
