// Package mrttest writes small table dumps for tests.
package mrttest

import (
	"encoding/binary"
	"net/netip"
)

// Entry is one peer's route in a RIB record.
type Entry struct {
	Peer       uint16
	Attributes []byte
}

// AppendRecord appends a record of any type.
func AppendRecord(b []byte, kind, sub uint16, body []byte) []byte {
	b = append(b, 0, 0, 0, 1)
	b = binary.BigEndian.AppendUint16(b, kind)
	b = binary.BigEndian.AppendUint16(b, sub)
	b = binary.BigEndian.AppendUint32(b, uint32(len(body)))
	return append(b, body...)
}

// AppendPeers appends a PEER_INDEX_TABLE; AS numbers above 65535 make the
// entry a wide one.
func AppendPeers(b []byte, view string, as []uint32, addresses ...netip.Addr) []byte {
	body := []byte{10, 0, 0, 9}
	body = binary.BigEndian.AppendUint16(body, uint16(len(view)))
	body = append(body, view...)
	body = binary.BigEndian.AppendUint16(body, uint16(len(addresses)))
	for i, a := range addresses {
		flags := byte(0)
		if a.Is6() {
			flags |= 1
		}
		if as[i] > 0xffff {
			flags |= 2
		}
		body = append(body, flags, 10, 0, 0, byte(i))
		body = append(body, a.AsSlice()...)
		if flags&2 != 0 {
			body = binary.BigEndian.AppendUint32(body, as[i])
		} else {
			body = binary.BigEndian.AppendUint16(body, uint16(as[i]))
		}
	}
	return AppendRecord(b, 13, 1, body)
}

// AppendRIB appends a RIB record for a prefix.
func AppendRIB(b []byte, p netip.Prefix, entries ...Entry) []byte {
	sub := uint16(2)
	if p.Addr().Is6() {
		sub = 4
	}
	body := append([]byte{0, 0, 0, 0, byte(p.Bits())}, p.Addr().AsSlice()[:(p.Bits()+7)/8]...)
	body = binary.BigEndian.AppendUint16(body, uint16(len(entries)))
	for _, e := range entries {
		body = binary.BigEndian.AppendUint16(body, e.Peer)
		body = append(body, 0, 0, 0, 1)
		body = binary.BigEndian.AppendUint16(body, uint16(len(e.Attributes)))
		body = append(body, e.Attributes...)
	}
	return AppendRecord(b, 13, sub, body)
}
