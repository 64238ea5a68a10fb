package birdc_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/peerage/peerage/api/node/birdc"
	"github.com/peerage/peerage/api/node/birdc/birdtest"
)

// serve answers one command after the other with the texts.
func serve(t *testing.T, answers ...string) *birdc.Client {
	t.Helper()
	socket := filepath.Join(birdtest.Dir(t), "ctl")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = ln.Close(); <-done })
	go func() {
		defer close(done)
		for _, answer := range answers {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("0001 BIRD 2.0.12 ready.\n"))
			_, _ = conn.Read(make([]byte, 4096))
			_, _ = conn.Write([]byte(answer))
			defer conn.Close()
		}
		_, _ = ln.Accept() // keeps the connections until the test ends
	}()
	return &birdc.Client{Socket: socket, Timeout: 5 * time.Second}
}

func TestConfigureWaitsForTheEnd(t *testing.T) {
	const busy, idle = "1000-BIRD 2.0.12\n0013 Reconfiguration in progress\n", "0013 Daemon is up and running\n"
	for name, answers := range map[string][]string{
		"at once":         {"0002-Reading\n0003 Reconfigured\n"},
		"in progress":     {"0002-Reading\n0004 Reconfiguration in progress\n", busy, idle},
		"queued":          {"0005 Reconfiguration already in progress, queueing new config\n", idle},
		"out of the list": {"0017 Reconfiguration already in progress, removing queued config\n", idle, "0003 Reconfigured\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := serve(t, answers...).Configure(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestConfigureNeverSettles(t *testing.T) {
	answers := []string{"0004 Reconfiguration in progress\n"}
	for range 100 {
		answers = append(answers, "0013 Reconfiguration in progress\n")
	}
	c := serve(t, answers...)
	c.Timeout = 200 * time.Millisecond
	if err := c.Configure(t.Context()); !errors.Is(err, birdc.ErrInProgress) {
		t.Errorf("error %v", err)
	}
}

func TestSilentSocket(t *testing.T) {
	c := serve(t, "1000-BIRD\n")
	c.Timeout = 50 * time.Millisecond
	_, err := c.Status(t.Context())
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), c.Socket) {
		t.Errorf("error %v", err)
	}
}

func TestCancelEndsARead(t *testing.T) {
	c := serve(t, "1000-BIRD\n")
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := c.Status(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestNoSocket(t *testing.T) {
	c := &birdc.Client{Socket: filepath.Join(t.TempDir(), "none")}
	if _, err := c.Status(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

func TestCommandIsOneLine(t *testing.T) {
	c := &birdc.Client{Socket: "/nowhere"}
	if _, err := c.Eval(t.Context(), "x\ndown"); err == nil || !strings.Contains(err.Error(), "line break") {
		t.Errorf("error %v", err)
	}
}

const realConfig = `
router id 10.0.0.1;
define revision = 42;
ipv4 table t4;
protocol device {}
protocol static vips { ipv4 { table t4; }; route 192.0.2.1/32 blackhole; }
protocol bgp peer { local 127.0.0.10 port 27901 as 64500; neighbor 127.0.0.11 as 64501; multihop; passive;
  strict bind; ipv4 { table t4; import none; export all; }; }
`

func TestRealBird(t *testing.T) {
	b := birdtest.Start(t, realConfig)
	ctx := t.Context()

	s, err := b.Status(ctx)
	if err != nil || !s.Ready || s.RouterID != netip.MustParseAddr("10.0.0.1") || s.Version == "" {
		t.Errorf("status %+v, %v", s, err)
	}
	if v, err := b.Eval(ctx, "revision"); v != "42" || err != nil {
		t.Errorf("eval %q, %v", v, err)
	}
	p, err := b.Protocol(ctx, "peer")
	if err != nil || p.BGP == nil || p.BGP.State != "Passive" || p.BGP.Neighbor.String() != "127.0.0.11" {
		t.Errorf("protocol %+v, %v", p, err)
	}
	if bfd, err := b.BFDSessions(ctx); bfd != nil || err != nil {
		t.Errorf("BFD %v, %v", bfd, err)
	}
	prefix := netip.MustParsePrefix("192.0.2.1/32")
	found, err := b.RoutesFor(ctx, "t4", prefix)
	if err != nil || len(found) != 1 || found[0].Prefix != prefix || found[0].Protocol != "vips" {
		t.Errorf("routes %+v, %v", found, err)
	}
	if none, err := b.RoutesFor(ctx, "t4", netip.MustParsePrefix("192.0.2.2/32")); len(none) != 0 || err != nil {
		t.Errorf("routes %+v, %v", none, err)
	}
	if none, err := b.Exported(ctx, "t4", "peer"); len(none) != 0 || err != nil {
		t.Errorf("exported %+v, %v", none, err)
	}
	for _, step := range []struct {
		do   func(context.Context, string) error
		want string
	}{{b.Disable, "Down"}, {b.Disable, "Down"}, {b.Enable, "Passive"}, {b.Restart, "Passive"}} {
		if err := step.do(ctx, "peer"); err != nil {
			t.Error(err)
		}
		birdtest.Await(t, func(ctx context.Context) bool {
			p, err := b.Protocol(ctx, "peer")
			return err == nil && p.BGP.State == step.want
		})
	}
}

func TestRealBirdRefuses(t *testing.T) {
	b := birdtest.Start(t, realConfig)
	b.Write(t, realConfig+"\nprotocol bgp broken { bogus; }\n")
	err := b.Configure(t.Context())
	refusal, ok := errors.AsType[*birdc.Error](err)
	if !ok || !strings.Contains(refusal.Message, b.File+":11:23 syntax error") {
		t.Errorf("error %v", err)
	}
	checked, ok := errors.AsType[*birdc.Error](birdc.Check(t.Context(), birdtest.Binary(t), b.File))
	if !ok || !strings.Contains(checked.Message, ":11:23 syntax error") {
		t.Errorf("error %v", checked)
	}
	if v, err := b.Eval(t.Context(), "revision"); v != "42" || err != nil {
		t.Errorf("the old configuration is gone: %q, %v", v, err)
	}
	b.Write(t, strings.Replace(realConfig, "42", "43", 1))
	if err := birdc.Check(t.Context(), birdtest.Binary(t), b.File); err != nil {
		t.Error(err)
	}
	if err := b.Configure(t.Context()); err != nil {
		t.Error(err)
	}
	if v, err := b.Eval(t.Context(), "revision"); v != "43" || err != nil {
		t.Errorf("eval %q, %v", v, err)
	}
}

func TestCheckWithoutBinary(t *testing.T) {
	err := birdc.Check(t.Context(), filepath.Join(t.TempDir(), "bird"), "x.conf")
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}
