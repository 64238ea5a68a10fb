package lab

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/peerage/peerage/api"
)

func TestParseRefuses(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"unknown key":      {"loadBalancer: 2\n", "field loadBalancer not found"},
		"no LB":            {"loadBalancers: 0\n", "loadBalancers is 0: want 1 to 8"},
		"more MD5 than is": {"customers: {v4: 1, md5: 2}\n", "customers.md5 is 2: want 0 to 1"},
		"no VIP of family": {"customers: {v6: 1}\npool: {vips: [192.0.2.1]}\n", "no address of a family"},
		"unknown router":   {"customers: {routers: [ios]}\n", `customers.routers: router "ios" is not known: want one of ["bird" "frr" "gobgp"]`},
		"no router":        {"customers: {routers: []}\n", "customers.routers is empty"},
		"short warm-up":    {"timers: {warmup: 1s}\n", "want at least refresh + hold/3 = 10s"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse([]byte(test.text))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

// Every topology in the repository can be built: addresses and names are
// unique, the site it stands for is valid, and BIRD takes the configuration.
func TestTopologies(t *testing.T) {
	files, err := filepath.Glob("topologies/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			topology, err := ReadTopology(file)
			if err != nil {
				t.Fatal(err)
			}
			seen := make(map[string]string)
			unique := func(what, owner string) {
				if other, ok := seen[what]; ok {
					t.Errorf("%s is of %s and of %s", what, other, owner)
				}
				seen[what] = owner
			}
			for _, n := range topology.Nodes() {
				unique(n.Name, n.Name)
				for _, p := range n.Data {
					unique(p.Addr().String(), n.Name)
				}
				if n.Mgmt.IsValid() {
					unique(n.Mgmt.Addr().String(), n.Name)
				}
				for _, l := range n.links() {
					unique("port "+l.port, n.Name+"'s port")
					if len(l.port) > 15 {
						t.Errorf("%s is too long for a device", l.port)
					}
				}
			}
			if _, err := api.Parse("site.yaml", []byte(topology.Site())); err != nil {
				t.Errorf("the site: %v", err)
			}
		})
	}
}

func TestCustomers(t *testing.T) {
	topology, err := Parse([]byte("customers: {v4: 3, v6: 2, md5: 3, routers: [frr, gobgp]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range topology.CustomerNodes() {
		line := n.Name + " " + n.Data[0].String() + " -> " + n.VIP.String() + " " + string(n.Router)
		if n.MD5 {
			line += " md5"
		}
		got = append(got, line)
	}
	want := []string{
		"c-001 10.64.1.1/16 -> 203.0.113.179 frr",
		"c-002 10.64.129.2/16 -> 203.0.113.179 frr md5",
		"c-003 10.64.129.3/16 -> 203.0.113.179 gobgp md5",
		"c-004 fd64::1:101/64 -> 2001:db8:179::179 frr",
		"c-005 fd64::2:102/64 -> 2001:db8:179::179 frr md5",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// The programs take the configurations of the nodes.
func TestProgramsTakeTheConfiguration(t *testing.T) {
	demo, err := ReadTopology("topologies/demo.yaml")
	if err != nil {
		t.Fatal(err)
	}
	interop, err := ReadTopology("topologies/interop.yaml")
	if err != nil {
		t.Fatal(err)
	}
	check := func(topology Topology, n Node, command func(dir string) []string) {
		t.Run(n.Name, func(t *testing.T) {
			dir := t.TempDir()
			argv := command(dir)
			if _, err := exec.LookPath(argv[0]); err != nil {
				t.Skipf("%s is not here: hack/lab/install.sh installs BIRD and FRR, make bin/gobgpd builds GoBGP", argv[0])
			}
			var text string
			for _, f := range topology.Files(n) {
				f.Text = strings.ReplaceAll(f.Text, n.Dir(), dir)
				text = f.Text
				if err := writeFile(filepath.Join(dir, f.Name), f); err != nil {
					t.Fatal(err)
				}
			}
			// FRR says what it does not understand, and goes on.
			if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil || strings.Contains(string(out), "No such command") {
				t.Errorf("%v: %s\n%s", err, out, text)
			}
		})
	}
	bird := func(dir string) []string {
		return []string{"/usr/sbin/bird", "-p", "-c", filepath.Join(dir, "bird.conf")}
	}
	check(demo, demo.RouterNode(), bird)
	check(demo, demo.LBNodes()[0], bird)
	for _, n := range interop.CustomerNodes() {
		check(interop, n, func(dir string) []string {
			r, p := interop.router(n, "../../bin")
			p.Dir = dir
			return r.Check(p)
		})
	}
}
