//go:build linux

package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"time"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/client"
	"github.com/peerage/peerage/hack/lab"
)

// host is the node that stands for all real servers: it has their addresses,
// and listens. Their speakers are not what is measured.
const host = "rs-1"

// site is a site under measurement.
type site struct {
	*lab.Lab
	api      *client.Client
	listener net.Listener
}

// topology is of a site with so many servers and LBs.
func topology(servers, lbs int, vips []netip.Addr) lab.Topology {
	t := lab.DefaultTopology()
	t.RealServers, t.LoadBalancers, t.Controllers = servers, lbs, 1
	t.Pool.Check = "tcp"
	t.Timers.Probe = time.Minute
	if vips != nil {
		t.Pool.VIPs = vips
	}
	return t
}

// up builds a site and waits until every LB serves every server.
func up(ctx context.Context, t lab.Topology, bin string) (*site, error) {
	s := &site{Lab: &lab.Lab{Topology: t, Bin: bin}}
	names := []string{lab.Store, "ctl-1", host}
	nodes := []lab.Node{t.StoreNode(), t.RouterNode()}
	for _, n := range t.LBNodes() {
		names = append(names, n.Name)
	}
	if err := s.Prepare(ctx, names...); err != nil {
		return nil, err
	}
	if err := s.standIn(ctx); err != nil {
		return s, err
	}
	if err := s.StartNodes(ctx, nodes...); err != nil {
		return s, err
	}
	if err := s.StartNodes(ctx, t.ControllerNodes()...); err != nil {
		return s, err
	}
	if err := s.Apply(ctx); err != nil {
		return s, err
	}
	if err := s.StartNodes(ctx, t.LBNodes()...); err != nil {
		return s, err
	}
	var err error
	if s.api, err = client.New(client.Config{Servers: t.API(), Actor: "bench"}); err != nil {
		return s, err
	}
	return s, s.settle(ctx, 2*time.Minute)
}

// standIn gives the one real server the addresses of all, and listens on them.
func (s *site) standIn(ctx context.Context) error {
	var b strings.Builder
	for _, n := range s.Topology.RealServerNodes()[1:] {
		for _, p := range n.Data {
			flags := ""
			if p.Addr().Is6() {
				flags = " nodad"
			}
			fmt.Fprintf(&b, "addr add %s dev eth0%s\n", p, flags)
		}
	}
	return lab.In(host, func() error {
		cmd := exec.CommandContext(ctx, "ip", "-batch", "-")
		cmd.Stdin = strings.NewReader(b.String())
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("addresses of the real servers: %w: %s", err, out)
		}
		var err error
		if s.listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", ":179"); err != nil {
			return err
		}
		go accept(s.listener)
		return nil
	})
}

// accept takes connections and closes them, until the listener is closed.
func accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		_ = c.Close()
	}
}

// settle waits until the controller says that every LB runs the plan, with
// every server serving.
func (s *site) settle(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		status, err := s.api.Status(ctx)
		if err == nil {
			if err = s.settled(status); err == nil {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the site does not settle: %w", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (s *site) settled(status *api.Status) error {
	if len(status.Pools) != 1 {
		return errors.New("the status shows no pool")
	}
	p := status.Pools[0]
	if len(p.LBs) != s.Topology.LoadBalancers || p.Serving != s.Topology.RealServers {
		return fmt.Errorf("%d of %d LBs, %d of %d servers serve", len(p.LBs), s.Topology.LoadBalancers, p.Serving, s.Topology.RealServers)
	}
	for _, lb := range p.LBs {
		if !lb.Live || !lb.Agrees {
			return fmt.Errorf("%s is not at generation %d: %+v", lb.LB, p.Generation, lb)
		}
	}
	return nil
}

func (s *site) down() error {
	if s == nil {
		return nil
	}
	if s.listener != nil {
		_ = s.listener.Close()
	}
	if s.api != nil {
		s.api.Close()
	}
	return s.Down()
}
