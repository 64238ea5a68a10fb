//go:build linux

package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/peerage/peerage/hack/lab"
)

// keepalived measures the same change with keepalived on the same LBs: the
// file is edited, SIGHUP is sent, until the last kernel shows it. It checks the
// servers' health as the site under measurement does, with the same interval.
func (b *bencher) keepalived(ctx context.Context, servers, lbs int) (took []time.Duration, err error) {
	l := &lab.Lab{Topology: topology(servers, lbs, nil), Bin: b.bin}
	s := &site{Lab: l}
	defer func() { err = errors.Join(err, s.down()) }()
	names := []string{host}
	for _, n := range l.Topology.LBNodes() {
		names = append(names, n.Name)
	}
	if err := l.Prepare(ctx, names...); err != nil {
		return nil, err
	}
	if err := s.standIn(ctx); err != nil {
		return nil, err
	}
	if err := writeKeepalived(l.Topology, ""); err != nil {
		return nil, err
	}
	for _, n := range l.Topology.LBNodes() {
		if err := l.StartProcess(ctx, n, keepalived(n)); err != nil {
			return nil, err
		}
	}
	if _, err := lastSeen(ctx, l, fmt.Sprintf("rs-%d", servers), 1, func() error { return nil }); err != nil {
		return nil, err
	}
	for i := range b.rounds {
		server := fmt.Sprintf("rs-%d", 1+i%servers)
		start := time.Now()
		last, err := lastSeen(ctx, l, server, 0, func() error { return reload(l, server) })
		if err != nil {
			return nil, fmt.Errorf("round %d: %w", i+1, err)
		}
		took = append(took, last.Sub(start))
		if _, err := lastSeen(ctx, l, server, 1, func() error { return reload(l, "") }); err != nil {
			return nil, fmt.Errorf("round %d: %w", i+1, err)
		}
		// A reload that is asked for while the last one ends is put off.
		time.Sleep(time.Second)
	}
	return took, nil
}

func keepalived(n lab.Node) lab.Process {
	return lab.Process{Name: "keepalived", Argv: []string{"/usr/sbin/keepalived", "--dont-fork", "--check",
		"--use-file=" + n.File("keepalived.conf"), "--pid=" + n.File("ka.pid"), "--checkers_pid=" + n.File("kac.pid")}}
}

// reload edits the files, with one server at weight 0, and sends the signals.
func reload(l *lab.Lab, drained string) error {
	if err := writeKeepalived(l.Topology, drained); err != nil {
		return err
	}
	for _, n := range l.Topology.LBNodes() {
		if err := unix.Kill(lab.PID(n, keepalived(n)), unix.SIGHUP); err != nil {
			return fmt.Errorf("SIGHUP to keepalived on %s: %w", n.Name, err)
		}
	}
	return nil
}

func writeKeepalived(t lab.Topology, drained string) error {
	text := keepalivedConfig(t, drained)
	for _, n := range t.LBNodes() {
		if err := os.WriteFile(n.File("keepalived.conf"), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func keepalivedConfig(t lab.Topology, drained string) string {
	var b strings.Builder
	for _, vip := range t.Pool.VIPs {
		fmt.Fprintf(&b, "virtual_server %s 179 {\n lvs_sched mh\n mh-fallback\n lvs_method DR\n protocol TCP\n", vip)
		for _, n := range t.RealServerNodes() {
			weight := 1
			if n.Name == drained {
				weight = 0
			}
			fmt.Fprintf(&b, " real_server %s 179 {\n  weight %d\n  TCP_CHECK {\n   connect_timeout 1\n   delay_loop %d\n  }\n }\n",
				n.Addr(vip.Is4()), weight, int(t.Timers.Probe.Seconds()))
		}
		b.WriteString("}\n")
	}
	return b.String()
}
