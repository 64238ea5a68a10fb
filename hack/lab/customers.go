package lab

import (
	"fmt"
	"net/netip"

	"github.com/peerage/peerage/hack/lab/router"
)

// longRoute is how many communities one route of each customer has: more than
// fit into a message that is not extended (RFC 8654).
const longRoute = 400

// router is a customer's router and its session.
func (t Topology) router(n Node, bin string) (router.Router, router.Peering) {
	p := router.Peering{
		Dir: n.Dir(), Bin: bin, ID: serialAddr("192.0.2.0", n), Local: n.Data[0].Addr(), Remote: n.VIP, AS: n.AS, RemoteAS: PoolAS, Hold: t.Timers.Hold,
		NextHop4: serialAddr("192.0.2.0", n), NextHop6: serialAddr("2001:db8:2::", n), Announcements: Announcements(n),
	}
	if n.MD5 {
		p.Key = MD5Key
	}
	return n.Router.Router(), p
}

// serial counts the customers from 1.
func (n Node) serial() int { return int(n.AS - CustomerAS) }

// serialAddr is an address with a customer's number in its last byte.
func serialAddr(base string, n Node) netip.Addr {
	raw := netip.MustParseAddr(base).AsSlice()
	raw[len(raw)-1] = byte(n.serial())
	addr, _ := netip.AddrFromSlice(raw)
	return addr
}

// Announcements are the routes of a customer: two of each family, over whatever
// the session runs on. One is long.
func Announcements(n Node) []router.Announcement {
	prefix := func(format string, number int) router.Announcement {
		return router.Announcement{Prefix: netip.MustParsePrefix(fmt.Sprintf(format, number))}
	}
	long := prefix("198.19.%d.0/24", n.serial()%256)
	for i := range longRoute {
		long.LargeCommunities = append(long.LargeCommunities, fmt.Sprintf("%d:%d:%d", n.AS, n.serial(), i+1))
	}
	return []router.Announcement{
		prefix("198.18.%d.0/24", n.serial()%256), long,
		prefix("2001:db8:%x::/48", 0x1000+n.serial()), prefix("2001:db8:%x::/48", 0x2000+n.serial()),
	}
}
