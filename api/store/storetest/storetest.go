// Package storetest runs a real etcd for tests.
package storetest

import (
	"testing"
	"time"

	"github.com/peerage/peerage/api/store/embed"
)

// Start runs an empty etcd on loopback for the time of the test and returns
// its endpoints.
func Start(t testing.TB) []string {
	t.Helper()
	return StartServer(t).Endpoints()
}

// Server is an etcd that a test can stop and start again.
type Server struct {
	t      testing.TB
	cfg    embed.Config
	server *embed.Server
}

// StartServer runs an empty etcd on loopback for the time of the test.
func StartServer(t testing.TB) *Server {
	t.Helper()
	s := &Server{t: t, cfg: embed.Config{
		Dir:          t.TempDir(),
		ListenClient: "http://127.0.0.1:0",
		Tick:         10 * time.Millisecond,
		NoFsync:      true,
	}}
	s.Start()
	t.Cleanup(s.Stop)
	return s
}

// Start starts a stopped server on the same directory and port.
func (s *Server) Start() {
	s.t.Helper()
	server, err := embed.Start(s.t.Context(), s.cfg)
	if err != nil {
		s.t.Fatalf("start etcd: %v", err)
	}
	s.server = server
	s.cfg.ListenClient = server.Endpoints()[0]
}

// Stop stops the server; its data stays. It may be stopped already.
func (s *Server) Stop() {
	if s.server == nil {
		return
	}
	if err := s.server.Close(); err != nil {
		s.t.Errorf("stop etcd: %v", err)
	}
	s.server = nil
}

// Endpoints are the URLs for clients; they stay the same over a restart.
func (s *Server) Endpoints() []string { return []string{s.cfg.ListenClient} }
