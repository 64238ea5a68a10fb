package lab

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// Lab is a running site, or one to be built.
type Lab struct {
	Topology Topology
	// Bin is the folder of the compiled programs.
	Bin string
	// Report is told what is being done, in short phrases; nil for silence.
	Report func(format string, args ...any)

	children children
}

// patience bounds what a program may take to start, to end and to answer: an
// emulated machine may be busy with all the others.
const patience = 2 * time.Minute

// parallel bounds how many nodes are built at once.
const parallel = 4

func (l *Lab) report(format string, args ...any) {
	if l.Report != nil {
		l.Report(format, args...)
	}
}

// Prepare builds the network, without any program: every node with its links,
// addresses and files. With names of nodes, only those and the fabric router.
func (l *Lab) Prepare(ctx context.Context, only ...string) error {
	if err := os.MkdirAll(Root, 0o755); err != nil {
		return err
	}
	for _, module := range []string{"veth", "bridge", "dummy", "ip_vs", "ip_vs_mh"} {
		if out, err := exec.CommandContext(ctx, "modprobe", module).CombinedOutput(); err != nil {
			return fmt.Errorf("modprobe %s: %w: %s (is this the lab? run it under hack/lab/vm.sh)", module, err, out)
		}
	}
	if err := ipBatch("", hostLinks()); err != nil {
		return err
	}
	if err := os.WriteFile(path.Join(Root, "site.yaml"), []byte(l.Topology.Site()), 0o644); err != nil {
		return err
	}
	if err := l.plug(l.Topology.RouterNode()); err != nil { // the customers hang on it
		return err
	}
	var g errgroup.Group
	g.SetLimit(parallel)
	for _, n := range l.Topology.Nodes() {
		if n.Role != RoleRouter && (len(only) == 0 || slices.Contains(only, n.Name)) {
			g.Go(func() error { return l.plug(n) })
		}
	}
	return g.Wait()
}

// plug creates a node's namespace, links and files. Files that are there stay,
// as a machine's disk does when it boots.
func (l *Lab) plug(n Node) error {
	if err := createNetns(n.Name, sysctls(n.Role)); err != nil {
		return err
	}
	if err := os.MkdirAll(n.File("state"), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(n.File("boot_id"), []byte(bootID()+"\n"), 0o444); err != nil {
		return err
	}
	for _, f := range l.Topology.Files(n) {
		if err := writeFile(n.File(f.Name), f); err != nil {
			return err
		}
	}
	if err := ipBatch(n.outside(), outerLinks(n)); err != nil {
		return fmt.Errorf("node %s: %w", n.Name, err)
	}
	if err := ipBatch(n.Name, l.Topology.innerLinks(n)); err != nil {
		return fmt.Errorf("node %s: %w", n.Name, err)
	}
	return nil
}

func writeFile(name string, f File) error {
	if err := os.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.WriteFile(name, []byte(f.Text), f.Mode)
}

// bootID is a random UUID, as the kernel makes one at boot.
func bootID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// Up builds the site and starts everything, in the order in which an operator
// would: the store, the controllers, the configuration, the nodes.
func (l *Lab) Up(ctx context.Context) error {
	t := l.Topology
	l.report("network: %d nodes", len(t.Nodes()))
	if err := l.Prepare(ctx); err != nil {
		return err
	}
	l.report("store and fabric router")
	if err := l.StartNodes(ctx, t.StoreNode(), t.RouterNode()); err != nil {
		return err
	}
	if err := l.waitPort(ctx, strings.TrimPrefix(t.EtcdEndpoint(), "http://")); err != nil {
		return err
	}
	l.report("%d controllers", t.Controllers)
	if err := l.StartNodes(ctx, t.ControllerNodes()...); err != nil {
		return err
	}
	for _, n := range t.ControllerNodes() {
		if err := l.waitPort(ctx, n.Mgmt.Addr().String()+":8080"); err != nil {
			return err
		}
	}
	l.report("configuration: peeragectl apply")
	if err := l.Apply(ctx); err != nil {
		return err
	}
	l.report("%d load balancers, %d real servers", t.LoadBalancers, t.RealServers)
	if err := l.StartNodes(ctx, append(t.LBNodes(), t.RealServerNodes()...)...); err != nil {
		return err
	}
	customers := t.CustomerNodes()
	l.report("%d customers", len(customers)+t.Swarm.Sessions)
	if t.Swarm.Sessions > 0 {
		customers = append(customers, t.SwarmNode())
		l.awaitVIPs(ctx)
	}
	return l.StartNodes(ctx, customers...)
}

// awaitVIPs waits until the fabric has routes to all VIPs, for a while: the
// attempts of a swarm before that fill its logs, and the processor.
func (l *Lab) awaitVIPs(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_ = poll(ctx, 500*time.Millisecond, func() bool {
		for _, vip := range l.Topology.Pool.VIPs {
			if lbs, err := l.NextHops(vip); err != nil || len(lbs) < l.Topology.LoadBalancers {
				return false
			}
		}
		return true
	})
}

// Apply hands the site's configuration in. A controller that has just started
// may not have seen the store yet, so that it is tried again for a while.
func (l *Lab) Apply(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var out []byte
	var err error
	if waitErr := poll(ctx, time.Second, func() bool {
		out, err = l.Ctl(ctx, "apply", "-f", path.Join(Root, "site.yaml"))
		return err == nil
	}); waitErr != nil {
		return fmt.Errorf("peeragectl apply: %w: %s", err, out)
	}
	return nil
}

// Ctl runs peeragectl as an operator and returns everything it prints.
func (l *Lab) Ctl(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, path.Join(l.Bin, "peeragectl"), args...)
	cmd.Env = append(os.Environ(), "PEERAGE_SERVER="+strings.Join(l.Topology.API(), ","))
	return cmd.CombinedOutput()
}

// waitPort waits until something listens.
func (l *Lab) waitPort(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := poll(ctx, 50*time.Millisecond, func() bool {
		c, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", addr)
		if err != nil {
			return false
		}
		return c.Close() == nil
	})
	if err != nil {
		return fmt.Errorf("nothing listens on %s: %w", addr, err)
	}
	return nil
}
