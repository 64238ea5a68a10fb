package mrt

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
)

// Route is one peer's route to a prefix. Its slices are valid until the next
// one is read.
type Route struct {
	IPv6 bool
	// Prefix is encoded as in an UPDATE: a length and the octets it needs.
	Prefix []byte
	// Peer is the index of the peer in the table of the file.
	Peer int
	// Attributes are encoded; MP_REACH_NLRI may be cut short to the next hop
	// (RFC 6396 section 4.3.4), AS numbers have 4 octets.
	Attributes []byte
}

// Peer is a neighbour of the collector.
type Peer struct {
	Address netip.Addr
	AS      uint32
}

// The record types that are read; all others are skipped.
const (
	typeTableDumpV2  = 13
	subPeerIndex     = 1
	subIPv4Unicast   = 2
	subIPv6Unicast   = 4
	headerLen        = 12
	maxRecord        = 16 << 20 // bounds what a length field may ask for
	peerFlagIPv6     = 1
	peerFlagFourByte = 2
)

// Reader reads the routes of one dump.
type Reader struct {
	in      *bufio.Reader
	offset  int64 // of the record
	buf     []byte
	peers   []Peer
	entries []byte // that are left of the RIB record
	count   int
	route   Route
	seen    bool // the peer index table
}

// NewReader reads from r, which may be compressed with gzip or bzip2.
func NewReader(r io.Reader) (*Reader, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	magic, err := in.Peek(3)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("mrt: %w", err)
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, fmt.Errorf("mrt: %w", err)
		}
		in = bufio.NewReaderSize(z, 64<<10)
	case bytes.HasPrefix(magic, []byte("BZh")):
		in = bufio.NewReaderSize(bzip2.NewReader(in), 64<<10)
	}
	return &Reader{in: in}, nil
}

// Peers lists the peers that the file names, as far as it was read.
func (r *Reader) Peers() []Peer { return r.peers }

// Next gives the next route, or io.EOF. An error names the record.
func (r *Reader) Next() (*Route, error) {
	for r.count == 0 {
		start := r.offset
		if err := r.record(); err != nil {
			if errors.Is(err, io.EOF) {
				return nil, io.EOF
			}
			return nil, fmt.Errorf("mrt: record at byte %d: %w", start, err)
		}
	}
	if err := r.entry(); err != nil {
		return nil, fmt.Errorf("mrt: record before byte %d: %w", r.offset, err)
	}
	return &r.route, nil
}

// record reads the next record.
func (r *Reader) record() error {
	var header [headerLen]byte
	if _, err := io.ReadFull(r.in, header[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return errors.New("the file ends inside a header")
		}
		return err
	}
	kind, sub := binary.BigEndian.Uint16(header[4:]), binary.BigEndian.Uint16(header[6:])
	length := binary.BigEndian.Uint32(header[8:])
	if length > maxRecord {
		return fmt.Errorf("a length of %d bytes; this is no MRT file, or damaged", length)
	}
	r.offset += headerLen + int64(length)
	wanted := kind == typeTableDumpV2 && (sub == subPeerIndex || sub == subIPv4Unicast || sub == subIPv6Unicast)
	if !wanted {
		if _, err := r.in.Discard(int(length)); err != nil {
			return cut(err)
		}
		return nil
	}
	if err := r.fill(int(length)); err != nil {
		return err
	}
	if sub == subPeerIndex {
		return r.peerIndex(r.buf)
	}
	return r.rib(r.buf, sub == subIPv6Unicast)
}

// fill reads n bytes into buf, which grows as they arrive: a length that lies
// must not cost memory.
func (r *Reader) fill(n int) error {
	r.buf = r.buf[:0]
	for len(r.buf) < n {
		from := len(r.buf)
		r.buf = append(r.buf, make([]byte, min(n-from, 64<<10))...)
		if _, err := io.ReadFull(r.in, r.buf[from:]); err != nil {
			return cut(err)
		}
	}
	return nil
}

func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the file ends inside a record")
	}
	return err
}

var errShort = errors.New("a field is longer than the record")

// peerIndex reads a PEER_INDEX_TABLE (section 4.3.1).
func (r *Reader) peerIndex(b []byte) error {
	if len(b) < 6 || len(b) < 8+int(binary.BigEndian.Uint16(b[4:])) {
		return errShort
	}
	b = b[6+binary.BigEndian.Uint16(b[4:]):]
	count := int(binary.BigEndian.Uint16(b))
	b = b[2:]
	r.peers, r.seen = r.peers[:0], true
	for range count {
		if len(b) < 1 {
			return errShort
		}
		address, as := 4, 2
		if b[0]&peerFlagIPv6 != 0 {
			address = 16
		}
		if b[0]&peerFlagFourByte != 0 {
			as = 4
		}
		if len(b) < 5+address+as { // type, BGP identifier
			return errShort
		}
		p := Peer{}
		p.Address, _ = netip.AddrFromSlice(b[5 : 5+address])
		if p.AS = uint32(binary.BigEndian.Uint16(b[5+address:])); as == 4 {
			p.AS = binary.BigEndian.Uint32(b[5+address:])
		}
		r.peers = append(r.peers, p)
		b = b[5+address+as:]
	}
	return nil
}

// rib reads the head of a RIB record (section 4.3.2).
func (r *Reader) rib(b []byte, v6 bool) error {
	if !r.seen {
		return errors.New("a RIB record before the table of peers")
	}
	if len(b) < 5 {
		return errShort
	}
	bits, limit := int(b[4]), 32
	if v6 {
		limit = 128
	}
	n := (bits + 7) / 8
	if bits > limit || len(b) < 5+n+2 {
		return fmt.Errorf("a prefix of %d bits in %d bytes", bits, len(b)-5)
	}
	r.route = Route{IPv6: v6, Prefix: b[4 : 5+n]}
	r.count = int(binary.BigEndian.Uint16(b[5+n:]))
	r.entries = b[7+n:]
	return nil
}

// entry reads the next RIB entry (section 4.3.4).
func (r *Reader) entry() error {
	b := r.entries
	if len(b) < 8 || len(b) < 8+int(binary.BigEndian.Uint16(b[6:])) {
		return errShort
	}
	n := int(binary.BigEndian.Uint16(b[6:]))
	r.route.Peer = int(binary.BigEndian.Uint16(b))
	if r.route.Peer >= len(r.peers) {
		return fmt.Errorf("peer %d is not among the %d of the file", r.route.Peer, len(r.peers))
	}
	r.route.Attributes = b[8 : 8+n]
	r.entries = b[8+n:]
	r.count--
	return nil
}
