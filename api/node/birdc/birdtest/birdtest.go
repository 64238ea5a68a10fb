// Package birdtest runs a real BIRD for tests.
package birdtest

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/peerage/peerage/api/node/birdc"
)

// Binary is the path of BIRD. Without one the test is skipped, or fails in
// the lab (PEERAGE_LAB=1), where a skip would hide a defect.
func Binary(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"bird", "/usr/sbin/bird"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("PEERAGE_LAB") == "1" {
		t.Fatal("the lab has no bird")
	}
	t.Skip("needs BIRD 2: install the package bird2")
	return ""
}

// Dir is a directory with a path short enough for a socket's.
func Dir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "bird")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// Bird is a running BIRD.
type Bird struct {
	*birdc.Client
	// File is its configuration.
	File string
	// Log gathers what it writes.
	Log *Buffer
}

// Start runs BIRD in the foreground with a configuration until the test ends.
func Start(t testing.TB, config string) *Bird {
	t.Helper()
	binary, dir := Binary(t), Dir(t)
	b := &Bird{
		Client: &birdc.Client{Socket: filepath.Join(dir, "ctl"), Timeout: 10 * time.Second},
		File:   filepath.Join(dir, "bird.conf"),
		Log:    &Buffer{},
	}
	b.Write(t, config)
	cmd := exec.Command(binary, "-f", "-c", b.File, "-s", b.Socket, "-P", filepath.Join(dir, "pid"))
	cmd.Stdout, cmd.Stderr = b.Log, b.Log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("BIRD's log:\n%s", b.Log)
		}
	})
	Await(t, func(ctx context.Context) bool {
		select {
		case <-ended:
			t.Fatalf("BIRD ended: %s", b.Log)
		default:
		}
		s, err := b.Status(ctx)
		return err == nil && s.Ready
	})
	return b
}

// Write replaces the configuration file. BIRD logs to standard error.
func (b *Bird) Write(t testing.TB, config string) {
	t.Helper()
	if err := os.WriteFile(b.File, []byte("log stderr all;\n"+config), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Await waits for a condition, at most half a minute.
func Await(t testing.TB, condition func(context.Context) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !condition(ctx) {
		select {
		case <-ctx.Done():
			t.Fatal("the condition did not come true in time")
		case <-tick.C:
		}
	}
}

// Buffer is a bytes.Buffer for one writer and any readers.
type Buffer struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

// Write implements io.Writer.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// String is everything written so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
