package speaker

import (
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/peerage/peerage/hack/bench/process"
)

// gobgp is GoBGP's gobgpd; tools is the folder of the program.
type gobgp struct{ tools string }

func (g gobgp) program() string { return filepath.Join(g.tools, "gobgpd") }

func (g gobgp) version(ctx context.Context) (string, error) {
	v, err := ask(ctx, `version (\S+)`, g.program(), "--version")
	return "GoBGP " + v, err
}

func (g gobgp) start(ctx context.Context, dir string, l layout) (*process.Process, error) {
	if l.collect != "" {
		return nil, errNoCollect
	}
	return launch(ctx, dir, gobgpConf(l), l, func(path string) *exec.Cmd {
		api := netip.AddrPortFrom(l.target.Addr(), l.target.Port()+1)
		return exec.Command(g.program(), "-f", path, "--config-type", "toml", "--api-hosts", api.String(), "--pprof-disable", "-l", "error")
	})
}

const gobgpFamily = `
  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = "ipv4-unicast"
`

func gobgpConf(l layout) string {
	var b strings.Builder
	fmt.Fprintf(&b, "[global.config]\n  as = %d\n  router-id = \"10.0.0.1\"\n  port = %d\n  local-address-list = [\"%s\"]\n", localAS, l.target.Port(), l.target.Addr())
	neighbor := func(a netip.Addr, more string) {
		fmt.Fprintf(&b, `[[neighbors]]
  [neighbors.config]
    neighbor-address = "%s"
    peer-as = %d
  [neighbors.transport.config]
    passive-mode = true
    local-address = "%s"
%s%s`, a, localAS, l.target.Addr(), more, gobgpFamily)
	}
	for i := range l.feeds {
		neighbor(feedAddr(i), "")
	}
	for i := range l.receivers {
		neighbor(receiverAddr(i), "  [neighbors.route-reflector.config]\n    route-reflector-client = true\n    route-reflector-cluster-id = \"10.0.0.1\"\n")
	}
	if l.idle {
		fmt.Fprintf(&b, `[[peer-groups]]
  [peer-groups.config]
    peer-group-name = "idle"
    peer-as = %d
  [peer-groups.transport.config]
    passive-mode = true
%s[[dynamic-neighbors]]
  [dynamic-neighbors.config]
    prefix = "%s"
    peer-group = "idle"
`, localAS, strings.ReplaceAll(gobgpFamily, "neighbors.", "peer-groups."), idlePrefix)
	}
	return b.String()
}
