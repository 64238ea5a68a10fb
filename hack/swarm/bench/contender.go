package bench

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// contender is an emulator of routers.
type contender struct {
	name string
	// command prepares n sessions.
	command func(b *bencher, dir string, n int) (*exec.Cmd, error)
}

func contenders() []contender {
	return []contender{{"peerage-swarm", swarmCommand}, {"gobgp", gobgpCommand}, {"exabgp", exabgpCommand}}
}

func contenderByName(name string) (contender, error) {
	for _, c := range contenders() {
		if c.name == name {
			return c, nil
		}
	}
	return contender{}, fmt.Errorf("contender %q is not known; they are peerage-swarm, gobgp and exabgp", name)
}

// customer and speaker are the two ends of session i.
func customer(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{127, 1, byte((i + 1) >> 8), byte(i + 1)})
}
func speaker(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{127, 2, byte((i + 1) >> 8), byte(i + 1)})
}

func swarmCommand(b *bencher, _ string, n int) (*exec.Cmd, error) {
	return exec.Command(filepath.Join(b.bin, "peerage-swarm"),
		"--target", fmt.Sprintf("127.0.0.1:%d", port), "--from", "127.1.0.0/16", "--as", "65001",
		"--sessions", strconv.Itoa(n), "--hold-time", "90s", "--rate", "5000"), nil
}

func gobgpCommand(b *bencher, dir string, n int) (*exec.Cmd, error) {
	conf := filepath.Join(dir, "gobgpd.toml")
	if err := os.WriteFile(conf, gobgpConf(n), 0o600); err != nil {
		return nil, err
	}
	return exec.Command(filepath.Join(b.tools, "gobgpd"), "-f", conf, "--api-hosts", "127.0.0.1:11791", "--pprof-disable", "-l", "error"), nil
}

// gobgpConf is what the manual says for a router with n neighbours; connections
// are tried more often than by default (120 s), which is to its advantage.
func gobgpConf(n int) []byte {
	var b bytes.Buffer
	fmt.Fprint(&b, "[global.config]\n  as = 65001\n  router-id = \"10.0.1.1\"\n  port = -1\n")
	for i := range n {
		fmt.Fprintf(&b, `[[neighbors]]
  [neighbors.config]
    neighbor-address = "%s"
    peer-as = 65000
  [neighbors.timers.config]
    hold-time = 90
    keepalive-interval = 30
    connect-retry = 5
  [neighbors.transport.config]
    local-address = "%s"
    remote-port = %d
  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = "ipv4-unicast"
`, speaker(i), customer(i), port)
	}
	return b.Bytes()
}

func exabgpCommand(_ *bencher, dir string, n int) (*exec.Cmd, error) {
	conf := filepath.Join(dir, "exabgp.conf")
	if err := os.WriteFile(conf, exabgpConf(n), 0o600); err != nil {
		return nil, err
	}
	c := exec.Command("exabgp", conf)
	c.Env = append(os.Environ(), "exabgp.daemon.user=root", "exabgp.daemon.daemonize=false", "exabgp.log.level=CRIT", "exabgp.log.destination=stdout",
		"exabgp.api.cli=false", "exabgp.cache.attributes=true")
	return c, nil
}

func exabgpConf(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, `neighbor %s {
  router-id 10.0.1.1;
  local-address %s;
  local-as 65001;
  peer-as 65000;
  hold-time 90;
  connect %d;
  family { ipv4 unicast; }
}
`, speaker(i), customer(i), port)
	}
	return b.Bytes()
}
