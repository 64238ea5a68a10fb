package bgpcheck

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/peerage/peerage/api"
)

// serve answers every connection with a function, until the test ends.
func serve(t *testing.T, answer func(*net.TCPConn)) netip.AddrPort {
	t.Helper()
	ln, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := ln.AcceptTCP()
			if err != nil {
				return
			}
			answer(conn)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = ln.Close()
		<-done
	})
	return ln.Addr().(*net.TCPAddr).AddrPort()
}

// say writes bytes and waits until the other side has closed.
func say(b []byte) func(*net.TCPConn) {
	return func(c *net.TCPConn) {
		_, _ = c.Write(b)
		_, _ = io.Copy(io.Discard, c)
	}
}

func TestCheckGood(t *testing.T) {
	got := make(chan []byte, 2)
	addr := serve(t, func(c *net.TCPConn) {
		// In small pieces, as a network may deliver them.
		for _, b := range message(typeOpen, openBody(as4(4200000000)...)...) {
			if _, err := c.Write([]byte{b}); err != nil {
				t.Error(err)
			}
		}
		rest, err := io.ReadAll(c)
		if err != nil {
			t.Errorf("the speaker saw no clean end: %v", err)
		}
		got <- rest
	})
	target := Target{Addr: addr, Source: netip.MustParseAddr("127.0.0.3"), LocalAS: 4200000000}
	result, err := Check(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	if result.PeerAS != 4200000000 || result.RouterID.String() != "10.0.0.1" || result.HoldTime != 90*time.Second || result.RTT <= 0 {
		t.Errorf("%+v", result)
	}
	if rest := <-got; string(rest) != string(farewell()) {
		t.Errorf("the speaker got %q", rest)
	}
	target.LocalAS = 64700
	_, err = Check(t.Context(), target)
	if want := "the speaker's AS number is 4200000000, and the pool's is 64700"; err == nil || err.Error() != want {
		t.Errorf("%v, not %s", err, want)
	}
	<-got
}

func TestCheckTCP(t *testing.T) {
	ended := make(chan error, 1)
	addr := serve(t, func(c *net.TCPConn) {
		_, _ = c.Write(message(typeOpen, openBody()...))
		_, err := io.ReadAll(c)
		ended <- err
	})
	result, err := Check(t.Context(), Target{Addr: addr, Type: api.HealthCheckTCP})
	if err != nil || result.RTT <= 0 {
		t.Errorf("%+v, %v", result, err)
	}
	if err := <-ended; err != nil {
		t.Errorf("no clean end: %v", err)
	}
}

func TestCheckBad(t *testing.T) {
	dribble := func(c *net.TCPConn) {
		// An OPEN of 4096 bytes that never ends.
		head := message(typeOpen, openBody()...)
		head[markerLen], head[markerLen+1] = 0x10, 0
		_, _ = c.Write(head)
		for {
			if _, err := c.Write([]byte{0}); err != nil {
				return
			}
			time.Sleep(time.Millisecond) // the pace of the dribble
		}
	}
	for name, tc := range map[string]struct {
		answer func(*net.TCPConn)
		kind   Kind
		want   string
	}{
		"silence":        {say(nil), KindSilent, "no OPEN came"},
		"half a marker":  {say(message(typeOpen)[:8]), KindSilent, "did not come to its end"},
		"dribble":        {dribble, KindSilent, "did not come to its end"},
		"closes":         {func(*net.TCPConn) {}, KindClosed, "closed without an OPEN"},
		"closes in OPEN": {func(c *net.TCPConn) { _, _ = c.Write(message(typeOpen, openBody()...)[:25]) }, KindClosed, "closed within its OPEN"},
		"resets":         {func(c *net.TCPConn) { _ = c.SetLinger(0) }, KindReset, "reset the connection"},
		"ssh":            {say([]byte("SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n")), KindGarbage, `it began with "SSH-2.0-OpenSSH_9.2"`},
		"short garbage":  {say([]byte("\x00")), KindGarbage, `it began with "\x00"`},
		"garbage marker": {say([]byte("\xff\xff\xff\xfe")), KindGarbage, `not BGP`},
		"keepalive":      {say(message(typeKeepalive)), KindOpen, "sent a KEEPALIVE before its OPEN"},
		"unknown type":   {say(message(77)), KindOpen, "unknown type 77"},
		"too long":       {say([]byte(strings.Repeat("\xff", 16) + "\x10\x01\x01")), KindOpen, "impossible length 4097"},
		"too short":      {say([]byte(strings.Repeat("\xff", 16) + "\x00\x13\x01")), KindOpen, "impossible length 19"},
		"tiny note":      {say([]byte(strings.Repeat("\xff", 16) + "\x00\x14\x03")), KindOpen, "impossible length 20"},
		"notification":   {say(message(typeNotification, 6, 5)), KindNotification, "Cease, Connection Rejected (6/5)"},
		"bad OPEN":       {say(message(typeOpen, 3, 0, 1, 0, 90, 1, 1, 1, 1, 0)), KindOpen, "version 3"},
	} {
		t.Run(name, func(t *testing.T) {
			timeout := 10 * time.Second
			if tc.kind == KindSilent {
				timeout = 100 * time.Millisecond // which must pass
			}
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			_, err := Check(ctx, Target{Addr: serve(t, tc.answer)})
			wantKind(t, err, tc.kind, tc.want)
		})
	}
}

func TestCheckUnconnected(t *testing.T) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := ln.Addr().(*net.TCPAddr).AddrPort()
	_ = ln.Close()
	_, err = Check(t.Context(), Target{Addr: free})
	wantKind(t, err, KindRefused, "refused the connection")

	_, err = Check(t.Context(), Target{Addr: free, Source: netip.MustParseAddr("192.0.2.77")})
	wantKind(t, err, KindLocal, "the source address 192.0.2.77 is not on this host")
	_, err = Check(t.Context(), Target{Addr: free, Source: netip.MustParseAddr("2001:db8::1")})
	wantKind(t, err, KindLocal, "the families differ")
	_, err = Check(t.Context(), Target{})
	wantKind(t, err, KindLocal, "no address and port")
}

// The end of the caller says nothing about the speaker.
func TestCheckCancelled(t *testing.T) {
	accepted := make(chan struct{})
	addr := serve(t, func(c *net.TCPConn) {
		close(accepted)
		_, _ = io.Copy(io.Discard, c)
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-accepted
		cancel()
	}()
	_, err := Check(ctx, Target{Addr: addr})
	if _, ok := errors.AsType[*Error](err); ok || !errors.Is(err, context.Canceled) {
		t.Errorf("%#v", err)
	}
}

func wantKind(t *testing.T, err error, kind Kind, text string) {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Kind != kind || !strings.Contains(e.Text, text) {
		t.Errorf("%#v: %v\nnot %s: %s", err, err, kind, text)
	}
}
