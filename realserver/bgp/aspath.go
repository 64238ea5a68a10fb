package bgp

import "encoding/binary"

// The segment types of AS_PATH (RFC 4271 section 4.3, RFC 5065 section 3).
const (
	segmentSet            = 1
	segmentSequence       = 2
	segmentConfedSequence = 3
	segmentConfedSet      = 4
)

const maxSegment = 255 // AS numbers

// pathInfo is what one walk over a path of 4-octet numbers tells.
type pathInfo struct {
	length   uint32 // RFC 4271 section 9.1.2.2
	first    uint32
	own      bool // contains the own AS
	zero     bool
	confed   bool
	leftmost bool // the first segment that counts was seen
}

// walk checks the syntax of a path (RFC 7606 section 7.2) and says why it is
// malformed.
func (p *pathInfo) walk(v []byte, own uint32) (why string) {
	*p = pathInfo{}
	for len(v) > 0 {
		if len(v) < 2 {
			return "one octet is left over (RFC 7606 section 7.2)"
		}
		kind, n := v[0], int(v[1])
		if n == 0 {
			return "segment without an AS (RFC 7606 section 7.2)"
		}
		if 4*n > len(v)-2 {
			return "segment overruns the attribute (RFC 7606 section 7.2)"
		}
		segment := v[2 : 2+4*n]
		v = v[2+4*n:]
		switch kind {
		case segmentSequence:
			p.length += uint32(n)
			if !p.leftmost {
				p.first = binary.BigEndian.Uint32(segment)
			}
			p.leftmost = true
		case segmentSet:
			p.length++
			p.leftmost = true
		case segmentConfedSequence, segmentConfedSet:
			p.confed = true
		default:
			return "segment type is not known (RFC 7606 section 7.2)"
		}
		for ; len(segment) >= 4; segment = segment[4:] {
			switch binary.BigEndian.Uint32(segment) {
			case 0:
				p.zero = true
			case own:
				p.own = true
			}
		}
	}
	return ""
}

func checkASPath(d *Decoder, v []byte) bool {
	if !d.FourOctetAS {
		d.path = widenPath(d.path[:0], v)
		v = d.path
	}
	why := d.info.walk(v, d.LocalAS)
	switch {
	case why != "":
	case len(v) > 0xffff:
		why = "too long with 4-octet numbers" // never from a peer of good will
	case d.info.zero:
		why = "AS 0 (RFC 7607)"
	case d.info.confed && !d.Internal:
		why = "confederation segment from an external peer (RFC 5065 section 5)"
	}
	if why != "" {
		return d.withdraw(AttrASPath, v, SubMalformedASPath, why)
	}
	d.hasPath, d.rebuild = true, d.rebuild || !d.FourOctetAS
	return true
}

// widenPath rewrites a path of 2-octet numbers with 4-octet ones. What is
// malformed in the one is malformed in the same way in the other.
func widenPath(dst, v []byte) []byte {
	for len(v) >= 2 {
		n := min(int(v[1]), (len(v)-2)/2)
		dst = append(dst, v[0], v[1])
		for i := range n {
			dst = append(dst, 0, 0, v[2+2*i], v[3+2*i])
		}
		overrun := n < int(v[1])
		v = v[2+2*n:]
		if overrun {
			return dst
		}
	}
	return append(dst, v...)
}

// checkAS4Path keeps the path for merging, without the confederation segments
// that it must not have (RFC 6793 sections 3 and 6).
func checkAS4Path(d *Decoder, v []byte) bool {
	if d.FourOctetAS {
		return d.discard(AttrAS4Path, v, "from a peer with 4-octet AS numbers (RFC 6793 section 4.1)")
	}
	var p pathInfo
	if len(v) < 6 || len(v)%2 != 0 {
		return d.discard(AttrAS4Path, v, "length cannot be that of a path (RFC 6793 section 6)")
	}
	if why := p.walk(v, 0); why != "" {
		return d.discard(AttrAS4Path, v, "malformed segments (RFC 6793 section 6)")
	}
	if p.zero {
		return d.discard(AttrAS4Path, v, "AS 0 (RFC 7607)")
	}
	d.as4Path, d.as4Len = v, p.length
	if !p.confed {
		return true
	}
	d.stripped = d.stripped[:0]
	for len(v) > 0 {
		size := 2 + 4*int(v[1])
		if v[0] == segmentSequence || v[0] == segmentSet {
			d.stripped = append(d.stripped, v[:size]...)
		}
		v = v[size:]
	}
	d.as4Path = d.stripped
	return d.discard(AttrAS4Path, v, "confederation segments are discarded (RFC 6793 section 6)")
}

// mergePath reconstructs the path that a peer with 2-octet numbers has split
// into AS_PATH and AS4_PATH (RFC 6793 section 4.2.3): the leading part of the
// first, as much as it is longer, and then the second. Both are valid.
func mergePath(dst, path, as4 []byte, lead uint32) []byte {
	last := -1 // where the last segment begins
	for len(path) > 0 {
		n := int(path[1])
		segment := path[:2+4*n]
		path = path[len(segment):]
		confed := segment[0] == segmentConfedSequence || segment[0] == segmentConfedSet
		switch {
		case confed:
			// Leading, or adjacent to a segment that was taken.
		case lead == 0:
			path = nil
			continue
		case segment[0] == segmentSet:
			lead--
		default:
			n = min(n, int(lead))
			lead -= uint32(n)
		}
		last = len(dst)
		dst = append(dst, segment[0], byte(n))
		dst = append(dst, segment[2:2+4*n]...)
		if n < int(segment[1]) {
			break
		}
	}
	return joinPaths(dst, last, as4)
}

// joinPaths appends a path; two sequences that meet become one if they fit.
func joinPaths(dst []byte, last int, tail []byte) []byte {
	if last >= 0 && len(tail) > 0 && dst[last] == segmentSequence && tail[0] == segmentSequence &&
		int(dst[last+1])+int(tail[1]) <= maxSegment {
		dst[last+1] += tail[1]
		tail = tail[2:]
	}
	return append(dst, tail...)
}
