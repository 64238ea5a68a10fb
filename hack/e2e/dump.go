//go:build linux

package e2e

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/peerage/peerage/hack/lab"
)

// tailLines is how much of a program's log is printed when a scenario fails;
// the whole is copied to the results.
const tailLines = 12

// Dump tells everything about a site that is not as it should be: a summary to
// w, and every file of every node to dir.
func (s *Site) Dump(ctx context.Context, w io.Writer, dir string) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	section := func(title string, text []byte, err error) {
		fmt.Fprintf(w, "--- %s\n%s", title, text)
		if err != nil {
			fmt.Fprintln(w, err)
		}
	}
	out, err := s.Lab.Ctl(ctx, "status", "-o", "wide")
	section("peeragectl status", out, err)
	out, err = s.Lab.Ctl(ctx, "events")
	section("peeragectl events", lastLines(out), err)
	tables, err := s.allTables()
	section("IPVS tables", nil, err)
	for _, n := range s.runningLBs() {
		section(n.Name, []byte(tables[n.Name]), nil)
	}
	out, err = s.Lab.Output(lab.Router, "ip", "route", "show", "proto", "bird")
	section("fabric: routes, IPv4", out, err)
	out, err = s.Lab.Output(lab.Router, "ip", "-6", "route", "show", "proto", "bird")
	section("fabric: routes, IPv6", out, err)
	out, err = s.Lab.Output(lab.Router, "birdc", "-s", "/run/peerage/rt/bird.ctl", "show", "protocols")
	section("fabric: BIRD", out, err)
	section("sessions", []byte(s.describeSessions()), nil)
	for _, n := range s.Lab.Topology.Nodes() {
		if n.Role == lab.RoleCustomer {
			continue
		}
		for _, p := range s.Lab.Topology.Processes(n, s.Lab.Bin) {
			state := "not running"
			if pid := lab.PID(n, p); pid != 0 {
				state = fmt.Sprint("process ", pid)
			}
			text, err := os.ReadFile(n.File(p.Name + ".log"))
			if os.IsNotExist(err) {
				err = nil // it logs where its owner wants
			}
			section(fmt.Sprintf("%s/%s (%s)", n.Name, p.Name, state), lastLines(text), err)
		}
	}
	if text, err := os.ReadFile("/run/messages"); err == nil {
		_ = os.WriteFile(filepath.Join(lab.Root, "syslog"), text, 0o644) // the speakers' log
	}
	if err := copyTree(lab.Root, dir); err != nil {
		fmt.Fprintln(w, "the nodes' files could not be kept:", err)
		return
	}
	fmt.Fprintln(w, "--- every log and configuration is in", dir)
}

func (s *Site) describeSessions() string {
	m, err := s.Holders()
	if err != nil {
		return err.Error() + "\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d established; %s\n", s.sessions.Established(), len(s.sessions.All()), m)
	for _, one := range s.sessions.All() {
		if !one.Established || m[one.Customer.Name] == "" {
			why := "never up"
			if n := len(one.Changes); n > 0 {
				why = fmt.Sprintf("established=%t since %s %q", one.Established, one.Changes[n-1].At.Format("15:04:05.000"), one.Changes[n-1].Why)
			}
			fmt.Fprintf(&b, "%s on %q: %s\n", one.Customer.Name, m[one.Customer.Name], why)
		}
	}
	return b.String()
}

func lastLines(text []byte) []byte {
	lines := strings.SplitAfter(string(text), "\n")
	return []byte(strings.Join(lines[max(0, len(lines)-1-tailLines):], ""))
}

// copyTree copies the regular files below a folder, but for secrets and data.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "secrets" || d.Name() == "data") {
			return fs.SkipDir
		}
		if !d.Type().IsRegular() {
			return nil
		}
		relative, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		target := filepath.Join(to, relative)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		return os.WriteFile(target, text, 0o644)
	})
}
