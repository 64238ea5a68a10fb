package speaker

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/peerage/peerage/hack/bench/process"
)

// bird is BIRD 2.
type bird struct{}

func (bird) version(ctx context.Context) (string, error) {
	v, err := ask(ctx, `version (\S+)`, "bird", "--version")
	return "BIRD " + v, err
}

func (bird) start(ctx context.Context, dir string, l layout) (*process.Process, error) {
	return launch(ctx, dir, birdConf(l), l, func(path string) *exec.Cmd {
		return exec.Command("bird", "-f", "-c", path, "-s", filepath.Join(dir, "ctl"), "-P", filepath.Join(dir, "pid"))
	})
}

// birdConf gives next hops a table of their own to be resolved in: the table of
// the routes would change with every one of them.
func birdConf(l layout) string {
	var b strings.Builder
	fmt.Fprintf(&b, `router id 10.0.0.1;
log stderr { warning, error, fatal, bug };
ipv4 table hops;
protocol device {}
protocol static { ipv4 { table hops; }; route 10.255.0.0/16 via "lo"; }
template bgp peer {
  local %s port %d as %d; strict bind yes; passive;
  ipv4 { import all; export %s; igp table hops; };
}
`, l.target.Addr(), l.target.Port(), localAS, map[bool]string{false: "all", true: "none"}[l.collect != ""])
	for i := range l.feeds {
		as := uint32(localAS)
		if l.collect != "" {
			as = l.collect.feedAS(i)
		}
		fmt.Fprintf(&b, "protocol bgp f%d from peer { neighbor %s as %d; %s}\n", i, feedAddr(i), as, map[bool]string{true: "multihop; "}[l.collect != ""])
	}
	for i := range l.receivers {
		fmt.Fprintf(&b, "protocol bgp r%d from peer { neighbor %s as %d; rr client; }\n", i, receiverAddr(i), localAS)
	}
	if l.idle {
		fmt.Fprintf(&b, "protocol bgp quiet from peer { neighbor range %s as %d; dynamic name \"d\"; dynamic name digits 5; }\n", idlePrefix, localAS)
	}
	return b.String()
}
