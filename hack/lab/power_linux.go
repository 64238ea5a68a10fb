package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

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

// StartProcess starts a program that the topology does not know of.
func (l *Lab) StartProcess(ctx context.Context, n Node, p Process) error {
	return l.children.start(ctx, n, p)
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
	ctx, cancel := context.WithTimeout(ctx, patience)
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

// Powered tells whether a node runs.
func (l *Lab) Powered(n Node) bool {
	_, err := os.Stat(path.Join(netnsDir, n.Name))
	return err == nil
}
