package speaker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/peerage/peerage/api/node"
	"github.com/peerage/peerage/realserver/bgp"
	"github.com/peerage/peerage/realserver/speaker/control"
)

// configFile is the last good configuration, in the state directory. It names
// keys and holds none.
const configFile = "config.json"

// Set implements control.Speaker.
func (s *Speaker) Set(ctx context.Context, c control.Config) (control.ConfigResult, error) {
	return s.set(ctx, c, false)
}

// set makes a configuration the one in force. One that was restored does not
// take the place of any other: that one is newer.
func (s *Speaker) set(ctx context.Context, c control.Config, restored bool) (control.ConfigResult, error) {
	s.setting.Lock()
	defer s.setting.Unlock()
	if restored && s.config.Load() != nil {
		return control.ConfigResult{}, nil
	}
	if s.closing.Load() {
		return control.ConfigResult{}, errors.New("the speaker is being shut down")
	}
	origins, bad := originsOf(c.Routes)
	now, err := compile(c, s.opts.Secrets, optionMemory())
	if err != nil {
		return control.ConfigResult{}, err
	}
	problems := append(now.problems(), bad...)
	old := s.table // only Set changes it
	now.keep(old, s.livePlaces())
	change, verdicts := diff(old, now), s.verdicts(now)
	if c.Additive {
		if err := refuse(change, verdicts); err != nil {
			return control.ConfigResult{}, err
		}
	}
	// Before anybody is let in: End-of-RIB tells that these were sent.
	routes := s.origins.set(origins)
	opened, ended, more := s.apply(ctx, now, change)
	problems = append(problems, more...)
	// Compared again: what could not be done is as it was.
	again := diff(old, now)
	changed := routes || s.config.Load() == nil || opened > 0 || !again.empty()
	s.mu.Lock()
	s.problems = len(problems)
	s.mu.Unlock()
	c.Additive = false
	s.config.Store(&c)
	result := control.ConfigResult{Changed: changed, Problems: problems}
	if changed {
		s.log.Info("configured", "listeners", len(now.listeners), "customers", len(now.customers), "problems", len(problems), "sessions ended", ended)
	}
	return result, s.save(c)
}

// refuse fails when a change would take something away.
func refuse(c change, verdicts map[*session]*bgp.Error) error {
	for session, why := range verdicts {
		return fmt.Errorf("%w: it would end %d sessions, such as %s (%s), and the one who wrote it may know less than the speaker", control.ErrRefused, len(verdicts), session.rec.id(), why.Reason)
	}
	if len(c.gone) > 0 {
		return fmt.Errorf("%w: it lacks %d neighbors, such as that of %s, and the one who wrote it may know less than the speaker", control.ErrRefused, len(c.gone), c.gone[0])
	}
	if len(c.close) > 0 {
		return fmt.Errorf("%w: it lacks %d addresses, such as %s, and the one who wrote it may know less than the speaker", control.ErrRefused, len(c.close), c.close[0])
	}
	return nil
}

// livePlaces are the neighbours that have sessions.
func (s *Speaker) livePlaces() map[place]bool {
	live := map[place]bool{}
	s.eachSession(func(c *session) { live[c.n.Load().place] = true })
	return live
}

// verdicts are the sessions that a table ends.
func (s *Speaker) verdicts(now *table) map[*session]*bgp.Error {
	all := map[*session]*bgp.Error{}
	s.eachSession(func(c *session) {
		if why := verdict(c.n.Load(), now.find(c.rec.key), c.as()); why != nil && c.stopped() == nil {
			all[c] = why
		}
	})
	return all
}

// find is the neighbour of a router, nil when it has none.
func (t *table) find(k recordKey) *neighbor {
	l := t.listeners[k.at()]
	if l == nil || l.own {
		return nil
	}
	return l.match(k.peer)
}

// apply makes a table the one in force, in this order: a key is there before
// connections are judged by it, and goes after. What could not be done is told.
func (s *Speaker) apply(ctx context.Context, now *table, c change) (listening, ended int, problems []string) {
	opened, problems := s.open(ctx, now)
	var later []keyOp
	for _, k := range c.keys {
		if k.key == "" || s.setKey(k) != nil {
			later = append(later, k) // when there is more room
		}
	}
	closing := s.replace(now, opened)
	s.eachSession(func(c *session) {
		if c.follow(now) {
			ended++
		}
	})
	for _, socket := range closing {
		if err := socket.close(); err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", socket.at, err))
		}
	}
	for _, k := range later {
		if err := s.setKey(k); err != nil {
			problems = append(problems, s.keyless(now, k, err))
		}
	}
	for _, socket := range opened {
		s.accepting.Go(func() { socket.accept(s.admitter(socket.at), s.acceptError) })
	}
	return len(opened), ended, append(problems, s.guardSockets(now)...)
}

// replace puts a table and its sockets in the place of those before, and
// returns the sockets that it has no more.
func (s *Speaker) replace(now *table, opened map[where]*socket) (closing []*socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.table = now
	for at, socket := range opened {
		s.sockets[at] = socket
	}
	for at, socket := range s.sockets {
		if now.listeners[at] == nil {
			closing = append(closing, socket)
			delete(s.sockets, at)
		}
	}
	s.recustomer(now)
	s.forget(now)
	return closing
}

// open listens at what a table has and nothing listens at.
func (s *Speaker) open(ctx context.Context, now *table) (opened map[where]*socket, problems []string) {
	opened = map[where]*socket{}
	for at, l := range now.listeners {
		if s.sockets[at] != nil { // only Set changes it
			continue
		}
		var keys []keyOp
		for _, n := range l.neighbors {
			if n.key != "" {
				keys = append(keys, keyOp{n.place, n.key})
			}
		}
		socket, err := openSocket(ctx, at, keys)
		if err != nil {
			problems = append(problems, fmt.Sprintf("pool %s: %v; another program may have the address, or the process may lack CAP_NET_BIND_SERVICE", l.pool, err))
			continue
		}
		opened[at] = socket
	}
	return opened, problems
}

// setKey sets a key on a listener that is there already.
func (s *Speaker) setKey(k keyOp) error {
	socket := s.sockets[k.at] // only Set changes it
	if socket == nil {
		return nil // it is opened with its keys
	}
	return socket.setKey(k)
}

// keyless refuses the routers of a neighbour whose key the kernel does not
// take: they must not get an unsigned session.
func (s *Speaker) keyless(now *table, k keyOp, err error) string {
	n := now.listeners[k.at].neighbors[k.prefix]
	if n == nil {
		return fmt.Sprintf("%s: the key was not taken away: %v", k.place, err)
	}
	broken := *n
	broken.problem, broken.key = err, ""
	s.mu.Lock()
	now.listeners[k.at].neighbors[k.prefix] = &broken
	s.mu.Unlock()
	return fmt.Sprintf("%s: %v", n, err)
}

// guardSockets has the kernel keep SYNs where TTL security needs them.
func (s *Speaker) guardSockets(now *table) (problems []string) {
	for at, l := range now.listeners {
		socket, on := s.sockets[at], false
		for _, n := range l.neighbors {
			on = on || n.ttlSecurity > 0
		}
		if socket == nil {
			continue
		}
		if err := socket.saveSYN(on); err != nil {
			problems = append(problems, fmt.Sprintf("%s: TTL security: %v", at, err))
		}
	}
	return problems
}

// recustomer keeps the counters and bounds of customers. s.mu is held.
func (s *Speaker) recustomer(now *table) {
	current := map[string]*customer{}
	for _, name := range now.customers {
		c := s.customers[name]
		if c == nil {
			c = newCustomer(name)
		}
		current[name] = c
	}
	s.customers = current
	for e := range s.ends {
		if current[e.customer] == nil {
			delete(s.ends, e)
		}
	}
	for _, l := range now.listeners {
		for _, n := range l.neighbors {
			if c := current[n.customer]; c != nil {
				c.memory.Set(n.limits.memory, false)
			}
		}
	}
}

// forget drops what is known of routers that may not come again. s.mu is held.
func (s *Speaker) forget(now *table) {
	for key, r := range s.records {
		n := now.find(key)
		if n != nil && n.pool == key.pool() {
			continue
		}
		r.mu.Lock()
		if len(r.conns) == 0 {
			delete(s.records, key)
		}
		r.mu.Unlock()
	}
}

// follow gives a session its new settings, or ends it. It is asked again after
// verdicts: connections may have come since.
func (s *session) follow(now *table) (ended bool) {
	if s.stopped() != nil {
		return false
	}
	n := now.find(s.rec.key)
	if why := verdict(s.n.Load(), n, s.as()); why != nil {
		s.stop(why)
		return true
	}
	if n.problem != nil {
		return false
	}
	old := s.n.Load() // only Set changes it
	if old.limits != n.limits {
		s.widen(old.limits, n.limits)
	}
	s.n.Store(n)
	if old.limits != n.limits {
		s.relimit(n.limits)
	}
	if old.ttlSecurity != n.ttlSecurity {
		if err := leastTTL(s.raw, s.rec.key.peer.Is4(), n.ttlSecurity); err != nil {
			s.stop(changed("TTL security cannot be set"))
			return true
		}
	}
	return false
}

// Config implements control.Speaker.
func (s *Speaker) Config() (control.Config, bool) {
	if c := s.config.Load(); c != nil {
		return *c, true
	}
	return control.Config{}, false
}

// save keeps a configuration for the next start.
func (s *Speaker) save(c control.Config) error {
	if s.opts.StateDir == "" {
		return nil
	}
	raw, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("configuration is in force and was not saved: %w", err)
	}
	if bytes.Equal(raw, s.saved) {
		return nil
	}
	if err := node.WriteFileAtomic(filepath.Join(s.opts.StateDir, configFile), raw, 0o600); err != nil {
		return fmt.Errorf("configuration is in force and was not saved: %w", err)
	}
	s.saved = raw
	return nil
}

// restore sets the last good configuration, if there is one.
func (s *Speaker) restore(ctx context.Context) error {
	if s.opts.StateDir == "" {
		return nil
	}
	raw, err := os.ReadFile(filepath.Join(s.opts.StateDir, configFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var c control.Config
	if err := json.Unmarshal(raw, &c); err != nil {
		return fmt.Errorf("%s: %w", configFile, err)
	}
	if c.Schema > control.Schema {
		return fmt.Errorf("%s: schema %d is newer than this program", configFile, c.Schema)
	}
	result, err := s.set(ctx, c, true)
	for _, p := range result.Problems {
		s.log.Warn("problem of the last good configuration", "problem", p)
	}
	return err
}
