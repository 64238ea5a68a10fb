package lab

import (
	"fmt"
	"io/fs"
	"strings"
)

// File is one file that a node needs before its programs start.
type File struct {
	Name string
	Text string
	Mode fs.FileMode
}

// Files are the configuration files of a node.
func (t Topology) Files(n Node) []File {
	conf := func(text string) File { return File{Name: "bird.conf", Text: text, Mode: 0o644} }
	switch n.Role {
	case RoleRouter:
		return []File{conf(t.routerConfig())}
	case RoleLB:
		// The agent fills its include; BIRD starts without it.
		return []File{conf(t.lbConfig(n)), {Name: "peerage.conf", Mode: 0o644}}
	case RoleCustomer:
		r, p := t.router(n, "")
		return []File{{Name: r.ConfigFile(), Text: r.Config(p), Mode: 0o644}}
	case RoleRealServer, RoleSwarm:
		return []File{{Name: "secrets/" + MD5Secret, Text: MD5Key + "\n", Mode: 0o400}}
	}
	return nil
}

// routerConfig is of the fabric router: BGP and BFD with every LB, ECMP.
func (t Topology) routerConfig() string {
	r := t.RouterNode()
	var b strings.Builder
	fmt.Fprintf(&b, `log "%s" all;
debug protocols { states, events };
router id %s;
protocol device {}
protocol bfd {
	interface "eth0" { min rx interval %d ms; min tx interval %[3]d ms; multiplier 3; };
}
protocol kernel kernel4 { ipv4 { import none; export all; }; merge paths on limit 16; }
protocol kernel kernel6 { ipv6 { import none; export all; }; merge paths on limit 16; }
template bgp lb {
	bfd on;
	hold time 9;
	connect delay time 1;
	connect retry time 2;
	error wait time 1, 4;
	graceful restart off;
}
`, r.File("bird.log"), r.Addr(true), t.Timers.BFD.Milliseconds())
	for _, n := range t.LBNodes() {
		for _, v4 := range []bool{true, false} {
			fmt.Fprintf(&b, "protocol bgp '%s-%s' from lb { local %s as %d; neighbor %s as %d; %s { import all; export none; }; }\n",
				n.Name, family(v4), r.Addr(v4), RouterAS, n.Addr(v4), FabricAS, family(v4))
		}
	}
	return b.String()
}

// lbConfig is the part of an LB's BIRD configuration that is not the agent's.
func (t Topology) lbConfig(n Node) string {
	return fmt.Sprintf(`log "%s" all;
debug protocols { states, events };
router id %s;
protocol device {}
include "%s";
`, n.File("bird.log"), n.Addr(true), n.File("peerage.conf"))
}

func family(v4 bool) string {
	if v4 {
		return "ipv4"
	}
	return "ipv6"
}
