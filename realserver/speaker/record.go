package speaker

import (
	"net/netip"
	"slices"
	"sync"
	"time"
	"unique"

	"github.com/peerage/peerage/realserver/bgp"
	"github.com/peerage/peerage/realserver/speaker/control"
)

// recordKey identifies a router at a listener, whatever connection it has.
type recordKey struct {
	door unique.Handle[door] // thousands of routers come through the same one
	peer netip.Addr
}

// door is where routers come in: a listener, as long as it is one pool's.
type door struct {
	pool string
	at   where
}

func keyOf(pool string, at where, peer netip.Addr) recordKey {
	return recordKey{unique.Make(door{pool, at}), peer}
}

func (k recordKey) pool() string { return k.door.Value().pool }
func (k recordKey) at() where    { return k.door.Value().at }

// id names the router's session as control does.
func (k recordKey) id() string {
	return k.pool() + "," + k.at().Addr().String() + "," + k.peer.String()
}

// record is what is known of one router at one listener: its connections, of
// which at most one is up, and how the last one ended.
type record struct {
	key recordKey
	// turn is held while a session is in the exchange: the next one joins
	// when it has left.
	turn sync.Mutex

	mu          sync.Mutex // guards the fields below
	conns       []*session
	flaps       int64
	lastError   string
	lastErrorAt time.Time
	last        *control.Session // as it ended; nil: none did
}

func (r *record) id() string { return r.key.id() }

// collide resolves collisions (RFC 4271 section 6.8) when an OPEN came on s,
// and makes it OpenConfirm. Both connections are of the router's making: that
// it opened another says that it may have forgotten the first.
func (r *record) collide(s *session, a *agreement) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := s.stopped(); err != nil {
		return err
	}
	for _, o := range r.conns {
		switch {
		case o == s:
		case o.now() == established:
			// "A connection collision with an existing BGP connection that is
			// in the Established state causes closing of the newly created
			// connection." A router that forgot the old one answers this
			// KEEPALIVE with a RST: its next attempt is not refused.
			o.sendKeepalive()
			return bgp.Errorf(bgp.CodeCease, bgp.SubConnectionCollision, nil, "another session of the router is up")
		case o.now() == openConfirm && s.n.Load().routerID.Less(a.id):
			// "If the value of the local BGP Identifier is less than the remote
			// one, the local system closes the BGP connection that already
			// exists and accepts the connection initiated by the remote
			// system."
			o.stop(bgp.Errorf(bgp.CodeCease, bgp.SubConnectionCollision, nil, "the router opened another connection"))
		case o.now() == openConfirm:
			return bgp.Errorf(bgp.CodeCease, bgp.SubConnectionCollision, nil, "another connection of the router came first")
		}
	}
	s.agreed.Store(a)
	s.enter(openConfirm)
	return nil
}

// establish makes s Established unless it lost a collision meanwhile.
func (r *record) establish(s *session) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := s.stopped(); err != nil {
		return err
	}
	// The configuration may have changed since the OPENs were compared.
	if why := verdict(s.agreed.Load().under, s.n.Load(), s.as()); why != nil {
		return why
	}
	s.enter(established)
	return nil
}

// remove takes a session off that has ended.
func (r *record) remove(s *session, before phase, why error) {
	last := s.snapshot() // before the lock: it asks the exchange
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns = slices.DeleteFunc(r.conns, func(o *session) bool { return o == s })
	if before == established {
		r.flaps++
	}
	// What became of a connection too many says nothing of the one that is up.
	if before == established || len(r.conns) == 0 {
		r.lastError, r.lastErrorAt = why.Error(), time.Now().UTC()
		r.last = &last
	}
}

// current is the connection that counts: the one that came furthest.
func (r *record) current() *session {
	var best *session
	for _, s := range r.conns {
		if best == nil || s.now() > best.now() {
			best = s
		}
	}
	return best
}

// show is the record as control has it.
func (r *record) show() control.Session {
	r.mu.Lock()
	s := r.current()
	var out control.Session
	if s == nil && r.last != nil {
		out = *r.last
	}
	flaps, lastError, at := r.flaps, r.lastError, r.lastErrorAt
	r.mu.Unlock()
	if s != nil {
		out = s.snapshot()
	}
	out.Flaps, out.LastError, out.LastErrorAt = flaps, lastError, at
	return out
}
