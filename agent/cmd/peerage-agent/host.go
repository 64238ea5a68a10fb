package main

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"github.com/hashicorp/go-hclog"

	"github.com/peerage/peerage/agent"
	"github.com/peerage/peerage/agent/bird"
	"github.com/peerage/peerage/agent/connsync"
	"github.com/peerage/peerage/agent/ipvs"
	"github.com/peerage/peerage/agent/netfilter"
	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/node"
	"github.com/peerage/peerage/api/node/birdc"
	"github.com/peerage/peerage/api/node/hostnet"
)

// openHost puts the parts of the machine together.
func openHost(o *options, hostID string, log hclog.Logger, failed func()) (agent.Host, func() error, error) {
	sysctls := filepath.Join(o.StateDir, "sysctls")
	if err := os.MkdirAll(sysctls, 0o700); err != nil {
		return agent.Host{}, nil, err
	}
	kernel, err := ipvs.OpenKernel(ipvs.KernelOptions{})
	if err != nil {
		return agent.Host{}, nil, err
	}
	ipvsTable, err := ipvs.Open(ipvs.Config{
		Kernel: kernel, Record: filepath.Join(o.StateDir, "ipvs.json"), HostID: hostID, Logger: log.Named("ipvs"),
	})
	if err != nil {
		return agent.Host{}, nil, errors.Join(err, kernel.Close())
	}
	host := agent.Host{
		Table:      table{ipvsTable, kernel},
		Addresses:  &hostnet.Device{},
		Sysctls:    &hostnet.Sysctls{Dir: sysctls},
		ConnSync:   connSync{&connsync.Sync{Kernel: kernel}},
		Netfilter:  openNetfilter(log),
		Speaker:    openSpeaker(o, log, failed),
		Parameters: connsync.Sysctls,
	}
	return host, func() error { return errors.Join(ipvsTable.Close(), kernel.Close()) }, nil
}

func openSpeaker(o *options, log hclog.Logger, failed func()) *bird.Speaker {
	secrets := node.OpenSecrets(o.secretsDir)
	return bird.New(bird.Options{
		Control: &birdc.Client{Socket: o.birdSocket},
		Include: o.birdInclude, MainConfig: o.birdConfig, Binary: o.birdBinary, Group: o.birdGroup,
		Secret: func(name string) (string, error) {
			s, err := secrets.Get(name)
			return s.Reveal(), err
		},
		Logger: log.Named("bird"), Failed: failed,
	})
}

// table is ipvs.Table as the agent wants it.
type table struct {
	*ipvs.Table
	kernel ipvs.Kernel
}

func (t table) Present(ctx context.Context, services []netip.AddrPort) (bool, error) {
	all, err := t.kernel.Services(ctx, func(ipvs.Key) bool { return false })
	return slices.ContainsFunc(all, func(s ipvs.Service) bool {
		return s.Mark == 0 && slices.Contains(services, s.Addr)
	}), err
}

func (t table) Set(ctx context.Context, desired []api.Table) (agent.TableResult, error) {
	r, err := t.Table.Set(ctx, desired)
	return agent.TableResult(r), err
}

// connSync is connsync.Sync as the agent wants it.
type connSync struct{ *connsync.Sync }

func (s connSync) Set(ctx context.Context, want agent.SyncConfig) (bool, error) {
	s.HoldTimes(want.HoldTimes...)
	return s.Sync.Set(ctx, want.Interface, want.ID)
}

// openNetfilter finds the packet filter. Without one the agent works, with one
// net less: each full round says so.
func openNetfilter(log hclog.Logger) agent.Netfilter {
	rules, err := netfilter.Open()
	if err != nil {
		log.Warn("no packet filter", "error", err)
		return noNetfilter{err}
	}
	return rules
}

type noNetfilter struct{ err error }

func (n noNetfilter) Set(context.Context, []netip.AddrPort) (bool, error) { return false, n.err }

func (n noNetfilter) Remove(context.Context) error { return nil }
