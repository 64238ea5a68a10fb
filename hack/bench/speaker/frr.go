package speaker

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"

	"github.com/peerage/peerage/hack/bench/process"
)

// frr is FRR's bgpd alone: no zebra, and nothing goes to the kernel.
type frr struct{}

// frrBGPD is where packages put it: OpenBGPD's program has the same name.
const frrBGPD = "/usr/lib/frr/bgpd"

func (frr) version(ctx context.Context) (string, error) {
	v, err := ask(ctx, `version (\S+)`, frrBGPD, "--version")
	return "FRR " + v, err
}

func (frr) start(ctx context.Context, dir string, l layout) (*process.Process, error) {
	if l.collect != "" {
		return nil, errNoCollect
	}
	return launch(ctx, dir, frrConf(l), l, func(path string) *exec.Cmd {
		return exec.Command(frrBGPD, "-f", path, "-Z", "-n", "-S", "-p", strconv.Itoa(int(l.target.Port())), "-l", l.target.Addr().String(), "-P", "0",
			"-i", dir+"/frr.pid", "--vty_socket", dir, "--log", "file:"+dir+"/frr.log", "--log-level", "warnings", "--limit-fds", "20000")
	})
}

func frrConf(l layout) string {
	var b strings.Builder
	fmt.Fprintf(&b, `frr defaults traditional
router bgp %d
 bgp router-id 10.0.0.1
 bgp cluster-id 10.0.0.1
 no bgp default ipv4-unicast
 no bgp network import-check
 no bgp ebgp-requires-policy
`, localAS)
	group := func(name string) {
		fmt.Fprintf(&b, " neighbor %[1]s peer-group\n neighbor %[1]s remote-as %[2]d\n neighbor %[1]s passive\n", name, localAS)
	}
	group("FEED")
	group("RECEIVER")
	for i := range l.feeds {
		fmt.Fprintf(&b, " neighbor %s peer-group FEED\n", feedAddr(i))
	}
	for i := range l.receivers {
		fmt.Fprintf(&b, " neighbor %s peer-group RECEIVER\n", receiverAddr(i))
	}
	if l.idle {
		group("IDLE")
		fmt.Fprintf(&b, " bgp listen limit 65535\n bgp listen range %s peer-group IDLE\n", idlePrefix)
	}
	b.WriteString(" address-family ipv4 unicast\n  neighbor FEED activate\n  neighbor RECEIVER activate\n  neighbor RECEIVER route-reflector-client\n")
	if l.idle {
		b.WriteString("  neighbor IDLE activate\n")
	}
	b.WriteString(" exit-address-family\n")
	return b.String()
}
