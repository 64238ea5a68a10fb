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
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
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

// parallel bounds how many nodes are built at once.
const parallel = 4

func (l *Lab) report(format string, args ...any) {
	if l.Report != nil {
		l.Report(format, args...)
	}
}

// Prepare builds the network: every node with its links, addresses and files,
// and no process but the fabric router's.
func (l *Lab) Prepare(ctx context.Context) error {
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
		if n.Role != RoleRouter {
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
	if err := l.apply(ctx); err != nil {
		return err
	}
	l.report("%d load balancers, %d real servers", t.LoadBalancers, t.RealServers)
	if err := l.StartNodes(ctx, append(t.LBNodes(), t.RealServerNodes()...)...); err != nil {
		return err
	}
	l.report("%d customers", len(t.CustomerNodes()))
	return l.StartNodes(ctx, t.CustomerNodes()...)
}

// apply hands the site's configuration in. A controller that has just started
// may not have seen the store yet, so that it is tried again for a while.
func (l *Lab) apply(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
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
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
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

// StartNodes starts every program of the nodes.
func (l *Lab) StartNodes(ctx context.Context, nodes ...Node) error {
	var g errgroup.Group
	g.SetLimit(parallel)
	for _, n := range nodes {
		g.Go(func() error {
			for _, p := range l.Topology.Processes(n, l.Bin) {
				if len(p.Argv) == 0 {
					continue
				}
				if err := l.children.start(ctx, n, p); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// Start starts one program, named as in "lb-1/agent".
func (l *Lab) Start(ctx context.Context, name string) error {
	n, p, err := l.Topology.Process(name, l.Bin)
	if err != nil {
		return err
	}
	if len(p.Argv) == 0 {
		return fmt.Errorf("%s is started by another program of its node", name)
	}
	return l.children.start(ctx, n, p)
}

// Signal sends a signal to one program and, unless it is one that a program
// survives, waits for its end.
func (l *Lab) Signal(ctx context.Context, name string, sig syscall.Signal) error {
	n, p, err := l.Topology.Process(name, l.Bin)
	if err != nil {
		return err
	}
	gone := sig == unix.SIGKILL || sig == unix.SIGTERM
	return signal(ctx, n, p, sig, gone)
}

// Kill is a power cut: the node's links go dark, its processes are gone without
// a goodbye, its kernel forgets everything. Its disk stays.
func (l *Lab) Kill(ctx context.Context, name string) error {
	n, err := l.Topology.Node(name)
	if err != nil {
		return err
	}
	if err := l.Cut(name, true); err != nil {
		return err
	}
	pids, err := netnsPIDs(n.Name)
	if err != nil {
		return err
	}
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := poll(ctx, 10*time.Millisecond, func() bool {
		left, err := netnsPIDs(n.Name)
		return err == nil && len(left) == 0
	}); err != nil {
		return fmt.Errorf("kill node %s: its processes do not end: %w", name, err)
	}
	// The kernel takes the namespace apart in its own time; a node that boots
	// meanwhile must find the names of its links free.
	if err := ipBatch(n.outside(), onPorts(n, "link del %s")); err != nil {
		return err
	}
	return deleteNetns(n.Name)
}

// Boot starts a node that was killed: an empty kernel, a new boot id, the disk
// as it was.
func (l *Lab) Boot(ctx context.Context, name string) error {
	n, err := l.Topology.Node(name)
	if err != nil {
		return err
	}
	if err := l.plug(n); err != nil {
		return err
	}
	return l.StartNodes(ctx, n)
}

// Cut takes all links of a node down, or up again.
func (l *Lab) Cut(name string, down bool) error {
	n, err := l.Topology.Node(name)
	if err != nil {
		return err
	}
	format := "link set %s up"
	if down {
		format = "link set %s down"
	}
	return ipBatch(n.outside(), onPorts(n, format))
}

// Down ends every process and removes everything that the lab made.
func (l *Lab) Down() error {
	var errs []error
	for _, n := range l.Topology.Nodes() {
		if _, err := os.Stat(path.Join(netnsDir, n.Name)); err != nil {
			continue // not built, or killed
		}
		pids, err := netnsPIDs(n.Name)
		errs = append(errs, err)
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		if n.outside() == "" {
			// Else the names stay taken until the kernel took the namespace apart.
			errs = append(errs, ipBatch("", onPorts(n, "link del %s")))
		}
		errs = append(errs, deleteNetns(n.Name))
	}
	l.children.wg.Wait()
	for _, br := range []string{lanBridge, mgmtBridge} {
		if _, err := net.InterfaceByName(br); err == nil {
			errs = append(errs, ipBatch("", "link del "+br+"\n"))
		}
	}
	errs = append(errs, os.RemoveAll(Root))
	return errors.Join(errs...)
}
