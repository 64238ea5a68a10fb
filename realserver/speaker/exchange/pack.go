package exchange

import (
	"encoding/binary"
	"net/netip"

	"github.com/peerage/peerage/realserver/bgp"
	"github.com/peerage/peerage/realserver/rib"
)

// segment is messages of an update group, one after the other. It does not
// change once it is published but for next, which d.mu guards. Who follows
// holds the last segment it has taken; the collector frees those before.
type segment struct {
	next      *segment
	data      []byte
	spans     []span
	announced int64 // prefixes
}

// span is a part of a segment that is not for all: for all but one peer, or
// for that one only. Spans are in order and do not overlap.
type span struct {
	peer       rib.PeerID
	only       bool
	start, end int
	announced  int64
}

// segmentSize is about the bytes of a segment, whole messages.
const segmentSize = 64 << 10

// packer makes messages. Its memory is used again.
type packer struct {
	sets                  *rib.Sets
	buf                   []byte
	out                   []*segment
	spans                 []span
	total                 int64 // prefixes announced in buf
	whole, set, two, nlri []byte

	packed, messages, bytes int64
}

// form is what the peers' session decides of messages.
type form struct {
	family     bgp.Family
	local      netip.Addr
	fourOctets bool
	limit      int
}

func (k *groupKey) form(f bgp.Family) form {
	limit := bgp.MaxMessage
	if k.extended {
		limit = bgp.MaxExtendedMessage
	}
	return form{f, k.local, k.fourOctetAS, limit}
}

// reflect appends announcements as a reflector sends them (RFC 4456). What
// does not fit into a message of the peers is withdrawn from them (RFC 8654
// section 4).
func reflect[K rib.Key[K]](k *packer, f form, attr rib.AttrID, from [4]byte, changes []rib.Change[K]) {
	hop, canonical := splitKey(k.whole[:0], k.sets.Bytes(attr))
	k.whole = canonical
	if len(hop) == 32 {
		hop = hop[:16] // the link-local one has no meaning on another link
	}
	k.set = bgp.AppendReflected(k.set[:0], canonical, netip.AddrFrom4(from), f.local)
	announce(k, f, hop, k.set, changes)
}

func announce[K rib.Key[K]](k *packer, f form, hop, set []byte, changes []rib.Change[K]) {
	if !f.fourOctets {
		k.two = bgp.AppendTwoOctet(k.two[:0], set)
		set = k.two
	}
	p, err := bgp.NewPacker(k.buf, f.family, set, hop, f.limit)
	if err != nil {
		withdraw(k, f, changes, func(*rib.Change[K]) bool { return true })
		return
	}
	for i := range changes {
		k.nlri = changes[i].Key.AppendNLRI(k.nlri[:0])
		p.Add(k.nlri)
	}
	k.buf = p.Finish()
	k.total += int64(len(changes))
}

// withdraw appends withdrawals of those changes that need one.
func withdraw[K rib.Key[K]](k *packer, f form, changes []rib.Change[K], needs func(*rib.Change[K]) bool) {
	p := bgp.NewWithdrawer(k.buf, f.family, f.limit)
	for i := range changes {
		if needs(&changes[i]) {
			k.nlri = changes[i].Key.AppendNLRI(k.nlri[:0])
			p.Add(k.nlri)
		}
	}
	k.buf = p.Finish()
}

// mayGo tells whether routes of a source go to the members of a group: from a
// client to all, from others to clients only (RFC 4456 section 6).
func (g *group) mayGo(s source) bool { return s.client || g.client }

// pack makes the segments of a group from a round.
func pack[K rib.Key[K]](k *packer, g *group, sources map[rib.PeerID]source, r *round[K], f bgp.Family) []*segment {
	form := g.form(f)
	k.out, k.spans, k.buf, k.total = nil, k.spans[:0], k.buf[:0], 0
	for i := 0; i < len(r.runs); {
		// The runs of one source make one span.
		j := i
		start, before := len(k.buf), k.total
		from := sources[r.runs[i].peer]
		for ; j < len(r.runs) && r.runs[j].peer == r.runs[i].peer && len(k.buf) < segmentSize; j++ {
			packRun(k, g, form, sources, from, &r.runs[j], r.sorted)
		}
		if from.group == g && len(k.buf) > start {
			k.spans = append(k.spans, span{r.runs[i].peer, false, start, len(k.buf), k.total - before})
		}
		if from.group == g {
			packOwn(k, g, form, sources, r.runs[i:j], r.sorted)
		}
		if len(k.buf) >= segmentSize {
			k.cut()
		}
		i = j
	}
	k.cut()
	return k.out
}

func packRun[K rib.Key[K]](k *packer, g *group, f form, sources map[rib.PeerID]source, from source, r *run, sorted []rib.Change[K]) {
	changes := sorted[r.start:r.end]
	if r.attr != 0 && g.mayGo(from) {
		reflect(k, f, r.attr, from.id, changes)
		return
	}
	withdraw(k, f, changes, func(c *rib.Change[K]) bool {
		return c.Seen || c.Prev != 0 && g.mayGo(sources[c.Prev])
	})
}

// packOwn withdraws from a member what it is now the source of itself, if it
// had that from somebody else before.
func packOwn[K rib.Key[K]](k *packer, g *group, f form, sources map[rib.PeerID]source, runs []run, sorted []rib.Change[K]) {
	start := len(k.buf)
	for i := range runs {
		r := &runs[i]
		if r.attr == 0 && !r.seen {
			continue
		}
		withdraw(k, f, sorted[r.start:r.end], func(c *rib.Change[K]) bool {
			return c.Seen || c.Prev != 0 && c.Prev != r.peer && g.mayGo(sources[c.Prev])
		})
	}
	if len(k.buf) > start {
		k.spans = append(k.spans, span{runs[0].peer, true, start, len(k.buf), 0})
	}
}

// cut makes a segment of what is in the buffer.
func (k *packer) cut() {
	if len(k.buf) == 0 {
		return
	}
	s := &segment{data: append(make([]byte, 0, len(k.buf)), k.buf...), announced: k.total}
	if len(k.spans) > 0 {
		s.spans = append(make([]span, 0, len(k.spans)), k.spans...)
	}
	k.packed += k.total
	k.bytes += int64(len(k.buf))
	for i := 0; i < len(k.buf); i += int(binary.BigEndian.Uint16(k.buf[i+16:])) {
		k.messages++
	}
	k.out = append(k.out, s)
	k.spans, k.buf, k.total = k.spans[:0], k.buf[:0], 0
}

// pieces appends what of the segment is for a peer, and counts the prefixes.
func (s *segment) pieces(dst [][]byte, id rib.PeerID) ([][]byte, int64) {
	at, announced := 0, s.announced
	for _, sp := range s.spans {
		if sp.only == (sp.peer == id) {
			continue
		}
		if sp.start > at {
			dst = append(dst, s.data[at:sp.start])
		}
		at = sp.end
		announced -= sp.announced
	}
	if at < len(s.data) {
		dst = append(dst, s.data[at:])
	}
	return dst, announced
}
