package speaker

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strings"

	"github.com/peerage/peerage/hack/bench/process"
)

// openbgpd is OpenBGPD's portable version.
type openbgpd struct{}

const openBGPD = "/usr/sbin/bgpd"

func (openbgpd) version(ctx context.Context) (string, error) {
	v, err := ask(ctx, `OpenBGPD (\S+)`, openBGPD, "-V")
	return "OpenBGPD " + v, err
}

func (openbgpd) start(ctx context.Context, dir string, l layout) (*process.Process, error) {
	if l.collect != "" {
		return nil, errNoCollect
	}
	// Its processes lock themselves into their user's home, which the package
	// leaves to systemd to make.
	u, err := user.Lookup("_openbgpd")
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(u.HomeDir, 0o755); err != nil {
		return nil, err
	}
	return launch(ctx, dir, openbgpdConf(dir, l), l, func(path string) *exec.Cmd {
		return exec.Command(openBGPD, "-d", "-f", path)
	})
}

func openbgpdConf(dir string, l layout) string {
	var b strings.Builder
	fmt.Fprintf(&b, "AS %d\nrouter-id 10.0.0.1\nlisten on %s port %d\nfib-update no\nsocket \"%s/bgpd.sock\"\n", localAS, l.target.Addr(), l.target.Port(), dir)
	group := func(name, options string, neighbors []string) {
		if len(neighbors) == 0 {
			return
		}
		fmt.Fprintf(&b, "group \"%s\" {\n remote-as %d\n passive\n%s", name, localAS, options)
		for _, n := range neighbors {
			fmt.Fprintf(&b, " neighbor %s\n", n)
		}
		b.WriteString("}\n")
	}
	var feeds, receivers, idle []string
	for i := range l.feeds {
		feeds = append(feeds, feedAddr(i).String())
	}
	for i := range l.receivers {
		receivers = append(receivers, receiverAddr(i).String())
	}
	if l.idle {
		idle = []string{idlePrefix.String()}
	}
	group("feeds", "", feeds)
	group("receivers", " route-reflector\n", receivers)
	group("idle", "", idle)
	b.WriteString("allow from any\nallow to any\n")
	return b.String()
}
