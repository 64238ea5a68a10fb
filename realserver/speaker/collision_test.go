package speaker

import (
	"net/netip"
	"testing"

	"github.com/peerage/peerage/realserver/bgp"
)

// RFC 4271 section 6.8.
func TestCollisions(t *testing.T) {
	t.Parallel()
	b := newBench(t, acme("acme", "127.0.1.0/24"))
	b.put(true)
	tests := map[string]struct {
		from, id string
		firstUp  bool
		survives int
	}{
		"the first is up":           {"127.0.1.1", "10.9.9.9", true, 0},
		"the first is up, lower id": {"127.0.1.2", "10.0.0.1", true, 0},
		"both wait, higher id":      {"127.0.1.3", "10.9.9.9", false, 1},
		"both wait, lower id":       {"127.0.1.4", "10.0.0.1", false, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := b.router(tt.from, 65001)
			r.open.Identifier = netip.MustParseAddr(tt.id)
			var links [2]*link
			for i := range links {
				l, err := r.dial(t, patience)
				if err != nil {
					t.Fatal(err)
				}
				links[i] = l
				l.send(r.open.Append(nil))
				if i == 0 {
					l.until(bgp.TypeKeepalive) // it is in OpenConfirm
					if tt.firstUp {
						l.send(bgp.AppendKeepalive(nil))
						b.eventually("established", func() bool { return b.session(tt.from).State == "established" })
					}
				}
			}
			winner, loser := links[tt.survives], links[1-tt.survives]
			loser.ends(bgp.CodeCease, bgp.SubConnectionCollision)
			winner.limit = bgp.MaxExtendedMessage
			winner.alive()
			b.eventually("established", func() bool { return b.session(tt.from).State == "established" })
			if tt.firstUp { // it is asked whether it is still there
				if n := b.session(tt.from).Sent.Keepalives; n < 2 {
					t.Errorf("%d KEEPALIVEs were sent", n)
				}
			}
			winner.alive()
		})
	}
}

// A router that lost its session without a word is not kept out: the KEEPALIVE
// that its next attempt causes is answered with a RST.
func TestRouterThatForgot(t *testing.T) {
	t.Parallel()
	b := newBench(t, acme("acme", "127.0.1.0/24"))
	b.put(true)
	r := b.router("127.0.1.5", 65001)
	l := r.must(t)
	b.established(1)
	// The router restarts: its end of the connection is gone, and no packet
	// says so.
	forget(t, l)
	_, _ = r.connect(t, patience) // refused, or already taken
	b.eventually("a session again", func() bool {
		l, err := r.connect(t, patience)
		if err == nil {
			l.alive()
		}
		return err == nil
	})
}
