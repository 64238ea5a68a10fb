package speaker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/peerage/peerage/hack/bench/process"
)

// engine is a BGP speaker that is measured.
type engine interface {
	// version says what is measured, or why it cannot be.
	version(ctx context.Context) (string, error)
	// start prepares the configuration in dir and starts the speaker, which
	// listens on l.target in the end.
	start(ctx context.Context, dir string, l layout) (*process.Process, error)
}

// layout is what a speaker is configured for. All sessions but collecting ones
// are internal. Feeds are not clients of the route reflector and receivers are:
// so routes of feeds go to receivers only, from every speaker alike.
type layout struct {
	target    netip.AddrPort
	feeds     int
	receivers int
	// perGroup is how many receivers have the same policy in a row.
	perGroup int
	// idle accepts sessions from idlePrefix.
	idle bool
	// collect says how the feeds' routes differ, and that they are kept and
	// sent to nobody; empty in other works.
	collect sharing
	// shards and workers are of our speaker, and so are the cores that it may
	// use; 0 leaves it to it.
	shards, workers, cores int
}

// errNoCollect: who cannot hold a tenth of it is not asked to.
var errNoCollect = errors.New("there is no configuration for the work collect; peerage and bird have one")

// ours and the one that ratios are of.
const (
	ours      = "peerage"
	reference = "bird"
)

// engines in the order of the report.
func engines() []string { return []string{ours, reference, "frr", "openbgpd", "gobgp"} }

func (b *bencher) engine(name string) (engine, error) {
	switch name {
	case ours:
		return peerage{b.bin}, nil
	case reference:
		return bird{}, nil
	case "frr":
		return frr{}, nil
	case "openbgpd":
		return openbgpd{}, nil
	case "gobgp":
		return gobgp{b.tools}, nil
	}
	return nil, fmt.Errorf("engine %q is not known; there are %s", name, strings.Join(engines(), ", "))
}

// Addresses of the sessions, all of loopback.
func feedAddr(i int) netip.Addr     { return netip.AddrFrom4([4]byte{127, 0, 1, byte(i + 1)}) }
func receiverAddr(i int) netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 2, byte(i + 1)}) }

var idlePrefix = netip.MustParsePrefix("127.1.0.0/16")

// launch writes a configuration, starts a speaker and waits until it listens.
func launch(ctx context.Context, dir, config string, l layout, command func(path string) *exec.Cmd) (*process.Process, error) {
	path := filepath.Join(dir, "speaker.conf")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		return nil, err
	}
	cmd := command(path)
	p, err := process.Start(dir, "speaker", cmd)
	if err != nil {
		return nil, err
	}
	if err := awaitListener(ctx, p, l.target); err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return p, nil
}

func awaitListener(ctx context.Context, p *process.Process, target netip.AddrPort) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		if err := p.Alive(); err != nil {
			return err
		}
		c, err := net.DialTimeout("tcp", target.String(), time.Second)
		if err == nil {
			return c.Close()
		}
		if sleep(ctx, 50*time.Millisecond) != nil {
			return fmt.Errorf("the speaker does not listen: %w", err)
		}
	}
}

// ask runs a program for its version; some of them write it to standard error.
func ask(ctx context.Context, pattern, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("%s is not installed: %w", name, err)
	}
	m := regexp.MustCompile(pattern).FindSubmatch(out)
	if m == nil {
		return "", fmt.Errorf("%s does not tell its version: %w: %.100s", name, err, out)
	}
	return string(m[1]), nil
}
