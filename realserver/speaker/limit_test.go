package speaker

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/realserver/bgp"
	"github.com/peerage/peerage/realserver/speaker/control"
)

// A router that sends 100,000 routes too many ends its own session, or keeps
// what it may have; others do not notice.
func TestMaxPrefixes(t *testing.T) {
	t.Parallel()
	const limit, sent = 1000, 101_000
	for _, action := range []api.MaxPrefixesAction{api.MaxPrefixesClose, api.MaxPrefixesDrop, api.MaxPrefixesWarn} {
		t.Run(string(action), func(t *testing.T) {
			t.Parallel()
			c := acme("acme", "127.0.1.0/24")
			c.MaxPrefixes = &api.MaxPrefixes{Limit: limit, Action: action}
			b := newBench(t, c, acme("other", "127.0.2.0/24"))
			b.put(true)
			witness := b.router("127.0.2.5", 65001).must(t)
			witness.send(announce(65001, "10.9.9.9", "10.7.0.0/16"))
			l := b.router("127.0.1.5", 65001).must(t)
			flood := many(65001, sent)
			_, err := l.Write(flood)
			switch action {
			case api.MaxPrefixesClose:
				if n, err := l.last(); err == nil && (n.Code != bgp.CodeCease || n.Subcode != bgp.SubMaxPrefixes) {
					t.Errorf("ended with %s", n)
				}
				b.eventually("the reason", func() bool { return contains(b.session("127.0.1.5").LastError, "more than 1000 routes") })
			case api.MaxPrefixesDrop:
				b.eventually("what may be", func() bool {
					s := b.session("127.0.1.5")
					return s.Routes["ipv4-unicast"] == limit && s.Dropped == sent-limit
				})
				l.alive()
			case api.MaxPrefixesWarn:
				b.eventually("all", func() bool { return b.session("127.0.1.5").Routes["ipv4-unicast"] == sent })
				l.alive()
			}
			if err != nil && action != api.MaxPrefixesClose {
				t.Error(err)
			}
			if n := strings.Count(b.log.String(), "comes near its greatest number"); n != 1 {
				t.Errorf("%d warnings", n)
			}
			witness.alive()
			if got := lookup(t, b, "10.7.1.1"); len(got) != 1 {
				t.Errorf("the other customer's route: %v", got)
			}
		})
	}
}

// Different attributes for every route are what memory goes for.
func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	c := acme("acme", "127.0.1.0/24")
	c.Limits.MemoryMiB = 1
	b := newBench(t, c, acme("other", "127.0.2.0/24"))
	b.put(true)
	witness := b.router("127.0.2.5", 65001).must(t)
	l := b.router("127.0.1.5", 65001).must(t)
	var flood []byte
	for i := range 20_000 {
		large := bgp.AppendAttribute(nil, bgp.FlagOptional|bgp.FlagTransitive, bgp.AttrCommunities, binary.BigEndian.AppendUint32(make([]byte, 200), uint32(i)))
		attrs := append(bgp.AppendNextHop(bgp.AppendASPath(bgp.AppendOrigin(nil, 0), 65001), netip.MustParseAddr("10.9.9.9")), large...)
		flood = bgp.AppendUpdate(flood, nil, attrs, bgp.AppendPrefix(nil, netip.PrefixFrom(netip.AddrFrom4([4]byte{100, byte(i >> 16), byte(i >> 8), byte(i)}), 32)))
	}
	_, _ = l.Write(flood)
	b.eventually("the reason", func() bool { return contains(b.session("127.0.1.5").LastError, "out of resources", "more than 1 MiB") })
	b.established(1)
	witness.alive()
	b.eventually("memory given back", func() bool { return b.Status().Routes == 0 })
	// It may come again, and keep to the limit.
	l = b.router("127.0.1.5", 65001).must(t)
	l.send(many(65001, 100))
	b.eventually("routes", func() bool { return b.session("127.0.1.5").Routes["ipv4-unicast"] == 100 })
	l.alive()
}

// A lower limit counts for sessions that are up.
func TestLimitsChange(t *testing.T) {
	t.Parallel()
	b := newBench(t, acme("acme", "127.0.1.0/24"))
	b.put(true)
	l := b.router("127.0.1.5", 65001).must(t)
	l.send(many(65001, 500))
	b.eventually("routes", func() bool { return b.session("127.0.1.5").Routes["ipv4-unicast"] == 500 })
	b.cfg.Customers[0].MaxPrefixes = &api.MaxPrefixes{Limit: 400}
	b.put(true)
	l.ends(bgp.CodeCease, bgp.SubMaxPrefixes)
}

// Limits that change while a session joins count for it, too.
func TestLimitsChangeWhileJoining(t *testing.T) {
	t.Parallel()
	b := newBench(t, acme("acme", "127.0.1.0/24"))
	b.cfg.Customers[0].MaxPrefixes = &api.MaxPrefixes{Limit: 1000, Action: api.MaxPrefixesDrop}
	b.put(true)
	// A session before this one that has not left yet: the next one waits for
	// it after it has made its quota.
	peer := netip.MustParseAddr("127.0.1.5")
	before := &record{key: keyOf(pool, netip.AddrPortFrom(netip.MustParseAddr(vipA), b.port), peer)}
	before.turn.Lock()
	b.mu.Lock()
	b.records[before.key] = before
	b.mu.Unlock()
	l := b.router("127.0.1.5", 65001).must(t)
	b.eventually("its KEEPALIVE", func() bool { return b.session("127.0.1.5").Received.Keepalives == 1 })
	b.cfg.Customers = []control.Customer{b.cfg.Customers[0]}
	b.cfg.Customers[0].MaxPrefixes = &api.MaxPrefixes{Limit: 400, Action: api.MaxPrefixesDrop}
	b.put(true)
	before.turn.Unlock()
	l.send(many(65001, 500))
	b.eventually("what may be", func() bool { return b.session("127.0.1.5").Dropped == 100 })
	l.alive()
}

// What was dropped does not come again by itself: it is asked for.
func TestLimitRises(t *testing.T) {
	t.Parallel()
	b := newBench(t, acme("acme", "127.0.1.0/24"))
	b.cfg.Customers[0].MaxPrefixes = &api.MaxPrefixes{Limit: 400, Action: api.MaxPrefixesDrop}
	b.put(true)
	l := b.router("127.0.1.5", 65001).must(t)
	l.send(many(65001, 500))
	b.eventually("what may be", func() bool { return b.session("127.0.1.5").Dropped == 100 })
	b.cfg.Customers = []control.Customer{b.cfg.Customers[0]}
	b.cfg.Customers[0].MaxPrefixes = &api.MaxPrefixes{Limit: 1000, Action: api.MaxPrefixesDrop}
	b.put(true)
	l.until(bgp.TypeRouteRefresh)
	l.send(many(65001, 500))
	b.eventually("all", func() bool { return b.session("127.0.1.5").Routes["ipv4-unicast"] == 500 })
	l.alive()
}

// What was dropped and asked for again is not missing: a session may go on
// that has to end now when there is too much.
func TestLimitRisesAndEndsSessions(t *testing.T) {
	t.Parallel()
	b := newBench(t, acme("acme", "127.0.1.0/24"))
	b.cfg.Customers[0].MaxPrefixes = &api.MaxPrefixes{Limit: 400, Action: api.MaxPrefixesDrop}
	b.put(true)
	l := b.router("127.0.1.5", 65001).must(t)
	l.send(many(65001, 500))
	b.eventually("what may be", func() bool { return b.session("127.0.1.5").Dropped == 100 })
	b.cfg.Customers = []control.Customer{b.cfg.Customers[0]}
	b.cfg.Customers[0].MaxPrefixes = &api.MaxPrefixes{Limit: 1000, Action: api.MaxPrefixesClose}
	b.put(true)
	l.until(bgp.TypeRouteRefresh)
	l.send(many(65001, 500))
	b.eventually("all", func() bool { return b.session("127.0.1.5").Routes["ipv4-unicast"] == 500 })
	l.alive()
	if got := b.session("127.0.1.5").Dropped; got != 100 {
		t.Errorf("%d are counted as dropped, not 100", got)
	}
	l.send(many(65001, 1001))
	l.ends(bgp.CodeCease, bgp.SubMaxPrefixes)
}
