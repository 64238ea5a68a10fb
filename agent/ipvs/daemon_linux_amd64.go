package ipvs

import (
	"context"
	"errors"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

func (c *client) daemons(ctx context.Context) (list []Daemon, err error) {
	err = c.dump(ctx, cmdGetDaemon, func() { list = list[:0] }, func(msg []byte) {
		for kind, body := range attributes(msg) {
			if kind != attrDaemon {
				continue
			}
			var d Daemon
			for kind, v := range attributes(body) {
				switch kind {
				case daemonState:
					d.Role = DaemonRole(number(v))
				case daemonInterface:
					d.Interface = text(v)
				case daemonSync:
					d.ID = uint8(number(v))
				}
			}
			list = append(list, d)
		}
	})
	return list, err
}

func (c *client) startDaemon(ctx context.Context, d Daemon) error {
	a := nl.NewRtAttr(attrDaemon|unix.NLA_F_NESTED, nil)
	a.AddRtAttr(daemonState, nl.Uint32Attr(uint32(d.Role)))
	a.AddRtAttr(daemonInterface, nl.ZeroTerminated(d.Interface))
	a.AddRtAttr(daemonSync, nl.Uint32Attr(uint32(d.ID)))
	return c.do(ctx, cmdNewDaemon, unix.NLM_F_ACK, nil, a)
}

func (c *client) stopDaemon(ctx context.Context, role DaemonRole) error {
	a := nl.NewRtAttr(attrDaemon|unix.NLA_F_NESTED, nil)
	a.AddRtAttr(daemonState, nl.Uint32Attr(uint32(role)))
	return c.do(ctx, cmdDelDaemon, unix.NLM_F_ACK, nil, a)
}

func (c *client) timeouts(ctx context.Context) (t Timeouts, err error) {
	answered := false
	err = c.do(ctx, cmdGetConfig, 0, func(msg []byte) {
		for kind, v := range attributes(msg) {
			seconds := time.Duration(number(v)) * time.Second
			switch kind {
			case attrTCP:
				t.TCP, answered = seconds, true
			case attrTCPFin:
				t.TCPFin = seconds
			case attrUDP:
				t.UDP = seconds
			}
		}
	})
	if err == nil && !answered {
		err = errors.New("the kernel told no IPVS time-outs")
	}
	return t, err
}

// setTimeouts sends all three: the kernel takes 0 for "as it is".
func (c *client) setTimeouts(ctx context.Context, t Timeouts) error {
	seconds := func(d time.Duration) []byte { return nl.Uint32Attr(uint32(d / time.Second)) }
	return c.do(ctx, cmdSetConfig, unix.NLM_F_ACK, nil,
		nl.NewRtAttr(attrTCP, seconds(t.TCP)), nl.NewRtAttr(attrTCPFin, seconds(t.TCPFin)), nl.NewRtAttr(attrUDP, seconds(t.UDP)))
}
