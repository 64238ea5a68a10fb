package swarm

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMD5 listens with a key for the one peer, in both families.
func TestMD5(t *testing.T) {
	for _, address := range []string{"127.0.0.1", "::1"} {
		t.Run(address, func(t *testing.T) {
			peer := netip.MustParseAddr(address)
			config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
				var failed error
				err := raw.Control(func(fd uintptr) { failed = setMD5(int(fd), peer, "secret") })
				return errors.Join(err, failed)
			}}
			l, err := config.Listen(t.Context(), "tcp", net.JoinHostPort(address, "0"))
			if errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.ENOPROTOOPT) {
				t.Skipf("needs the family and a kernel with TCP_MD5SIG: %v", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			fake := serve(t, l, polite("10.0.0.1"))
			cfg := fakeConfig(t, fake, 1)
			cfg.From = []netip.Prefix{netip.PrefixFrom(peer, peer.BitLen())}
			cfg.MD5, cfg.MD5Share = "secret", 1
			s := start(t, cfg)
			record(t, s, "the session with the key is up", func(r *Record) bool { return r.State == Established && r.MD5 })

			cfg.MD5, cfg.Profile.Connect = "another", 300*time.Millisecond
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			wrong, err := New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { done <- wrong.Run(ctx) }()
			r := record(t, wrong, "the wrong key fails", func(r *Record) bool { return r.Failures > 0 })
			if r.FailureCause != "timeout: no answer to the SYN" {
				t.Errorf("cause is %q", r.FailureCause)
			}
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestMD5AgainstBIRD signs half of the sessions.
func TestMD5AgainstBIRD(t *testing.T) {
	if _, err := exec.LookPath("bird"); err != nil {
		t.Skip("needs the package bird2; hack/lab/install.sh installs it")
	}
	b := startBIRD(t, `password "secret";`)
	cfg := testConfig(t, b.target, 2)
	cfg.MD5, cfg.MD5Share = "secret", 0.5
	s := start(t, cfg)
	await(t, "the session with the key is up", func() bool { return s.Established() == 1 })
	for _, r := range s.Records() {
		if r.MD5 != (r.State == Established) {
			t.Errorf("%+v", r)
		}
	}
}
