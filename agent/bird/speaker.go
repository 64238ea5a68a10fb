package bird

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/node/birdc"
)

// ErrNotRunning says that nobody answers on BIRD's control socket. Nothing is
// announced then, and the include file is in place for BIRD's start.
var ErrNotRunning = errors.New("BIRD is not running")

// ErrRefused says that BIRD does not take the configuration. The include file
// is what it was before.
var ErrRefused = errors.New("BIRD refuses the configuration")

const (
	// defaultWait bounds how long an effect is waited for. BIRD needs
	// milliseconds; a machine under load may need more.
	defaultWait = 5 * time.Second
	pollEvery   = 20 * time.Millisecond
	// configureEvery is between two requests when one was merged or lost.
	configureEvery = 500 * time.Millisecond
)

// Control is the part of birdc.Client that the speaker uses.
type Control interface {
	Eval(ctx context.Context, expression string) (string, error)
	Configure(ctx context.Context) error
	Routes(ctx context.Context, table string) ([]birdc.Route, error)
	Exported(ctx context.Context, table, protocol string) ([]birdc.Route, error)
	Protocols(ctx context.Context) ([]birdc.Protocol, error)
	BFDSessions(ctx context.Context) ([]birdc.BFDSession, error)
}

// Options say where BIRD is.
type Options struct {
	Control Control
	// Include is the file that is ours, MainConfig the one of the site that
	// includes it, Binary the program that checks them.
	Include, MainConfig, Binary string
	// Secret returns the TCP-MD5 key of a name.
	Secret SecretFunc
	// Group may read the include file; empty: only the owner.
	Group  string
	Logger hclog.Logger
	// Wait bounds how long an effect is waited for; 0: 5s.
	Wait time.Duration
	// Failed is called when a configuration did not come into force.
	Failed func()
}

// Speaker drives one BIRD. It belongs to one goroutine.
type Speaker struct {
	o Options
}

// New makes a speaker. It does no I/O.
func New(o Options) *Speaker {
	if o.Wait == 0 {
		o.Wait = defaultWait
	}
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	if o.Failed == nil {
		o.Failed = func() {}
	}
	return &Speaker{o: o}
}

// Set makes BIRD announce exactly what the configuration says, waits until that
// is so, and returns what it read back. When BIRD already does, nothing is
// written and nothing is asked of it.
//
// The file holds a revision that BIRD answers when asked for it: so an agent
// that was killed between writing and configuring finds out, and "OK" from
// BIRD need not be believed.
func (s *Speaker) Set(ctx context.Context, want Config) (State, error) {
	r, err := Render(want, s.o.Secret)
	var written bool
	if err == nil {
		written, err = s.place(ctx, r)
	}
	if err != nil {
		s.o.Failed()
		err = errors.Join(err, s.withdrawOnly(ctx, want))
		state, _ := s.Read(ctx)
		return state, err
	}
	running, err := s.running(ctx)
	if err == nil && (written || running != r.Revision) {
		if err = s.configure(ctx, r); err == nil {
			s.o.Logger.Info("BIRD took a new configuration", "routes", len(want.Routes), "peers", len(want.Fabric.Peers))
		}
	}
	if err != nil {
		s.o.Failed()
		state, _ := s.Read(ctx)
		return state, fmt.Errorf("bird: %w", err)
	}
	return s.readBack(ctx, want)
}

// place puts the file there when it differs, after BIRD checked it.
func (s *Speaker) place(ctx context.Context, r Rendered) (written bool, err error) {
	if old, err := os.ReadFile(s.o.Include); err == nil && string(old) == string(r.Text) {
		return false, nil
	}
	if err := s.check(ctx, r); err != nil {
		return false, err
	}
	if err := replace(s.o.Include, r.Text, s.o.Group); err != nil {
		return false, fmt.Errorf("bird include: %w", err)
	}
	return true, nil
}

// running is the revision that BIRD runs; 0 when it runs no file of ours.
func (s *Speaker) running(ctx context.Context) (uint32, error) {
	text, err := s.o.Control.Eval(ctx, revisionSymbol)
	var refusal *birdc.Error
	if errors.As(err, &refusal) {
		return 0, nil // BIRD does not know the symbol
	}
	if err != nil {
		return 0, s.reach(err)
	}
	n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 32)
	if err != nil {
		return 0, nil //nolint:nilerr // whatever it is, it is not our revision
	}
	return uint32(n), nil
}

// configure asks BIRD to read the file and waits until it runs it. BIRD merges
// or refuses requests that follow each other quickly, so it is asked again.
func (s *Speaker) configure(ctx context.Context, r Rendered) error {
	waiting, cancel := context.WithTimeout(ctx, s.o.Wait)
	defer cancel()
	var asked time.Time
	for {
		if time.Since(asked) >= configureEvery {
			asked = time.Now()
			if err := s.request(waiting, r); err != nil && waiting.Err() == nil {
				return err
			}
		}
		running, err := s.running(waiting)
		switch {
		case err != nil && waiting.Err() == nil:
			return err
		case err == nil && running == r.Revision:
			return nil
		case !pause(waiting, pollEvery):
			return fmt.Errorf("it does not run revision %d %s after `configure`: does its configuration include %s?",
				r.Revision, s.o.Wait, s.o.Include)
		}
	}
}

// request asks once.
func (s *Speaker) request(ctx context.Context, r Rendered) error {
	err := s.o.Control.Configure(ctx)
	var refusal *birdc.Error
	switch {
	case errors.As(err, &refusal):
		return fmt.Errorf("%w: %s", ErrRefused, scrub(refusal.Message, r.Secrets))
	case err != nil && !errors.Is(err, birdc.ErrInProgress):
		return s.reach(err)
	}
	return nil
}

// readBack waits until BIRD holds exactly the wanted routes and no peer is
// told of another one.
func (s *Speaker) readBack(ctx context.Context, want Config) (State, error) {
	ctx, cancel := context.WithTimeout(ctx, s.o.Wait)
	defer cancel()
	for {
		state, err := s.Read(ctx)
		if err != nil {
			return state, err
		}
		if err = state.differs(want); err == nil {
			return state, nil
		}
		if !pause(ctx, pollEvery) {
			s.o.Failed()
			return state, fmt.Errorf("bird: %s after it took the configuration, %w", s.o.Wait, err)
		}
	}
}

// differs tells how the state is not what was wanted. A route that no peer was
// told of yet is no difference: peers may be down.
func (st State) differs(want Config) error {
	if !maps.Equal(st.Routes, want.Routes) {
		return fmt.Errorf("its tables hold %d routes that are not the %d wanted", len(st.Routes), len(want.Routes))
	}
	for _, vip := range slices.SortedFunc(maps.Keys(st.Exported), netip.Addr.Compare) {
		if _, ok := want.Routes[vip]; !ok {
			return fmt.Errorf("%s is still exported", vip)
		}
	}
	return nil
}

// Read returns what BIRD holds now.
func (s *Speaker) Read(ctx context.Context) (State, error) {
	st := State{Routes: map[netip.Addr]uint32{}, Exported: map[netip.Addr]bool{}, Peers: map[string]api.FabricState{}}
	protocols, err := s.o.Control.Protocols(ctx)
	if err != nil {
		return st, fmt.Errorf("bird: %w", s.reach(err))
	}
	for _, p := range protocols {
		if p.Name != staticV4 && p.Name != staticV6 {
			continue
		}
		table := tableV4
		if p.Name == staticV6 {
			table = tableV6
		}
		if err := s.readRoutes(ctx, table, st.Routes); err != nil {
			return st, err
		}
	}
	bfd, err := s.o.Control.BFDSessions(ctx)
	if err != nil {
		return st, fmt.Errorf("bird: %w", s.reach(err))
	}
	for _, p := range protocols {
		peer, ours := strings.CutPrefix(p.Description, description)
		if !ours || p.BGP == nil || !strings.HasPrefix(p.Name, prefix) {
			continue
		}
		st.Peers[peer] = fabricState(p, bfd)
		if !p.Established() {
			continue
		}
		if err := s.readExported(ctx, p, st.Exported); err != nil {
			return st, err
		}
	}
	return st, nil
}

func (s *Speaker) readRoutes(ctx context.Context, table string, into map[netip.Addr]uint32) error {
	routes, err := s.o.Control.Routes(ctx, table)
	if err != nil {
		return fmt.Errorf("bird: table %s: %w", table, s.reach(err))
	}
	for _, r := range routes {
		med, err := strconv.ParseUint(r.Attributes[medAttribute], 10, 32)
		if err != nil {
			return fmt.Errorf("bird: table %s: route %s: %s %q is no number", table, r.Prefix, medAttribute, r.Attributes[medAttribute])
		}
		into[r.Prefix.Addr()] = uint32(med)
	}
	return nil
}

func (s *Speaker) readExported(ctx context.Context, p birdc.Protocol, into map[netip.Addr]bool) error {
	for _, c := range p.Channels {
		routes, err := s.o.Control.Exported(ctx, c.Table, p.Name)
		if err != nil {
			return fmt.Errorf("bird: exports of %s: %w", p.Name, s.reach(err))
		}
		for _, r := range routes {
			into[r.Prefix.Addr()] = true
		}
	}
	return nil
}

func fabricState(p birdc.Protocol, bfd []birdc.BFDSession) api.FabricState {
	st := api.FabricState{State: p.BGP.State}
	for _, b := range bfd {
		if b.Neighbor == p.BGP.Neighbor {
			st.BFD = b.State
		}
	}
	return st
}

// reach tells "nobody is there" from other failures of the socket.
func (s *Speaker) reach(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%w; start it, or name its control socket with --bird-socket: %w", ErrNotRunning, err)
	}
	return err
}

// pause waits; false: the context ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// scrub keeps the keys out of a message.
func scrub(message string, secrets []string) string {
	for _, s := range secrets {
		if s != "" {
			message = strings.ReplaceAll(message, s, "(hidden)")
		}
	}
	return message
}
