package speaker

import (
	"context"
	"io"
	"log/slog" //nolint:depguard // GoBGP takes no other logger
	"net/netip"
	"testing"

	gobgpapi "github.com/osrg/gobgp/v4/api"
	"github.com/osrg/gobgp/v4/pkg/apiutil"
	gobgp "github.com/osrg/gobgp/v4/pkg/packet/bgp"
	"github.com/osrg/gobgp/v4/pkg/server"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/realserver/bgp"
)

// startGoBGP runs GoBGP with one session to the first VIP.
func (b *bench) startGoBGP(t *testing.T, from, id, key string, as uint32) *server.BgpServer {
	t.Helper()
	s := server.NewBgpServer(server.LoggerOption(slog.New(slog.NewTextHandler(io.Discard, nil)), nil))
	go s.Serve()
	global := &gobgpapi.Global{Asn: as, RouterId: id, ListenPort: -1}
	if err := s.StartBgp(t.Context(), &gobgpapi.StartBgpRequest{Global: global}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	family := func(afi gobgpapi.Family_Afi) *gobgpapi.AfiSafi {
		return &gobgpapi.AfiSafi{Config: &gobgpapi.AfiSafiConfig{Family: &gobgpapi.Family{Afi: afi, Safi: gobgpapi.Family_SAFI_UNICAST}, Enabled: true}}
	}
	peer := &gobgpapi.Peer{
		Conf:         &gobgpapi.PeerConf{NeighborAddress: vipA, PeerAsn: localAS, AuthPassword: key},
		Transport:    &gobgpapi.Transport{LocalAddress: from, RemotePort: uint32(b.port)},
		Timers:       &gobgpapi.Timers{Config: &gobgpapi.TimersConfig{ConnectRetry: 1, IdleHoldTimeAfterReset: 1, HoldTime: 90}},
		EbgpMultihop: &gobgpapi.EbgpMultihop{Enabled: true, MultihopTtl: 64},
		AfiSafis:     []*gobgpapi.AfiSafi{family(gobgpapi.Family_AFI_IP), family(gobgpapi.Family_AFI_IP6)},
	}
	if err := s.AddPeer(t.Context(), &gobgpapi.AddPeerRequest{Peer: peer}); err != nil {
		t.Fatal(err)
	}
	return s
}

// ready tells whether GoBGP's one session is up by its own word, which may be
// later than ours: a path that is added in between it may never send.
func ready(ctx context.Context, s *server.BgpServer) (up bool) {
	_ = s.ListPeer(ctx, &gobgpapi.ListPeerRequest{}, func(p *gobgpapi.Peer) {
		up = p.GetState().GetSessionState() == gobgpapi.PeerState_SESSION_STATE_ESTABLISHED
	})
	return up
}

// add has GoBGP announce a prefix.
func add(t *testing.T, s *server.BgpServer, prefix string) {
	t.Helper()
	nlri, err := gobgp.NewIPAddrPrefix(netip.MustParsePrefix(prefix))
	if err != nil {
		t.Fatal(err)
	}
	hop, err := gobgp.NewPathAttributeNextHop(netip.MustParseAddr("10.9.9.9"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.AddPath(apiutil.AddPathRequest{Paths: []*apiutil.Path{{
		Family: gobgp.RF_IPv4_UC, Nlri: nlri, Attrs: []gobgp.PathAttributeInterface{gobgp.NewPathAttributeOrigin(0), hop},
	}}})
	if err != nil {
		t.Fatal(err)
	}
}

// knows tells whether GoBGP has a prefix from us.
func knows(s *server.BgpServer, prefix string) (found bool) {
	_ = s.ListPath(apiutil.ListPathRequest{TableType: gobgpapi.TableType_TABLE_TYPE_GLOBAL, Family: gobgp.RF_IPv4_UC}, func(p gobgp.NLRI, _ []*apiutil.Path) {
		found = found || p.String() == prefix
	})
	return found
}

// GoBGP as two clients of a reflector, one of them signed.
func TestGoBGP(t *testing.T) {
	t.Parallel()
	c := acme("acme", "127.0.1.0/24", "127.0.2.0/24")
	c.Mode, c.Neighbors[1].MD5Secret = api.CustomerReflect, "a"
	b := newBench(t, c)
	b.secret("a", "sesame")
	b.put(true)
	one, two := b.startGoBGP(t, "127.0.1.20", "10.9.9.1", "", localAS), b.startGoBGP(t, "127.0.2.20", "10.9.9.2", "sesame", localAS)
	b.established(2)
	b.eventually("both GoBGP are ready", func() bool { return ready(t.Context(), one) && ready(t.Context(), two) })
	add(t, one, "10.1.0.0/16")
	b.eventually("the route at the other", func() bool { return knows(two, "10.1.0.0/16") })
	if s := b.session("127.0.2.20"); !s.MD5 || len(s.Families) != 2 {
		t.Errorf("%+v", s)
	}
	if err := one.ShutdownPeer(t.Context(), &gobgpapi.ShutdownPeerRequest{Address: vipA, Communication: "over"}); err != nil {
		t.Fatal(err)
	}
	b.established(1)
	b.eventually("the route is gone", func() bool { return !knows(two, "10.1.0.0/16") })
	want := (&remoteError{bgp.Shutdown(bgp.SubAdministrativeShutdown, "over")}).Error()
	b.eventually("the reason", func() bool { return b.session("127.0.1.20").LastError == want }) // is written last
}
