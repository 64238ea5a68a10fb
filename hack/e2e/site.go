//go:build linux

package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"golang.org/x/sys/unix"

	"github.com/peerage/peerage/hack/lab"
)

// Site is a site that is up, and what is watched of it.
type Site struct {
	Lab *lab.Lab
	// Trace is told every step with how long it took; nil for silence.
	Trace func(format string, args ...any)
	// Tick is called while something is waited for; nil for never.
	Tick func()

	sessions *lab.Sessions
}

// NewSite watches a site that is up or coming up.
func NewSite(l *lab.Lab) *Site { return &Site{Lab: l, sessions: lab.FollowSessions(l.Topology)} }

// Sessions are the customers' sessions, as of the last look.
func (s *Site) Sessions() *lab.Sessions { return s.sessions }

func (s *Site) tick() {
	if s.Tick != nil {
		s.Tick()
	}
}

func (s *Site) trace(format string, args ...any) {
	if s.Trace != nil {
		s.Trace(format, args...)
	}
}

// restTimeout bounds how long a site may take to come to rest: an LB warms up,
// and customers whose hold time ran out back off.
const restTimeout = 90 * time.Second

// Rest waits until a site is as it should be when nobody does anything to it.
func (s *Site) Rest(ctx context.Context) error {
	r := s.Begin(nil)
	var lbs []string
	for _, n := range s.Lab.Topology.LBNodes() {
		lbs = append(lbs, n.Name)
	}
	return s.eventually(ctx, restTimeout, func(ctx context.Context) error {
		return errors.Join(r.nexthops(ctx, lbs), r.established(ctx, []string{"all"}), r.tablesAre(ctx, []string{"equal"}), r.agree(ctx, nil), r.allServing(ctx))
	})
}

// Home lets every customer connect anew on a site at rest, so that each is on
// the server that its address maps to. While a site comes up, or after a server
// was out, some are elsewhere: a session stays where it is.
func (s *Site) Home(ctx context.Context) error {
	if err := s.Begin(nil).reset(ctx, "all"); err != nil {
		return err
	}
	return s.Rest(ctx)
}

func (r *Story) allServing(ctx context.Context) error {
	for _, n := range r.Lab.Topology.RealServerNodes() {
		if err := r.weight(ctx, []string{n.Name, "1"}); err != nil {
			return err
		}
	}
	return nil
}

// Restore takes back whatever a scenario did: nodes are booted, cables plugged
// in, programs started, servers pooled.
func (s *Site) Restore(ctx context.Context) error {
	for _, n := range s.Lab.Topology.Nodes() {
		if !s.Lab.Powered(n) {
			if err := s.Lab.Boot(ctx, n.Name); err != nil {
				return err
			}
			continue
		}
		if err := s.Lab.Cut(n.Name, false); err != nil {
			return err
		}
		for _, p := range s.Lab.Topology.Processes(n, s.Lab.Bin) {
			name := n.Name + "/" + p.Name
			switch running := lab.PID(n, p) != 0; {
			case running:
				if err := s.Lab.Signal(ctx, name, unix.SIGCONT); err != nil {
					return err
				}
			case len(p.Argv) > 0:
				if err := s.Lab.Start(ctx, name); err != nil {
					return err
				}
			}
		}
	}
	for _, n := range s.Lab.Topology.CustomerNodes() {
		if n.MD5 {
			if err := s.Lab.Rekey(n.Name, ""); err != nil {
				return err
			}
		}
	}
	return s.eventually(ctx, restTimeout, func(ctx context.Context) error {
		if out, err := s.Lab.Ctl(ctx, "apply", "-f", lab.Root+"/site.yaml"); err != nil {
			return fmt.Errorf("peeragectl apply: %w: %s", err, out)
		}
		return s.poolAll(ctx)
	})
}

func (s *Site) poolAll(ctx context.Context) error {
	status, err := s.Status(ctx)
	if err != nil {
		return err
	}
	for _, server := range status.RealServers {
		if server.Depooled == nil {
			continue
		}
		if out, err := s.Lab.Ctl(ctx, "pool", server.Name, "--reason", "end of a scenario"); err != nil {
			return fmt.Errorf("peeragectl pool: %w: %s", err, out)
		}
	}
	return nil
}

// etcd writes or deletes a key behind the API's back, through etcd's JSON
// gateway.
func (r *Story) etcd(ctx context.Context, _ Step, args []string) error {
	in := map[string]string{"key": base64.StdEncoding.EncodeToString([]byte(args[1]))}
	call := "put"
	switch {
	case args[0] == "put" && len(args) == 3:
		in["value"] = base64.StdEncoding.EncodeToString(bytes.TrimSpace([]byte(r.scenario.Files[args[2]])))
	case args[0] == "del" && len(args) == 2:
		call = "deleterange"
	default:
		return errors.New("want: put KEY FILE | del KEY")
	}
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.Lab.Topology.EtcdEndpoint()+"/v3/kv/"+call, bytes.NewReader(body))
	if err != nil {
		return err
	}
	res, err := (&http.Client{Timeout: 10 * time.Second}).Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 1000))
		return fmt.Errorf("etcd: %s: %s", res.Status, text)
	}
	return nil
}
