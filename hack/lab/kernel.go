package lab

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// KernelTable renders /proc/net/ip_vs: the services of the VIPs, each followed
// by its destinations in the order in which they were added, with weights. That
// is what ipvsadm hides by sorting, and what mh's table depends on. The kernel
// adds at the head of its list, so that the file is read backwards.
func KernelTable(proc string, vips []netip.Addr) string {
	type service struct {
		head  string
		dests []string
	}
	var services []service
	ours := false
	for line := range strings.Lines(proc) {
		f := strings.Fields(line)
		switch {
		case len(f) >= 3 && f[0] == "TCP":
			addr, ok := procAddr(f[1])
			ours = ok && slices.Contains(vips, addr.Addr())
			if ours {
				services = append(services, service{head: addr.String() + " " + strings.Join(f[2:], " ")})
			}
		case len(f) >= 4 && f[0] == "->" && ours:
			if addr, ok := procAddr(f[1]); ok {
				last := &services[len(services)-1]
				last.dests = append(last.dests, fmt.Sprintf("  %s %s %s", addr, f[2], f[3]))
			}
		case len(f) > 0 && f[0] != "->":
			ours = false
		}
	}
	slices.SortFunc(services, func(a, b service) int { return strings.Compare(a.head, b.head) })
	var b strings.Builder
	for _, s := range services {
		slices.Reverse(s.dests)
		b.WriteString(s.head + "\n" + strings.Join(append(s.dests, ""), "\n"))
	}
	return b.String()
}

// procAddr reads an address as /proc/net/ip_vs writes it: CB0071B3:00B3 or
// [2001:0db8:…]:00B3.
func procAddr(text string) (netip.AddrPort, bool) {
	i := strings.LastIndexByte(text, ':')
	if i < 0 {
		return netip.AddrPort{}, false
	}
	port, err := hex.DecodeString(text[i+1:])
	if err != nil || len(port) != 2 {
		return netip.AddrPort{}, false
	}
	var addr netip.Addr
	if host := text[:i]; strings.HasPrefix(host, "[") {
		if addr, err = netip.ParseAddr(strings.Trim(host, "[]")); err != nil {
			return netip.AddrPort{}, false
		}
	} else {
		raw, err := hex.DecodeString(host)
		if err != nil || len(raw) != 4 {
			return netip.AddrPort{}, false
		}
		addr = netip.AddrFrom4([4]byte(raw))
	}
	return netip.AddrPortFrom(addr, uint16(port[0])<<8|uint16(port[1])), true
}
