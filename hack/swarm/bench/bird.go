package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/peerage/peerage/hack/bench/process"
)

// port is where the passive BIRD listens, on all of 127/8.
const port = 11790

// bird is the passive speaker that everybody is measured against. It listens
// on every loopback address: GoBGP tells its neighbours apart by address, so
// that each of its sessions needs another one.
type bird struct {
	dir string
	*process.Process
}

const birdConf = `log "%s/bird.log" { warning, error, fatal, bug };
router id 10.0.0.1;
protocol device {}
protocol bgp customers {
  local port %d as 65000; neighbor range 127.1.0.0/16 external; multihop; passive;
  dynamic name "c"; dynamic name digits 5; hold time 90;
  ipv4 { import all; export none; };
}
`

func startBIRD(ctx context.Context, dir string) (*bird, error) {
	conf := filepath.Join(dir, "bird.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, birdConf, dir, port), 0o600); err != nil {
		return nil, err
	}
	p, err := process.Start(dir, "bird", exec.Command("bird", "-f", "-c", conf, "-s", filepath.Join(dir, "ctl"), "-P", filepath.Join(dir, "pid")))
	if err != nil {
		return nil, err
	}
	b := &bird{dir, p}
	for range 100 {
		if c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second); err == nil {
			return b, c.Close()
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return nil, errors.Join(err, p.Stop())
		}
	}
	return nil, errors.Join(errors.New("bird does not listen; is the package bird2 installed?"), p.Stop())
}

// established counts the sessions that BIRD has up.
func (b *bird) established() (int, error) {
	out, err := exec.Command("birdc", "-s", filepath.Join(b.dir, "ctl"), "show protocols").Output()
	if err != nil {
		return 0, fmt.Errorf("birdc: %w", err)
	}
	return strings.Count(string(out), "Established"), nil
}
