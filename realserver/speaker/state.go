package speaker

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"github.com/peerage/peerage/realserver/speaker/control"
	"github.com/peerage/peerage/realserver/speaker/exchange"
)

// stateVersion is the version of the encoding of a State. It grows when a
// reader of the old one would go wrong, or refuse it: 2 has Digests.
const stateVersion = 2

// State is all of one session that another process or machine needs to go on
// with it: nothing that a session knows is anywhere else, but for its routes,
// which are in the exchange, and its socket, which is the kernel's.
type State struct {
	Version  int            `json:"version"`
	Pool     string         `json:"pool"`
	Customer string         `json:"customer"`
	VIP      netip.AddrPort `json:"vip"`
	Peer     netip.AddrPort `json:"peer"`
	// MD5Secret names the key that the neighbour has now; Signed tells whether
	// the connection is signed at all.
	MD5Secret string `json:"md5Secret,omitempty"`
	Signed    bool   `json:"signed"`

	Phase string    `json:"phase"`
	Since time.Time `json:"since"`
	// OpenSent is our OPEN, a whole message; OpenReceived theirs, without its
	// header. What was negotiated follows from both, and stands in Agreed so
	// that the new owner can tell that it comes to the same.
	OpenSent     []byte `json:"openSent,omitempty"`
	OpenReceived []byte `json:"openReceived,omitempty"`
	Agreed       Agreed `json:"agreed,omitzero"`

	// HoldLeft and KeepaliveIn are what is left on the timers.
	HoldLeft    time.Duration `json:"holdLeft,omitempty"`
	KeepaliveIn time.Duration `json:"keepaliveIn,omitempty"`

	// Input is what came and is not handled: at most part of a message.
	Input []byte `json:"input,omitempty"`
	// Output is what the kernel did not take yet; it may begin within a
	// message.
	Output []byte `json:"output,omitempty"`

	Received control.MessageCount `json:"received"`
	Sent     control.MessageCount `json:"sent"`
	// Advertised counts the prefixes announced since the session began. The
	// new owner announces all again and ends with End-of-RIB: it needs no list.
	Advertised int64 `json:"advertised,omitempty"`
	// Digests are, by family, of what the router has once everything that is
	// due has been sent: the new owner tells by them, in the same way, that it
	// would have the router know the same. The sum of a family is that of the
	// SHA-256 of each route, in any order, as four big-endian numbers of 64 bits
	// that overflow, each for itself; a route is its prefix as in an UPDATE, and
	// the SHA-256 of the length of the next hop (a byte), the next hop and the
	// attributes in the order of their types, with AS numbers of 4 bytes.
	Digests map[string]RouteDigest `json:"digests,omitempty"`
}

// RouteDigest sums up the routes of one family.
type RouteDigest struct {
	Prefixes int64  `json:"prefixes"`
	Sum      string `json:"sum"` // hexadecimal
}

// Agreed is what was negotiated.
type Agreed struct {
	AS              uint32        `json:"as"`
	RouterID        netip.Addr    `json:"routerID"`
	HoldTime        time.Duration `json:"holdTime"`
	Families        []string      `json:"families"`
	FourOctetAS     bool          `json:"fourOctetAS"`
	ExtendedMessage bool          `json:"extendedMessage"`
	RouteRefresh    bool          `json:"routeRefresh"`
	EnhancedRefresh bool          `json:"enhancedRefresh"`
}

// Encode writes a state.
func (st *State) Encode() ([]byte, error) {
	st.Version = stateVersion
	raw, err := json.Marshal(st)
	if err != nil {
		return nil, fmt.Errorf("state of the session of %s: %w", st.Peer, err)
	}
	return raw, nil
}

// DecodeState reads a state. One that a newer program wrote is refused: what
// it means is not known here.
func DecodeState(raw []byte) (*State, error) {
	var version struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(raw, &version); err != nil {
		return nil, fmt.Errorf("state of a session: %w", err)
	}
	if version.Version < 1 || version.Version > stateVersion {
		return nil, fmt.Errorf("state of a session: version %d is not known, only 1 to %d; upgrade the speaker", version.Version, stateVersion)
	}
	st := &State{}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(st); err != nil {
		return nil, fmt.Errorf("state of a session: %w", err)
	}
	return st, nil
}

// Capture has a session write down its state, between two messages. What it
// has advertised is summed up after that, beside the session: a table is walked
// for it.
func (s *Speaker) Capture(ctx context.Context, id string) (*State, error) {
	r, err := s.lookup(id)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	c := r.current()
	r.mu.Unlock()
	if c == nil {
		return nil, fmt.Errorf("session %s is not up: %w", id, control.ErrNotFound)
	}
	answer := make(chan *State, 1)
	ended := fmt.Errorf("session %s ended: %w", id, control.ErrNotFound)
	if !c.asked.CompareAndSwap(nil, &answer) {
		if c.now() == idle {
			return nil, ended
		}
		return nil, fmt.Errorf("session %s: its state is being asked for already", id)
	}
	defer c.asked.CompareAndSwap(&answer, nil)
	c.interrupt()
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("session %s: %w", id, ctx.Err())
	case st, ok := <-answer:
		if !ok {
			return nil, ended
		}
		if err := st.sumUp(ctx, c.exchange.Load()); err != nil {
			return nil, fmt.Errorf("session %s: %w", id, err)
		}
		return st, nil
	}
}

// sumUp adds the digests of a session that has joined.
func (st *State) sumUp(ctx context.Context, p *exchange.Peer) error {
	if p == nil {
		return nil
	}
	digests, err := p.Digests(ctx)
	if err != nil {
		return err
	}
	st.Digests = map[string]RouteDigest{}
	for f, d := range digests {
		st.Digests[f.String()] = RouteDigest{d.Prefixes, d.String()}
	}
	return nil
}

// answer gives the state to who asked.
func (s *session) answer() {
	if ask := s.asked.Swap(nil); ask != nil {
		*ask <- s.capture()
	}
}

// dismiss has nobody wait for the state of a session that ended.
func (s *session) dismiss() {
	if ask := s.asked.Swap(&s.sp.nobody); ask != nil {
		close(*ask)
	}
}

// capture is called by the session's goroutine.
func (s *session) capture() *State {
	n, now := s.n.Load(), time.Now()
	st := &State{
		Version: stateVersion, Pool: n.pool, Customer: n.customer, VIP: s.rec.key.at(), Peer: netip.AddrPortFrom(s.rec.key.peer, s.port),
		MD5Secret: n.secret, Signed: s.md5, Phase: s.now().String(), Since: time.Unix(0, s.since.Load()).UTC(),
		Received: s.received.show(), Sent: s.sent.show(), Output: s.unsent(),
	}
	if s.ours != nil {
		st.OpenSent = s.ours.Append(nil)
	}
	if hold := s.hold.Load(); hold > 0 {
		st.HoldLeft = max(0, time.Unix(0, s.heard.Load()+hold).Sub(now))
	}
	if s.every.Load() > 0 {
		st.KeepaliveIn = max(0, time.Unix(0, s.keepaliveAt.Load()).Sub(now))
	}
	st.Input = bytes.Clone(s.in.partial)
	if b := s.in.buf; b != nil {
		st.Input = bytes.Clone(b.data[b.r:b.w])
	}
	if a := s.agreed.Load(); a != nil {
		st.OpenReceived = a.theirs
		st.Agreed = Agreed{
			AS: a.as, RouterID: a.id, HoldTime: a.hold, FourOctetAS: a.fourOctetAS, ExtendedMessage: a.extended,
			RouteRefresh: a.refresh, EnhancedRefresh: a.enhanced,
		}
		for _, f := range a.families.List() {
			st.Agreed.Families = append(st.Agreed.Families, f.String())
		}
	}
	if p := s.exchange.Load(); p != nil {
		st.Advertised = p.Counts().Advertised
	}
	return st
}

// unsent is what waits to be written. While a writer is at work its batch is
// its own: what it has is not told, and a state to go on with is only taken of
// a session that rests.
func (s *session) unsent() []byte {
	o := &s.out
	o.mu.Lock()
	defer o.mu.Unlock()
	return bytes.Clone(o.queue)
}
