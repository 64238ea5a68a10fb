//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/peerage/peerage/hack/lab"
)

// recordFile remembers the topology of the running lab.
const recordFile = lab.Root + "/topology.yaml"

// tool is what the commands share.
type tool struct {
	out io.Writer
	bin string
}

func command(out io.Writer) *cobra.Command {
	t := &tool{out: out}
	root := &cobra.Command{
		Use: "peerage-lab", Short: "build a site out of network namespaces and play with it",
		SilenceUsage: true, SilenceErrors: true,
	}
	self, _ := os.Executable()
	root.PersistentFlags().StringVar(&t.bin, "bin", filepath.Dir(self), "folder of the compiled programs")
	root.AddCommand(t.up(), t.shell(), t.down(), t.nodes(), t.sessions(), t.tables(), t.site())
	one := func(use, short string, run func(l *lab.Lab, cmd *cobra.Command, name string) error) {
		root.AddCommand(&cobra.Command{Use: use, Short: short, Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
			l, err := t.open(recordFile)
			if err != nil {
				return err
			}
			return run(l, cmd, args[0])
		}})
	}
	one("kill NODE", "cut a node's power", func(l *lab.Lab, cmd *cobra.Command, name string) error { return l.Kill(cmd.Context(), name) })
	one("boot NODE", "start a node that was killed", func(l *lab.Lab, cmd *cobra.Command, name string) error { return l.Boot(cmd.Context(), name) })
	one("reboot NODE", "kill and boot", func(l *lab.Lab, cmd *cobra.Command, name string) error {
		if err := l.Kill(cmd.Context(), name); err != nil {
			return err
		}
		return l.Boot(cmd.Context(), name)
	})
	one("cut NODE", "take a node's cables out", func(l *lab.Lab, _ *cobra.Command, name string) error { return l.Cut(name, true) })
	one("plug NODE", "put a node's cables back", func(l *lab.Lab, _ *cobra.Command, name string) error { return l.Cut(name, false) })
	one("start NODE/PROGRAM", "start a program", func(l *lab.Lab, cmd *cobra.Command, name string) error { return l.Start(cmd.Context(), name) })
	for _, s := range []struct {
		verb, short string
		sig         syscall.Signal
	}{
		{"stop", "end a program (SIGTERM)", unix.SIGTERM},
		{"crash", "end a program at once (SIGKILL)", unix.SIGKILL},
		{"freeze", "stop a program from running (SIGSTOP)", unix.SIGSTOP},
		{"thaw", "let it run again (SIGCONT)", unix.SIGCONT},
	} {
		one(s.verb+" NODE/PROGRAM", s.short, func(l *lab.Lab, cmd *cobra.Command, name string) error {
			return l.Signal(cmd.Context(), name, s.sig)
		})
	}
	return root
}

func (t *tool) open(file string) (*lab.Lab, error) {
	topology, err := lab.ReadTopology(file)
	if errors.Is(err, os.ErrNotExist) && file == recordFile {
		return nil, errors.New("no lab is up here; build one with: peerage-lab up TOPOLOGY.yaml")
	}
	if err != nil {
		return nil, err
	}
	start := time.Now()
	return &lab.Lab{Topology: topology, Bin: t.bin, Report: func(format string, args ...any) {
		fmt.Fprintf(t.out, "[%5.1fs] %s\n", time.Since(start).Seconds(), fmt.Sprintf(format, args...))
	}}, nil
}

func (t *tool) build(cmd *cobra.Command, file string, bare bool) (*lab.Lab, error) {
	l, err := t.open(file)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(lab.Root, 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(recordFile, text, 0o644); err != nil {
		return nil, err
	}
	if bare {
		return l, l.Prepare(cmd.Context())
	}
	return l, l.Up(cmd.Context())
}

func (t *tool) up() *cobra.Command {
	var bare bool
	cmd := &cobra.Command{Use: "up TOPOLOGY.yaml", Short: "build a site and start it", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := t.build(cmd, args[0], bare)
			return err
		}}
	cmd.Flags().BoolVar(&bare, "bare", false, "the network only: start no program")
	return cmd
}

func (t *tool) down() *cobra.Command {
	return &cobra.Command{Use: "down", Short: "end and remove everything", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
		l, err := t.open(recordFile)
		if err != nil {
			return err
		}
		return l.Down()
	}}
}

func (t *tool) nodes() *cobra.Command {
	return &cobra.Command{Use: "nodes", Short: "list the nodes with their addresses and programs", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			l, err := t.open(recordFile)
			if err != nil {
				return err
			}
			for _, n := range l.Topology.Nodes() {
				var addrs, programs []string
				for _, p := range n.Data {
					addrs = append(addrs, p.Addr().String())
				}
				for _, p := range l.Topology.Processes(n, t.bin) {
					state := "down"
					if pid := lab.PID(n, p); pid != 0 {
						state = fmt.Sprint(pid)
					}
					programs = append(programs, p.Name+":"+state)
				}
				fmt.Fprintf(t.out, "%-6s %-11s %-28s %s\n", n.Name, n.Role, strings.Join(addrs, " "), strings.Join(programs, " "))
			}
			return nil
		}}
}

func (t *tool) sessions() *cobra.Command {
	return &cobra.Command{Use: "sessions", Short: "list the customers' sessions: state, flaps, real server", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			l, err := t.open(recordFile)
			if err != nil {
				return err
			}
			s := lab.FollowSessions(l.Topology)
			if err := s.Update(); err != nil {
				return err
			}
			holders, err := l.Holders(s)
			if err != nil {
				return err
			}
			for _, one := range s.All() {
				c, state := one.Customer, "down"
				if len(c.Data) == 0 {
					continue // of the swarm, and not begun yet
				}
				if one.Established {
					state = "established"
				}
				fmt.Fprintf(t.out, "%-6s %-18s md5=%-5t %-11s flaps=%d %s\n", c.Name, c.Data[0].Addr(), c.MD5, state,
					len(one.Flaps(time.Time{})), holders[c.Name])
			}
			fmt.Fprintf(t.out, "%d of %d established\n", s.Established(), len(s.All()))
			return nil
		}}
}

func (t *tool) tables() *cobra.Command {
	return &cobra.Command{Use: "tables", Short: "print every LB's IPVS table", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
		l, err := t.open(recordFile)
		if err != nil {
			return err
		}
		for _, n := range l.Topology.LBNodes() {
			table, err := l.Table(n.Name)
			if err != nil {
				table = err.Error() + "\n"
			}
			fmt.Fprintf(t.out, "# %s\n%s", n.Name, table)
		}
		return nil
	}}
}

func (t *tool) site() *cobra.Command {
	return &cobra.Command{Use: "site TOPOLOGY.yaml", Short: "print the configuration that `peeragectl apply` is given", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			l, err := t.open(args[0])
			if err != nil {
				return err
			}
			_, err = io.WriteString(t.out, l.Topology.Site())
			return err
		}}
}

func (t *tool) shell() *cobra.Command {
	return &cobra.Command{Use: "shell TOPOLOGY.yaml", Short: "build a site and open a shell inside it", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := t.build(cmd, args[0], false)
			if err != nil {
				fmt.Fprintln(t.out, "the site did not come up:", err)
			}
			if l == nil {
				return err
			}
			rc := lab.Root + "/shell.rc"
			if err := os.WriteFile(rc, []byte(shellRC(l, t.bin)), 0o644); err != nil {
				return err
			}
			sh := exec.Command("/bin/bash", "--rcfile", rc, "-i")
			sh.Stdin, sh.Stdout, sh.Stderr = os.Stdin, os.Stdout, os.Stderr
			_ = sh.Run() // the code of the last command typed is nobody's concern
			return l.Down()
		}}
}
