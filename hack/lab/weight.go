package lab

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// weightWatch looks for a weight of a real server in /proc/net/ip_vs, quickly:
// it is asked again and again on a machine that has other things to do.
type weightWatch struct {
	needles [][]byte
	weight  string
	// count is how many services must show it.
	count int
}

// watchWeight looks for a server's weight in the service of every VIP.
func (t Topology) watchWeight(n Node, weight int) weightWatch {
	w := weightWatch{weight: strconv.Itoa(weight), count: len(t.Pool.VIPs)}
	for _, p := range n.Data {
		w.needles = append(w.needles, []byte("-> "+procText(p.Addr())+":00B3 "))
	}
	return w
}

// procText writes an address as /proc/net/ip_vs does; procAddr reads it.
func procText(a netip.Addr) string {
	if a.Is4() {
		return strings.ToUpper(hex.EncodeToString(a.AsSlice()))
	}
	return "[" + a.StringExpanded() + "]"
}

// in tells whether a text shows the weight for every service.
func (w weightWatch) in(proc []byte) bool {
	found := 0
	for _, needle := range w.needles {
		for rest := proc; ; {
			i := bytes.Index(rest, needle)
			if i < 0 {
				break
			}
			rest = rest[i+len(needle):]
			line, _, _ := bytes.Cut(rest, []byte("\n"))
			// Forwarding method, weight, active and inactive connections.
			if f := bytes.Fields(line); len(f) > 1 && string(f[1]) == w.weight {
				found++
			}
		}
	}
	return found == w.count
}

// String says what is looked for.
func (w weightWatch) String() string {
	return fmt.Sprintf("weight %s in %d services", w.weight, w.count)
}
