// Package storetest runs a real etcd for tests: it starts in about 0.1 s, on a
// free port of the loopback, and can be stopped, restored from a copy of its
// data, or replaced by an empty one. StartCluster runs three that are one store,
// each of which can crash, hang, lose the others or be replaced.
package storetest

import (
	"os"
	"path/filepath"
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
	return start(t, embed.Config{ListenClient: "http://127.0.0.1:0"})
}

func start(t testing.TB, cfg embed.Config) *Server {
	t.Helper()
	cfg.Dir = filepath.Join(t.TempDir(), "etcd")
	cfg.Tick = 10 * time.Millisecond
	cfg.NoFsync = true
	s := &Server{t: t, cfg: cfg}
	s.Start()
	t.Cleanup(s.Stop)
	return s
}

// Start starts a stopped server on the same data and port.
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

// Restart stops and starts the server.
func (s *Server) Restart() {
	s.t.Helper()
	s.Stop()
	s.Start()
}

// Backup copies the data of a stopped server, for Restore.
func (s *Server) Backup() (dir string) {
	s.t.Helper()
	s.mustBeStopped()
	dir = filepath.Join(s.t.TempDir(), "backup")
	s.copy(dir, s.cfg.Dir)
	return dir
}

// Restore puts a backup in the place of the data of a stopped server.
func (s *Server) Restore(dir string) {
	s.t.Helper()
	s.Wipe()
	s.copy(s.cfg.Dir, dir)
}

// Wipe removes the data of a stopped server: it will start as another, empty
// cluster.
func (s *Server) Wipe() {
	s.t.Helper()
	s.mustBeStopped()
	if err := os.RemoveAll(s.cfg.Dir); err != nil {
		s.t.Fatal(err)
	}
}

func (s *Server) copy(to, from string) {
	s.t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		s.t.Fatal(err)
	}
	// etcd wants its directories for itself.
	if err := os.Chmod(to, 0o700); err != nil {
		s.t.Fatal(err)
	}
}

func (s *Server) mustBeStopped() {
	s.t.Helper()
	if s.server != nil {
		s.t.Fatal("etcd is running: stop it first")
	}
}

// Endpoints are the URLs for clients; they stay the same over a restart.
func (s *Server) Endpoints() []string { return []string{s.cfg.ListenClient} }
