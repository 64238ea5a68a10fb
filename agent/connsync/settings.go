package connsync

import (
	"slices"
	"strconv"
	"time"

	"github.com/peerage/peerage/api"
)

const (
	// minTCPTimeout is enough for any usual hold time with much to spare.
	minTCPTimeout = time.Hour
	// maxHoldTime is the largest of RFC 4271 section 4.2: 16 bits of seconds.
	maxHoldTime = 65535 * time.Second
)

// TCPTimeout is how long the kernel should remember a silent session when the
// hold times are such. The kernel's own 900 s lose a session that is silent for
// longer, on the LB that carries it and on those that hold a copy: a time-out
// starts anew only with a packet of the session.
//
// A session lives while it speaks once in a hold time (RFC 4271 section 6.5),
// so twice the longest one is safe. A hold time of 0 means no keepalives at
// all; such a session may be silent for ever, and gets the longest time-out.
// Should it be forgotten after all, sloppy_tcp finds its server again.
//
// It is not simply always the longest, because with sloppy_tcp any stray packet
// makes an entry, which lives as long.
func TCPTimeout(holds ...time.Duration) time.Duration {
	if slices.Contains(holds, 0) {
		return 2 * maxHoldTime
	}
	longest := minTCPTimeout
	for _, h := range holds {
		longest = max(longest, 2*min(h, maxHoldTime))
	}
	// The kernel counts seconds.
	return longest.Round(time.Second)
}

// Sysctls are the kernel parameters that an LB needs, for hostnet.Sysctls. What
// is said to be measured was measured with 300 sessions on Linux 6.1; the rest
// is from the kernel's Documentation/networking/ipvs-sysctl.rst.
func Sysctls(c api.ConnSync) map[string]string {
	refresh := max(1, int64(time.Duration(c.RefreshPeriod)/time.Second))
	return map[string]string{
		// A session speaks once in 30 or 60 s. The default "3 50" sends its
		// entry again after 50 packets, 25 to 50 minutes, while the copies
		// live 15: 147 of 300 sessions survived the loss of an LB. With period
		// 0 every packet qualifies, but for the refresh period, which alone
		// does nothing: 300 of 300.
		"net.ipv4.vs.sync_threshold":      "0 0",
		"net.ipv4.vs.sync_refresh_period": strconv.FormatInt(refresh, 10),
		// Version 1 carries IPv6 and time-outs.
		"net.ipv4.vs.sync_version": "1",
		// 1 would keep a node that runs a backup daemon from balancing; every
		// LB is master and backup at once.
		"net.ipv4.vs.backup_only": "0",

		// An LB that gets a packet of a session it has no entry of gives it to
		// the server that the table names, instead of letting its own stack
		// reset it: with equal tables 300 of 300 sessions survived without any
		// sync.
		"net.ipv4.vs.sloppy_tcp": "1",
		// The sessions of a destination that was deleted end at once, so that
		// the customer can connect elsewhere; with 0 they stall until the hold
		// time is over. It also lets a new connection from an old port leave a
		// server at weight 0.
		"net.ipv4.vs.expire_nodest_conn": "1",
		// 1: a new connection from the port of one that ended is scheduled
		// anew. 2: also after FIN, which is the last that an LB in direct
		// return sees. So a customer that reconnects follows the table of now.
		// It has the cost of a second's delay only where conntrack is 1.
		"net.ipv4.vs.conn_reuse_mode": "3",
		// An ICMP error may reach an LB that does not carry the session; it
		// goes where the table sends the session: 40 of 40 transfers survived
		// a smaller path MTU, 31 of 40 without.
		"net.ipv4.vs.schedule_icmp": "1",
		// No conntrack of our own: a stateful firewall broke 40 of 40 connects
		// with 1. A kernel without the option has no parameter.
		"-net.ipv4.vs.conntrack": "0",

		// Defence against floods by dropping entries, packets or the long
		// time-outs: here the entries are the service.
		"net.ipv4.vs.drop_entry":  "0",
		"net.ipv4.vs.drop_packet": "0",
		"net.ipv4.vs.secure_tcp":  "0",
	}
}
