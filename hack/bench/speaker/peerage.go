package speaker

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/hack/bench/process"
	"github.com/peerage/peerage/realserver/speaker/control"
)

// peerage is our speaker; bin is the folder of the program.
type peerage struct{ bin string }

func (p peerage) program() string { return filepath.Join(p.bin, "peerage-speaker") }

func (p peerage) version(ctx context.Context) (string, error) {
	v, err := ask(ctx, `peerage-speaker (\S+)`, p.program(), "--version")
	return "Peerage " + v, err
}

func (p peerage) start(ctx context.Context, dir string, l layout) (*process.Process, error) {
	socket := socketOf(dir)
	args := []string{"--socket", socket}
	for _, name := range []string{"secrets", "state"} {
		path := filepath.Join(dir, name)
		if err := os.Mkdir(path, 0o700); err != nil {
			return nil, err
		}
		args = append(args, "--"+name+"-dir", path)
	}
	if l.shards > 0 {
		args = append(args, "--shards", strconv.Itoa(l.shards), "--workers", strconv.Itoa(l.workers))
	}
	cmd := exec.Command(p.program(), args...)
	if l.cores > 0 {
		cmd.Env = append(os.Environ(), "GOMAXPROCS="+strconv.Itoa(l.cores))
	}
	run, err := process.Start(dir, "speaker", cmd)
	if err != nil {
		return nil, err
	}
	if err = configure(ctx, run, socket, peerageConf(l)); err == nil {
		err = awaitListener(ctx, run, l.target)
	}
	if err != nil {
		return nil, errors.Join(err, run.Stop())
	}
	return run, nil
}

// peerageConf has a customer for all feeds, and one for each group of
// receivers, all in one group of reflection.
func peerageConf(l layout) control.Config {
	c := control.Config{Schema: control.Schema, RouterID: netip.MustParseAddr("10.0.0.1"), Services: []control.Service{{
		Pool: pool, VIPs: []netip.Addr{l.target.Addr()}, Port: l.target.Port(), LocalAS: localAS, HoldTime: api.Duration(holdTime),
	}}}
	internal := func(name string, nonClient bool, prefixes ...netip.Prefix) {
		s := api.CustomerSpec{Pools: []string{pool}, Mode: api.CustomerReflect, Group: "all", Families: []api.AddressFamily{api.IPv4Unicast}}
		for _, p := range prefixes {
			s.Neighbors = append(s.Neighbors, api.CustomerNeighbor{Prefix: p, AS: []uint32{localAS}, NonClient: nonClient})
		}
		c.Customers = append(c.Customers, control.Customer{Name: name, CustomerSpec: s})
	}
	switch {
	case l.collect == shareAS:
		for i := range l.feeds {
			c.Customers = append(c.Customers, collected(fmt.Sprintf("feed-%03d", i), l.collect.feedAS(i), i))
		}
	case l.collect != "":
		all := make([]int, l.feeds)
		for i := range all {
			all[i] = i
		}
		c.Customers = append(c.Customers, collected("feeds", l.collect.feedAS(0), all...))
	case l.feeds > 0:
		internal("feeds", true, hosts(feedAddr, 0, l.feeds)...)
	}
	if l.idle {
		internal("idle", true, idlePrefix)
	}
	for at := 0; at < l.receivers; at += l.perGroup {
		internal(fmt.Sprintf("receivers-%03d", at), false, hosts(receiverAddr, at, min(at+l.perGroup, l.receivers))...)
	}
	return c
}

const pool = "bench"

func hosts(addr func(int) netip.Addr, from, to int) (all []netip.Prefix) {
	for i := from; i < to; i++ {
		all = append(all, netip.PrefixFrom(addr(i), 32))
	}
	return all
}

func collected(name string, as uint32, feeds ...int) control.Customer {
	s := api.CustomerSpec{Pools: []string{pool}, Mode: api.CustomerCollect, Families: []api.AddressFamily{api.IPv4Unicast}}
	for _, i := range feeds {
		s.Neighbors = append(s.Neighbors, api.CustomerNeighbor{Prefix: netip.PrefixFrom(feedAddr(i), 32), AS: []uint32{as}})
	}
	return control.Customer{Name: name, CustomerSpec: s}
}

func socketOf(dir string) string { return filepath.Join(dir, "speaker.sock") }

// configure waits for the socket, too.
func configure(ctx context.Context, p *process.Process, socket string, c control.Config) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	client := control.NewClient(socket)
	defer client.Close()
	for {
		r, err := client.Configure(ctx, c)
		switch {
		case err == nil && len(r.Problems) > 0:
			return fmt.Errorf("the speaker has problems with its configuration: %q", r.Problems)
		case err == nil:
			return nil
		case !control.NotRunning(err):
			return err
		}
		if ended := errors.Join(p.Alive(), sleep(ctx, 20*time.Millisecond)); ended != nil {
			return errors.Join(err, ended)
		}
	}
}

// held is how many routes the speaker holds.
func (peerage) held(ctx context.Context, dir string) (int64, error) {
	client := control.NewClient(socketOf(dir))
	defer client.Close()
	s, err := client.Status(ctx)
	return s.Routes, err
}
