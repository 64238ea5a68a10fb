package speaker

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/realserver/bgp"
)

// count reads until n prefixes were announced and not withdrawn.
func (l *link) count(n int) {
	l.t.Helper()
	for have := 0; have < n; {
		m, err := l.read(3 * patience)
		if err != nil {
			l.t.Errorf("%s: %v after %d of %d prefixes", l.LocalAddr(), err, have, n)
			return
		}
		if m.Type != bgp.TypeUpdate {
			continue
		}
		u, err := bgp.DecodeUpdate(m.Body)
		if err != nil {
			l.t.Error(err)
			return
		}
		announced, withdrawn, err := u.Count()
		if err != nil {
			l.t.Error(err)
			return
		}
		have += announced - withdrawn
	}
}

// A receiver that stops to read holds up nobody, and gets the same when it
// reads again.
func TestReflectPastAReaderThatStops(t *testing.T) {
	t.Parallel()
	const routes = 60_000
	c := acme("acme", "127.0.1.0/24")
	c.Mode = api.CustomerReflect
	b := newBench(t, c)
	b.put(true)
	router := func(i byte) router {
		r := b.router(netip.AddrFrom4([4]byte{127, 0, 1, i}).String(), localAS)
		r.open.Identifier = netip.AddrFrom4([4]byte{10, 0, 0, i})
		return r
	}
	stuck := router(9)
	stuck.rbuf = 4096
	sleeper := stuck.must(t)
	good := []*link{router(2).must(t), router(3).must(t)}
	feed := router(1).must(t)
	b.established(4)
	attrs := bgp.AppendNextHop(bgp.AppendASPath(bgp.AppendOrigin(nil, 0)), netip.MustParseAddr("10.9.9.9"))
	var all []byte
	for i := 0; i < routes; {
		var nlri []byte
		for range 20 {
			nlri = bgp.AppendPrefix(nlri, netip.PrefixFrom(netip.AddrFrom4([4]byte{100, byte(i >> 16), byte(i >> 8), byte(i)}), 32))
			i++
		}
		all = bgp.AppendUpdate(all, nil, bgp.AppendMED(bytes.Clone(attrs), uint32(i)), nlri)
	}
	feed.send(all)
	for _, l := range good {
		l.count(routes)
	}
	sleeper.count(routes)
	if s := b.session("127.0.1.9"); s.State != "established" {
		t.Errorf("%+v", s)
	}
	// The feed goes: everybody is told, at their own pace.
	feed.send(bgp.Shutdown(bgp.SubAdministrativeShutdown, "").Append(nil))
	b.established(3)
	for _, l := range append(good, sleeper) {
		gone := 0
		for gone < routes {
			m, err := l.read(patience)
			if err != nil {
				t.Fatalf("%v after %d withdrawals", err, gone)
			}
			if m.Type == bgp.TypeUpdate {
				u, _ := bgp.DecodeUpdate(m.Body)
				_, withdrawn, _ := u.Count()
				gone += withdrawn
			}
		}
	}
}

// FuzzSession sends bytes to a session that is up. Whatever they are: the
// speaker goes on, and takes the same router again.
func FuzzSession(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add(announce(65001, "10.9.9.9", "10.0.0.0/8"))
	f.Add(header(2, 23, 0, 0, 0, 0))
	f.Add(header(2, 30, 0, 0, 0, 7, 0x80, 14, 4, 0, 1, 1, 0))
	f.Add(header(3, 21, 6, 2))
	f.Add(header(5, 23, 0, 1, 2, 1))
	f.Add(header(1, 29, 4, 0xfd, 0xe9, 0, 90, 10, 9, 9, 9, 0))
	f.Add(append(header(4, 19), header(2, 4097)...))
	b := newBench(f, acme("acme", "127.0.1.0/24"))
	b.put(true)
	f.Fuzz(func(t *testing.T, say []byte) {
		b.t = t
		l := b.router("127.0.1.5", 65001).must(t)
		_ = l.SetWriteDeadline(time.Now().Add(patience))
		_, _ = l.Write(say)
		_ = l.Close()
		b.eventually("the end", func() bool { return b.Status().Pools[pool].Sessions == 0 })
	})
}
