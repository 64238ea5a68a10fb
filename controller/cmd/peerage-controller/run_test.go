package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/peerage/peerage/api"
)

// output is a log that a test can read while it is written.
type output struct {
	mu    sync.Mutex
	lines bytes.Buffer
	found chan string // the URL of the API
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var line struct {
		Message string `json:"@message"`
		API     string `json:"api"`
	}
	if json.Unmarshal(p, &line) == nil && line.Message == "listening" {
		o.found <- line.API
	}
	return o.lines.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.lines.String()
}

// start runs the program; the test ends it.
func start(t *testing.T, args string) (url string, stop func()) {
	t.Helper()
	out := &output{found: make(chan string, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, strings.Fields("--log-json --name ctl-1 --listen 127.0.0.1:0 "+args), nil, io.Discard, out)
	}()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			select {
			case err := <-done:
				if err != nil {
					t.Errorf("the controller ended with: %v", err)
				}
			case <-time.After(30 * time.Second):
				t.Error("the controller does not stop")
			}
			if t.Failed() {
				t.Log(out)
			}
		})
	}
	t.Cleanup(stop)
	select {
	case url = <-out.found:
	case err := <-done:
		t.Fatalf("the controller does not start: %v\n%s", err, out)
	case <-time.After(30 * time.Second):
		t.Fatalf("the controller does not listen:\n%s", out)
	}
	return url, stop
}

// get waits until the API answers a path with a status.
func get(t *testing.T, url string, status int) string {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		r, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r.Body)
		_ = r.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if r.StatusCode == status {
			return string(body)
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s answers %s: %s", url, r.Status, body)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestEmbedded(t *testing.T) {
	args := "--embedded-etcd " + t.TempDir() + " --embedded-etcd-listen http://127.0.0.1:0"
	url, stop := start(t, args)
	get(t, url+"/readyz", http.StatusOK)
	if m := get(t, url+"/metrics", http.StatusOK); !strings.Contains(m, "peerage_controller_state") || !strings.Contains(m, "peerage_store_revision") {
		t.Errorf("metrics lack those of the controller or of the store:\n%s", m)
	}
	var status struct {
		Controllers []struct{ Name string }
	}
	if err := json.Unmarshal([]byte(get(t, url+"/v1/status", http.StatusOK)), &status); err != nil {
		t.Fatal(err)
	}
	stop()
	url, _ = start(t, args) // on the same data
	get(t, url+"/readyz", http.StatusOK)
}

func TestWithoutStore(t *testing.T) {
	url, _ := start(t, "--etcd http://127.0.0.1:1")
	if why := get(t, url+"/readyz", http.StatusServiceUnavailable); !strings.Contains(why, "etcd") && !strings.Contains(why, "store") {
		t.Errorf("not ready because: %s", why)
	}
	get(t, url+"/healthz", http.StatusOK)
}

func TestStateDirectoryInUse(t *testing.T) {
	dir := t.TempDir()
	start(t, "--etcd http://127.0.0.1:1 --state-dir "+dir)
	err := run(t.Context(), strings.Fields("--name ctl-2 --listen 127.0.0.1:0 --etcd http://127.0.0.1:1 --state-dir "+dir), nil, io.Discard, io.Discard)
	if api.ExitCodeOf(err) != api.ExitConflict {
		t.Errorf("a second controller in the directory: %v", err)
	}
}
