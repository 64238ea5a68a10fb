package netfilter

import (
	"fmt"
	"net/netip"
	"slices"
)

// chain is one of ours, reached by one jump from a built-in one.
type chain struct {
	table, name, from string
	// rules are those of one VIP with its ports.
	rules func(vip netip.Addr, ports []uint16) []string
}

const rawChain = "PEERAGE-RAW"

// chains are ours, in the order in which they are set. The rules are written
// exactly as iptables prints them, so that they can be compared.
func chains() []chain {
	return []chain{
		{"raw", rawChain, "PREROUTING", rawRules},
		{"filter", "PEERAGE-OUT", "OUTPUT", outRules},
		{"filter", "PEERAGE-IN", "INPUT", inRules},
	}
}

func rawRules(vip netip.Addr, ports []uint16) []string {
	var rules []string
	for _, p := range ports {
		rules = append(rules, fmt.Sprintf("-d %s -p tcp -m tcp --dport %d -j CT --notrack", single(vip), p))
	}
	return rules
}

func outRules(vip netip.Addr, ports []uint16) []string {
	var rules []string
	for _, p := range ports {
		rules = append(rules, fmt.Sprintf("-s %s -p tcp -m tcp --sport %d --tcp-flags RST RST -j DROP", single(vip), p))
	}
	return rules
}

// inRules hands services and ICMP back to the host's own rules: whom they let
// in is not ours to widen. IPv4 fragments are put together before INPUT.
func inRules(vip netip.Addr, ports []uint16) []string {
	var rules []string
	for _, p := range ports {
		rules = append(rules, fmt.Sprintf("-d %s -p tcp -m tcp --dport %d -j RETURN", single(vip), p))
	}
	icmp := "icmp"
	if vip.Is6() {
		icmp = "ipv6-icmp"
	}
	return append(rules,
		fmt.Sprintf("-d %s -p %s -j RETURN", single(vip), icmp),
		fmt.Sprintf("-d %s -j DROP", single(vip)))
}

func single(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// desired are the rules of a chain for the VIPs of one family, sorted by VIP.
func (c chain) desired(vips []netip.AddrPort) []string {
	ports := map[netip.Addr][]uint16{}
	var order []netip.Addr
	for _, v := range slices.SortedFunc(slices.Values(vips), netip.AddrPort.Compare) {
		if !slices.Contains(order, v.Addr()) {
			order = append(order, v.Addr())
		}
		if !slices.Contains(ports[v.Addr()], v.Port()) {
			ports[v.Addr()] = append(ports[v.Addr()], v.Port())
		}
	}
	var rules []string
	for _, vip := range order {
		rules = append(rules, c.rules(vip, ports[vip])...)
	}
	return rules
}

// edit is one change of a chain: a rule inserted before position at (from 1),
// or the rule at that position deleted.
type edit struct {
	at     int
	insert string // empty: delete
}

// diff is the fewest edits that turn have into want. Inserts come first, from
// the top down, so that a rule that lets through is there before the one that
// drops, and none is missing meanwhile; deletions follow from the bottom up,
// so that each position is still that of the rule meant.
func diff(want, have []string) []edit {
	if slices.Equal(want, have) {
		return nil // as nearly always; what follows takes memory
	}
	// longest[i][j] is the longest common sequence of want[i:] and have[j:].
	longest := make([][]int, len(want)+1)
	for i := range longest {
		longest[i] = make([]int, len(have)+1)
	}
	for i := len(want) - 1; i >= 0; i-- {
		for j := len(have) - 1; j >= 0; j-- {
			if want[i] == have[j] {
				longest[i][j] = longest[i+1][j+1] + 1
			} else {
				longest[i][j] = max(longest[i+1][j], longest[i][j+1])
			}
		}
	}
	var inserts, deletes []edit
	at := 1 // where the next rule of the merged list is
	for i, j := 0, 0; i < len(want) || j < len(have); at++ {
		switch {
		case i < len(want) && j < len(have) && want[i] == have[j]:
			i, j = i+1, j+1
		case i < len(want) && (j == len(have) || longest[i+1][j] >= longest[i][j+1]):
			inserts = append(inserts, edit{at, want[i]})
			i++
		default:
			deletes = append(deletes, edit{at: at})
			j++
		}
	}
	slices.Reverse(deletes)
	return append(inserts, deletes...)
}
