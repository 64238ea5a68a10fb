package ipvs

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// The protocol of linux/ip_vs.h.
const (
	familyName = "IPVS"

	cmdGetService = 4
	cmdGetDest    = 8
	cmdNewDaemon  = 9
	cmdDelDaemon  = 10
	cmdGetDaemon  = 11
	cmdSetConfig  = 12
	cmdGetConfig  = 13

	attrService, attrDest, attrDaemon        = 1, 2, 3
	attrTCP, attrTCPFin, attrUDP             = 4, 5, 6
	serviceFamily, serviceProtocol           = 1, 2
	serviceAddr, servicePort, serviceMark    = 3, 4, 5
	serviceScheduler, serviceFlags           = 6, 7
	serviceTimeout, serviceNetmask           = 8, 9
	serviceEngine                            = 11
	destAddr, destPort, destForward          = 1, 2, 3
	destWeight, destUpper, destLower         = 4, 5, 6
	destActive, destInactive, destFamily     = 7, 8, 11
	destStats64, destTunnel                  = 12, 13
	statConns, statInPackets, statInBytes    = 1, 2, 4
	daemonState, daemonInterface, daemonSync = 1, 2, 3

	// headerLen is the generic netlink header before the attributes.
	headerLen = 4
	// dumpAttempts bounds how often a list is read again because the kernel
	// changed it meanwhile.
	dumpAttempts = 5
)

// client reads IPVS, and talks to its sync daemons, by generic netlink.
type client struct {
	timeout time.Duration
	// interrupted counts lists that were read again.
	interrupted atomic.Int64

	mu     sync.Mutex // one exchange at a time; guards the fields below
	socket *nl.SocketHandle
	family int
}

// do sends one request and hands each reply's attributes to fn.
func (c *client) do(ctx context.Context, command uint8, flags int, fn func(attributes []byte), attrs ...*nl.RtAttr) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := errors.Join(ctx.Err(), c.open()); err != nil {
		return err
	}
	limit := c.timeout
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, max(time.Until(deadline), time.Millisecond))
	}
	tv := unix.NsecToTimeval(limit.Nanoseconds())
	if err := errors.Join(c.socket.Socket.SetSendTimeout(&tv), c.socket.Socket.SetReceiveTimeout(&tv)); err != nil {
		return err
	}
	request := nl.NewNetlinkRequest(c.family, flags)
	request.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_GENERIC: c.socket}
	request.AddData(&nl.Genlmsg{Command: command, Version: 1})
	for _, a := range attrs {
		request.AddData(a)
	}
	err := request.ExecuteIter(unix.NETLINK_GENERIC, 0, func(msg []byte) bool {
		if fn != nil && len(msg) >= headerLen {
			fn(msg[headerLen:])
		}
		return true
	})
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		// What is left in the socket would answer the next request, and a
		// module that was loaded anew has another number.
		c.shut()
		if errors.Is(err, unix.EAGAIN) {
			err = ErrTimeout
		}
	}
	return err
}

// dump reads a list; begin is called before every attempt.
func (c *client) dump(ctx context.Context, command uint8, begin func(), fn func([]byte), attrs ...*nl.RtAttr) error {
	var err error
	for range dumpAttempts {
		begin()
		if err = c.do(ctx, command, unix.NLM_F_DUMP, fn, attrs...); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return err
		}
		c.interrupted.Add(1)
	}
	return fmt.Errorf("the list changed during each of %d readings: %w", dumpAttempts, err)
}

// open makes the socket, in the network namespace of the calling thread.
func (c *client) open() error {
	if c.socket != nil {
		return nil
	}
	f, err := netlink.GenlFamilyGet(familyName)
	if err != nil {
		return fmt.Errorf("open IPVS: %w; is the module ip_vs loaded?", err)
	}
	s, err := nl.GetNetlinkSocketAt(-1, -1, unix.NETLINK_GENERIC)
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	c.socket, c.family = &nl.SocketHandle{Socket: s}, int(f.ID)
	return nil
}

func (c *client) shut() {
	if c.socket != nil {
		c.socket.Close()
		c.socket = nil
	}
}

func (c *client) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shut()
}

// services lists every service, without destinations.
func (c *client) services(ctx context.Context) (list []Service, err error) {
	err = c.dump(ctx, cmdGetService, func() { list = list[:0] }, func(msg []byte) {
		for kind, body := range attributes(msg) {
			if kind == attrService {
				list = append(list, parseService(body))
			}
		}
	})
	return list, err
}

// destinations lists the destinations of a service, the newest first. Those of
// a service that is not there are none.
func (c *client) destinations(ctx context.Context, k Key) (list []Destination, err error) {
	err = c.dump(ctx, cmdGetDest, func() { list = list[:0] }, func(msg []byte) {
		for kind, body := range attributes(msg) {
			if kind == attrDest {
				list = append(list, parseDestination(body, k.IPv6))
			}
		}
	}, keyAttr(k))
	return list, err
}

func keyAttr(k Key) *nl.RtAttr {
	af := uint16(unix.AF_INET)
	if k.IPv6 {
		af = unix.AF_INET6
	}
	a := nl.NewRtAttr(attrService|unix.NLA_F_NESTED, nil)
	a.AddRtAttr(serviceFamily, nl.Uint16Attr(af))
	if k.Mark != 0 {
		a.AddRtAttr(serviceMark, nl.Uint32Attr(k.Mark))
		return a
	}
	a.AddRtAttr(serviceProtocol, nl.Uint16Attr(k.Protocol))
	a.AddRtAttr(serviceAddr, k.Addr.Addr().AsSlice())
	a.AddRtAttr(servicePort, binary.BigEndian.AppendUint16(nil, k.Addr.Port()))
	return a
}

// attributes yields type and content of each netlink attribute; it ends at the
// first that is malformed.
func attributes(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= unix.NLA_HDRLEN {
			n := int(binary.NativeEndian.Uint16(b))
			kind := binary.NativeEndian.Uint16(b[2:]) & nl.NLA_TYPE_MASK
			if n < unix.NLA_HDRLEN || n > len(b) || !yield(kind, b[unix.NLA_HDRLEN:n]) {
				return
			}
			b = b[min((n+unix.NLA_ALIGNTO-1)&^(unix.NLA_ALIGNTO-1), len(b)):]
		}
	}
}

func parseService(body []byte) Service {
	var s Service
	var addr, netmask []byte
	var port uint16
	for kind, v := range attributes(body) {
		switch kind {
		case serviceFamily:
			s.IPv6 = number(v) == unix.AF_INET6
		case serviceProtocol:
			s.Protocol = uint16(number(v))
		case serviceAddr:
			addr = v
		case servicePort:
			port = bigEndian16(v)
		case serviceMark:
			s.Mark = uint32(number(v))
		case serviceScheduler:
			s.Scheduler = text(v)
		case serviceFlags:
			if len(v) >= 4 {
				s.Flags = uint32(number(v[:4])) &^ flagHashed
			}
		case serviceTimeout:
			s.Timeout = uint32(number(v))
		case serviceNetmask:
			netmask = v
		case serviceEngine:
			s.Engine = text(v)
		}
	}
	if s.Mark == 0 {
		s.Addr = netip.AddrPortFrom(parseAddr(addr, s.IPv6), port)
	}
	s.MaskBits = int(number(netmask))
	if !s.IPv6 {
		s.MaskBits = 0
		for _, b := range netmask {
			for ; b != 0; b <<= 1 {
				s.MaskBits++
			}
		}
	}
	return s
}

func parseDestination(body []byte, ipv6 bool) Destination {
	var d Destination
	var addr []byte
	var port uint16
	for kind, v := range attributes(body) {
		switch kind {
		case destAddr:
			addr = v
		case destPort:
			port = bigEndian16(v)
		case destFamily:
			ipv6 = number(v) == unix.AF_INET6
		case destForward:
			d.Forward = uint32(number(v)) & forwardMask
		case destWeight:
			d.Weight = int(int32(number(v)))
		case destUpper:
			d.Upper = uint32(number(v))
		case destLower:
			d.Lower = uint32(number(v))
		case destActive:
			d.Counters.ActiveConns = number(v)
		case destInactive:
			d.Counters.InactiveConns = number(v)
		case destTunnel:
			d.Tunnel = uint8(number(v))
		case destStats64:
			for kind, n := range attributes(v) {
				switch kind {
				case statConns:
					d.Counters.Connections = number(n)
				case statInPackets:
					d.Counters.InPackets = number(n)
				case statInBytes:
					d.Counters.InBytes = number(n)
				}
			}
		}
	}
	d.Addr = netip.AddrPortFrom(parseAddr(addr, ipv6), port)
	return d
}

// number reads an integer of the host's byte order, 1 to 8 bytes long.
func number(v []byte) uint64 {
	switch len(v) {
	case 1:
		return uint64(v[0])
	case 2:
		return uint64(binary.NativeEndian.Uint16(v))
	case 4:
		return uint64(binary.NativeEndian.Uint32(v))
	case 8:
		return binary.NativeEndian.Uint64(v)
	}
	return 0
}

func bigEndian16(v []byte) uint16 {
	if len(v) < 2 {
		return 0
	}
	return binary.BigEndian.Uint16(v)
}

// parseAddr reads an address; the kernel uses 16 bytes for either family.
func parseAddr(v []byte, ipv6 bool) netip.Addr {
	if !ipv6 && len(v) >= 4 {
		v = v[:4]
	}
	a, _ := netip.AddrFromSlice(v)
	return a
}

func text(v []byte) string {
	for i, b := range v {
		if b == 0 {
			return string(v[:i])
		}
	}
	return string(v)
}
