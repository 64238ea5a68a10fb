package swarm

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peerage/peerage/api/node/nodetest"
	"github.com/peerage/peerage/realserver/bgp"
)

// fakeConfig is few sessions against a fake speaker, in a hurry.
func fakeConfig(t *testing.T, s *speaker, n int) Config {
	cfg := testConfig(t, s.target, n)
	cfg.Profile = Profile{Name: "test", Connect: 2 * time.Second, First: time.Millisecond, Retry: 20 * time.Millisecond, Backoff: 1, Max: time.Second}
	cfg.Rate = 10_000
	return cfg
}

// record waits until one record of a swarm of one session is as ok wants it.
func record(t *testing.T, s *Swarm, what string, ok func(r *Record) bool) Record {
	t.Helper()
	var r Record
	await(t, what, func() bool {
		r = s.Records()[0]
		return ok(&r)
	})
	return r
}

// TestFlapsAreRecorded ends sessions in every way there is.
func TestFlapsAreRecorded(t *testing.T) {
	tests := map[string]struct {
		end  func(p *peer)
		want string
	}{
		"NOTIFICATION": {func(p *peer) {
			_, _ = p.Write(bgp.Shutdown(bgp.SubAdministrativeShutdown, "moved to rs-2").Append(nil))
		}, `received NOTIFICATION: cease: administrative shutdown "moved to rs-2"`},
		// All that comes is still read: what is left unread at a Close makes it a RST.
		"FIN": {func(p *peer) { _ = p.Conn.(*net.TCPConn).CloseWrite() }, "FIN from the peer"},
		"RST": {func(p *peer) { _ = p.Conn.(*net.TCPConn).SetLinger(0); p.Close() }, "RST from the peer"},
		"4097 bytes": {func(p *peer) {
			b := bgp.AppendUpdate(nil, nil, nil, make([]byte, 5000))
			_, _ = p.Write(b)
		}, "sent NOTIFICATION: message header error: bad message length: UPDATE of 5023 bytes"},
		"wrong marker": {func(p *peer) { _, _ = p.Write(make([]byte, 19)) },
			"sent NOTIFICATION: message header error: connection not synchronized: marker is not all ones"},
		"second OPEN": {func(p *peer) {
			_, _ = p.Write((&bgp.Open{AS: 1, Identifier: netip.MustParseAddr("1.1.1.1")}).Append(nil))
		}, "sent NOTIFICATION: finite state machine error: second OPEN"},
		"silence": {func(*peer) {}, "sent NOTIFICATION: hold timer expired: nothing heard for 3s"},
		"garbage in an UPDATE": {func(p *peer) {
			_, _ = p.Write(bgp.AppendUpdate(nil, nil, nil, []byte{33, 1, 2, 3, 4, 5}))
		}, "sent NOTIFICATION: UPDATE message error: invalid network field: prefix of length 33 in 5 bytes"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var count atomic.Int32
			fake := startSpeaker(t, "127.0.0.1", func(p *peer) {
				first := count.Add(1) == 1
				if !p.establish("10.0.0.1", 3*time.Second) {
					return
				}
				if !first {
					p.serveUpdates(nil)
					return
				}
				tt.end(p)
				p.drain()
			})
			s := start(t, fakeConfig(t, fake, 1))
			r := record(t, s, "the session is back", func(r *Record) bool { return r.Ups == 2 })
			if r.FlapCause != tt.want || r.Flaps != 1 || r.Failures != 0 || len(r.Outages) != 1 || r.Outages[0].Lasted <= 0 {
				t.Errorf("got %q, want %q in %+v", r.FlapCause, tt.want, r)
			}
			var states []string
			for _, c := range r.History {
				states = append(states, c.State.String())
			}
			want := []string{"connecting", "open-sent", "established", "down", "connecting", "open-sent", "established"}
			if !slices.Equal(states, want) {
				t.Errorf("history is %v", states)
			}
			told := fake.peers()[0].notification()
			if strings.HasPrefix(tt.want, "sent") && (told == "" || !strings.Contains(tt.want, told)) {
				t.Errorf("the peer was told %q", told)
			}
		})
	}
}

// TestFailuresAreRecorded lets attempts fail before Established.
func TestFailuresAreRecorded(t *testing.T) {
	open := func(o bgp.Open) func(p *peer) {
		return func(p *peer) {
			_, _ = p.Write(o.Append(nil))
			p.drain()
		}
	}
	id := netip.MustParseAddr("10.0.0.1")
	tests := map[string]struct {
		script func(p *peer)
		want   string
	}{
		"garbage": {func(p *peer) { _, _ = p.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")); p.serveUpdates(nil) },
			"sent NOTIFICATION: message header error: connection not synchronized: marker is not all ones"},
		"closes at once":   {func(p *peer) { p.Close() }, "from the peer"},
		"never answers":    {func(p *peer) { p.serveUpdates(nil) }, "sent NOTIFICATION: hold timer expired: no OPEN within 300ms"},
		"OPEN and no more": {open(bgp.Open{AS: 65000, Identifier: id}), "sent NOTIFICATION: hold timer expired: no KEEPALIVE within 300ms"},
		"another AS":       {open(bgp.Open{AS: 65009, Identifier: id}), "sent NOTIFICATION: OPEN message error: bad peer AS: peer is AS 65009, not 65000"},
		"identifier 0":     {open(bgp.Open{AS: 65000, Identifier: netip.IPv4Unspecified()}), "sent NOTIFICATION: OPEN message error: bad BGP identifier: identifier is 0.0.0.0"},
		"KEEPALIVE first":  {func(p *peer) { _, _ = p.Write(bgp.AppendKeepalive(nil)); p.serveUpdates(nil) }, "sent NOTIFICATION: finite state machine error: KEEPALIVE before Established"},
		"UPDATE first":     {func(p *peer) { _, _ = p.Write(bgp.AppendUpdate(nil, nil, nil, nil)); p.serveUpdates(nil) }, "sent NOTIFICATION: finite state machine error: UPDATE before Established"},
		"half a message":   {func(p *peer) { _, _ = p.Write(bgp.AppendKeepalive(nil)[:7]); p.Close() }, "from the peer"},
		"a NOTIFICATION": {func(p *peer) {
			_, _ = p.Write(bgp.Notification{Code: bgp.CodeCease, Subcode: bgp.SubConnectionRejected}.Append(nil))
		}, "received NOTIFICATION: cease: connection rejected"},
		"empty NOTIFICATION": {func(p *peer) { _, _ = p.Write(with(bgp.AppendKeepalive(nil), 18, 3)); p.serveUpdates(nil) }, "sent NOTIFICATION: message header error: bad message length: NOTIFICATION of 19 bytes"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := startSpeaker(t, "127.0.0.1", tt.script)
			cfg := fakeConfig(t, fake, 1)
			cfg.PeerAS, cfg.Profile.Connect = 65000, 300*time.Millisecond
			s := start(t, cfg)
			r := record(t, s, "two attempts failed", func(r *Record) bool { return r.Failures >= 2 })
			if !strings.Contains(r.FailureCause, tt.want) || r.Ups != 0 || r.Flaps != 0 {
				t.Errorf("got %q, want %q in %+v", r.FailureCause, tt.want, r)
			}
			if sum := s.Summary(); len(sum.Refusals) != 1 && sum.Established == 0 || sum.Flapped != 0 {
				t.Errorf("%+v", sum)
			}
		})
	}
}

func with(b []byte, at int, value byte) []byte {
	b[at] = value
	return b
}

func TestRefusedConnection(t *testing.T) {
	cfg := testConfig(t, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), nodetest.FreePort(t)), 1)
	cfg.Profile.Retry = time.Millisecond
	r := record(t, start(t, cfg), "an attempt failed", func(r *Record) bool { return r.Failures > 0 })
	if r.FailureCause != "connection refused" {
		t.Errorf("cause is %q", r.FailureCause)
	}
}

// TestUnknownCapabilitiesAreFine also checks what the swarm offers.
func TestUnknownCapabilitiesAreFine(t *testing.T) {
	fake := startSpeaker(t, "127.0.0.1", func(p *peer) {
		if p.establish("10.0.0.1", 9*time.Second, bgp.Capability{Code: 200, Value: []byte{1, 2, 3}}, bgp.Capability{Code: bgp.CapExtendedMessage}) {
			_, _ = p.Write(bgp.AppendUpdate(nil, nil, nil, slices.Repeat([]byte{24, 192, 0, 2}, 2500))) // 10 kB
			p.serveUpdates(nil)
		}
	})
	cfg := fakeConfig(t, fake, 1)
	cfg.Capabilities = []bgp.Capability{{Code: 64, Value: []byte{0, 0x78}}}
	s := start(t, cfg)
	record(t, s, "a long message is counted", func(r *Record) bool { return r.Announced == 2500 })
	o := fake.peers()[0].offered()
	if c, ok := o.Capability(64); !ok || len(c.Value) != 2 {
		t.Errorf("capabilities are %v", o.Capabilities)
	}
	if o.AS != 65001 || o.Identifier != netip.MustParseAddr("127.1.0.1") || !slices.Equal(o.Families(), []bgp.Family{bgp.IPv4Unicast}) {
		t.Errorf("OPEN is %+v", o)
	}
}

// TestStopSaysGoodbye ends a swarm while some sessions are up and one sends a
// table to a peer that does not read.
func TestStopSaysGoodbye(t *testing.T) {
	stuck := make(chan struct{})
	fake := startSpeaker(t, "127.0.0.1", func(p *peer) {
		if !p.establish("10.0.0.1", 90*time.Second) {
			return
		}
		if strings.HasPrefix(p.RemoteAddr().String(), "127.1.0.1:") {
			_ = p.Conn.(*net.TCPConn).SetReadBuffer(4096)
			<-stuck
			return
		}
		p.serveUpdates(nil)
	})
	cfg := fakeConfig(t, fake, 5)
	var err error
	if cfg.Table, err = NewSyntheticTable(300_000, 1, bgp.IPv4Unicast); err != nil {
		t.Fatal(err)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	await(t, "all up", func() bool { return s.Established() == 5 })
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the swarm does not end")
	}
	close(stuck)
	fake.listener.Close()
	for _, p := range fake.peers() {
		if strings.HasPrefix(p.RemoteAddr().String(), "127.1.0.1:") {
			continue
		}
		await(t, "a Cease arrives", func() bool {
			return p.notification() == `cease: administrative shutdown "swarm stopped"`
		})
	}
	for _, r := range s.Records() {
		if r.Flaps != 0 || r.History[len(r.History)-1].Cause != "stopped" {
			t.Errorf("%+v", r)
		}
	}
}

// TestRouteRefresh asks for the table twice.
func TestRouteRefresh(t *testing.T) {
	var markers atomic.Int32
	fake := startSpeaker(t, "127.0.0.1", func(p *peer) {
		if !p.establish("10.0.0.1", 9*time.Second) {
			return
		}
		p.serveUpdates(func(m bgp.Message) {
			if u, err := bgp.DecodeUpdate(m.Body); err == nil {
				if _, end := u.EndOfRIB(); end && markers.Add(1) == 1 {
					// The session may be about to forget that it was sending.
					time.AfterFunc(50*time.Millisecond, func() { _, _ = p.Write(bgp.RouteRefresh{Family: bgp.IPv4Unicast}.Append(nil)) })
				}
			}
		})
	})
	cfg := fakeConfig(t, fake, 1)
	cfg.Table = NewDefaultTable()
	start(t, cfg)
	await(t, "the table arrives twice", func() bool { return markers.Load() == 2 })
}

// TestIPv6AndServers brings up sessions of both families at two servers.
func TestIPv6AndServers(t *testing.T) {
	if l, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Skip("needs IPv6")
	} else {
		l.Close()
	}
	four, six := startSpeaker(t, "127.0.0.1", polite("10.0.0.4")), startSpeaker(t, "::1", polite("10.0.0.6"))
	cfg := fakeConfig(t, four, 2)
	cfg.Targets = append(cfg.Targets, six.target)
	cfg.From = append(cfg.From, netip.MustParsePrefix("::1/128"))
	s := start(t, cfg)
	await(t, "both up", func() bool { return s.Established() == 2 })
	servers := s.Summary().Servers
	if len(servers.Servers) != 2 || servers.MaxOverMean != 1 {
		t.Errorf("%+v", servers)
	}
	if o := six.peers()[0].offered(); o.Identifier != netip.MustParseAddr("100.64.0.1") || !slices.Equal(o.Families(), []bgp.Family{bgp.IPv6Unicast}) {
		t.Errorf("OPEN is %+v", o)
	}
}

// TestMarkBeginsAnew flaps before and after a mark.
func TestMarkBeginsAnew(t *testing.T) {
	fake := startSpeaker(t, "127.0.0.1", polite("10.0.0.1"))
	s := start(t, fakeConfig(t, fake, 1))
	flap := func(ups int) {
		record(t, s, "up", func(r *Record) bool { return r.Ups == ups && r.State == Established })
		peers := fake.peers()
		peers[len(peers)-1].Close()
		record(t, s, "up again", func(r *Record) bool { return r.Ups == ups+1 })
	}
	flap(1)
	first := s.Mark()
	if sum := s.SummarySince(first); sum.Flaps != 0 || sum.Flapped != 0 || sum.Outage.Count != 0 || len(sum.Causes) != 0 {
		t.Errorf("right after a mark: %+v", sum)
	}
	flap(2)
	second := s.Mark()
	flap(3)
	for want, m := range map[int]*Mark{3: nil, 2: first, 1: second} {
		if sum := s.SummarySince(m); sum.Flaps != want || sum.Outage.Count != want || sum.Flapped != 1 {
			t.Errorf("want %d flaps: %+v", want, sum)
		}
	}
}
