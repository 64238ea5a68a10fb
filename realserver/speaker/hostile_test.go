package speaker

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/realserver/bgp"
	"github.com/peerage/peerage/realserver/speaker/control"
)

// header is a message of any type and length.
func header(kind byte, length int, body ...byte) []byte {
	m := append(bytes.Repeat([]byte{0xff}, 16), byte(length>>8), byte(length), kind)
	return append(m, body...)
}

// What a router says wrong ends its session with what the RFC has for it, and
// no other session.
func TestErrors(t *testing.T) {
	t.Parallel()
	b := newBench(t, acme("acme", "127.0.0.0/8"))
	b.put(true)
	witness := b.router("127.0.7.7", 65001).must(t)
	open := func(change func(*bgp.Open)) []byte {
		o := b.router("127.0.0.1", 65001).open
		change(&o)
		return o.Append(nil)
	}
	good := open(func(*bgp.Open) {})
	up := bgp.AppendKeepalive(bytes.Clone(good))
	then := func(m ...byte) []byte { return append(bytes.Clone(up), m...) }
	tests := map[string]struct {
		say  []byte
		code bgp.Code
		sub  uint8
	}{
		"garbage":                    {bytes.Repeat([]byte("GET / HTTP/1.1\r\n"), 4), bgp.CodeHeader, bgp.SubConnectionNotSynchronized},
		"wrong marker":               {append([]byte{0}, good[1:]...), bgp.CodeHeader, bgp.SubConnectionNotSynchronized},
		"4097 bytes before OPEN":     {header(2, 4097), bgp.CodeHeader, bgp.SubBadMessageLength},
		"18 bytes":                   {header(4, 18), bgp.CodeHeader, bgp.SubBadMessageLength},
		"type 9":                     {header(9, 19), bgp.CodeHeader, bgp.SubBadMessageType},
		"KEEPALIVE first":            {bgp.AppendKeepalive(nil), bgp.CodeFSM, unexpectedInOpenSent},
		"UPDATE first":               {announce(65001, "10.0.0.1", "10.0.0.0/8"), bgp.CodeFSM, unexpectedInOpenSent},
		"version 3":                  {header(1, 29, 3, 0, 1, 0, 90, 1, 1, 1, 1, 0), bgp.CodeOpen, bgp.SubUnsupportedVersion},
		"AS 0":                       {open(func(o *bgp.Open) { o.AS = 0 }), bgp.CodeOpen, bgp.SubBadPeerAS},
		"identifier 0":               {open(func(o *bgp.Open) { o.Identifier = netip.IPv4Unspecified() }), bgp.CodeOpen, bgp.SubBadBGPIdentifier},
		"hold time 2":                {open(func(o *bgp.Open) { o.HoldTime = 2 * time.Second }), bgp.CodeOpen, bgp.SubUnacceptableHoldTime},
		"no hold time":               {open(func(o *bgp.Open) { o.HoldTime = 0 }), bgp.CodeOpen, bgp.SubUnacceptableHoldTime},
		"no family in common":        {open(func(o *bgp.Open) { o.Capabilities = []bgp.Capability{bgp.Multiprotocol(bgp.Family{AFI: 25, SAFI: 70})} }), bgp.CodeOpen, bgp.SubUnsupportedCapability},
		"UPDATE before KEEPALIVE":    {append(bytes.Clone(good), announce(65001, "10.0.0.1", "10.0.0.0/8")...), bgp.CodeFSM, unexpectedInOpenConfirm},
		"two OPENs":                  {append(bytes.Clone(good), good...), bgp.CodeFSM, unexpectedInOpenConfirm},
		"OPEN when up":               {then(good...), bgp.CodeFSM, unexpectedInEstablished},
		"65536 bytes do not exist":   {then(header(2, 10)...), bgp.CodeHeader, bgp.SubBadMessageLength},
		"KEEPALIVE of 20 bytes":      {then(header(4, 20, 0)...), bgp.CodeHeader, bgp.SubBadMessageLength},
		"UPDATE without attributes'": {then(header(2, 25, 0, 9, 0, 0, 0, 0)...), bgp.CodeUpdate, bgp.SubMalformedAttributeList},
		"ROUTE-REFRESH of 24 bytes":  {then(header(5, 24, 0, 1, 0, 1, 7)...), bgp.CodeRouteRefresh, bgp.SubInvalidMessageLength},
	}
	i := 0
	for name, tt := range tests {
		i++
		from := netip.AddrFrom4([4]byte{127, 0, 8, byte(i)}).String()
		t.Run(name, func(t *testing.T) {
			l, err := b.router(from, 65001).dial(t, patience)
			if err != nil {
				t.Fatal(err)
			}
			l.send(tt.say)
			l.ends(tt.code, tt.sub)
		})
	}
	witness.alive()
}

// RFC 8654: more than 4096 bytes only when both sides said so.
func TestMessageSizes(t *testing.T) {
	t.Parallel()
	b := newBench(t, acme("acme", "127.0.1.0/24"))
	b.put(true)
	long := bgp.AppendUpdate(nil, nil, bgp.AppendNextHop(bgp.AppendASPath(bgp.AppendOrigin(nil, 0), 65001), routerID.Next()), bytes.Repeat([]byte{8, 10}, 2100))
	r := b.router("127.0.1.5", 65001)
	l := r.must(t)
	l.send(long)
	l.alive()
	r.from, r.open.Capabilities = "127.0.1.6", r.open.Capabilities[:2]
	l = r.must(t)
	l.send(long)
	l.ends(bgp.CodeHeader, bgp.SubBadMessageLength)
}

// A router that never says anything, or one byte at a time, has its
// connection for a bounded time, and a bounded number of them.
func TestSlowRouters(t *testing.T) {
	t.Parallel()
	b := newBenchWith(t, Options{OpenTimeout: 300 * time.Millisecond, MaxPending: 3}, acme("acme", "127.0.1.0/24"))
	b.put(true)
	silent := make([]*link, 4)
	for i := range silent {
		var err error
		if silent[i], err = b.router("127.0.1.5", 65001).dial(t, patience); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := silent[3].last(); err == nil {
		t.Error("the fourth connection of one source was answered")
	}
	for _, l := range silent[:3] {
		l.ends(bgp.CodeHoldTimer, 0)
	}
	l, err := b.router("127.0.1.6", 65001).dial(t, patience)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan bgp.Notification, 1)
	go func() {
		n, _ := l.last()
		done <- n
	}()
	o := b.router("127.0.1.5", 65001).open
	for _, c := range o.Append(nil) {
		select {
		case n := <-done:
			if n.Code != bgp.CodeHoldTimer {
				t.Errorf("ended with %s", n)
			}
			return
		case <-time.After(50 * time.Millisecond):
			_, _ = l.Write([]byte{c})
		}
	}
	t.Error("one byte at a time was good enough")
}

// holdBench has sessions with the shortest hold time.
func holdBench(t *testing.T, o Options, change func(*control.Customer)) *bench {
	c := acme("acme", "127.0.1.0/24")
	c.HoldTime = api.Duration(3 * time.Second)
	if change != nil {
		change(&c)
	}
	b := newBenchWith(t, o, c)
	b.put(true)
	return b
}

func TestHoldTimer(t *testing.T) {
	t.Parallel()
	b := holdBench(t, Options{}, nil)
	quiet, loud := b.router("127.0.1.5", 65001).must(t), b.router("127.0.1.6", 65001).must(t)
	begin := time.Now()
	done := make(chan bool)
	go func() {
		defer close(done)
		quiet.ends(bgp.CodeHoldTimer, 0)
	}()
	keepalives := 0
	for waiting := true; waiting; {
		select {
		case <-done:
			waiting = false
		default:
			loud.send(bgp.AppendKeepalive(nil))
			if m, err := loud.read(time.Second); err == nil && m.Type == bgp.TypeKeepalive {
				keepalives++
			}
		}
	}
	if d := time.Since(begin); d < 2900*time.Millisecond {
		t.Errorf("the hold timer expired after %v", d)
	}
	if keepalives < 2 {
		t.Errorf("%d keepalives came", keepalives)
	}
	loud.alive()
}

// A router that stops to read delays nobody; it is ended when the Send Hold
// Timer expires (RFC 9687).
func TestReaderThatStops(t *testing.T) {
	t.Parallel()
	b := holdBench(t, Options{SendHold: 500 * time.Millisecond}, nil)
	r := b.router("127.0.1.5", 65001)
	r.rbuf = 4096
	r.must(t).keepUp()
	b.established(1)
	var c *session
	b.eachSession(func(s *session) { c = s })
	// More than a socket takes, as a full table would be.
	c.send(bgp.TypeUpdate, bytes.Repeat(announce(65001, "10.0.0.1", "10.0.0.0/8"), 200_000))
	other := b.router("127.0.1.6", 65001).must(t)
	other.keepUp()
	// Twice the hold time: the router goes on with its KEEPALIVEs.
	b.eventually("the end", func() bool { return b.session("127.0.1.5").LastError != "" })
	if got := b.session("127.0.1.5").LastError; !contains(got, "send hold timer expired") {
		t.Errorf("last error is %q", got)
	}
	other.alive()
}

// Our own pause must not end a session: a router that floods is read at its
// customer's rate and stays.
func TestRateLimit(t *testing.T) {
	t.Parallel()
	b := holdBench(t, Options{}, func(c *control.Customer) { c.Limits.UpdatesPerSecond = 2000 })
	l := b.router("127.0.1.5", 65001).must(t)
	begin := time.Now()
	l.send(many(65001, 12_000)) // 2,000 at once, 10,000 at the rate
	l.send(bgp.AppendKeepalive(nil))
	b.eventually("all routes", func() bool { return b.session("127.0.1.5").Received.Updates == 60 })
	if d := time.Since(begin); d < 4*time.Second {
		t.Errorf("12,000 prefixes took %v", d)
	}
	l.keepUp()
	if s := b.session("127.0.1.5"); s.State != "established" {
		t.Errorf("%+v", s)
	}
	l.alive()
}
