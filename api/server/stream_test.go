package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/server"
	"github.com/peerage/peerage/api/server/servertest"
)

// lines follows a stream.
func lines(ctx context.Context, t testing.TB, url string) (next func() api.StreamLine) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if ct := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || ct != "application/x-ndjson" {
		t.Fatalf("%s: %s %s", url, resp.Status, ct)
	}
	d := json.NewDecoder(resp.Body)
	return func() api.StreamLine {
		t.Helper()
		var line api.StreamLine
		if err := d.Decode(&line); err != nil {
			t.Fatalf("%s: %v", url, err)
		}
		return line
	}
}

func TestStreams(t *testing.T) {
	s := servertest.New(t, func(cfg *server.Config) { cfg.MaxWatches, cfg.Heartbeat = 2, 50*time.Millisecond })
	c := newCaller(t, s)
	doc := readDocument(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	list := lines(ctx, t, s.HTTP.URL+"/v1/realservers?watch=1")
	if line := list(); line.Type != api.StreamValue || !strings.Contains(string(line.Value), `"items":[]`) {
		t.Errorf("the first line is %+v", line)
	}
	if line := list(); line.Type != api.StreamHeartbeat {
		t.Errorf("the second line is %+v", line)
	}
	events := lines(ctx, t, s.HTTP.URL+"/v1/events?watch=1")
	if line := events(); line.Type != api.StreamHeartbeat {
		t.Errorf("a stream of events begins with %+v", line)
	}
	c.refused("GET", "/v1/status?watch=1", "", 503, api.ErrorOverloaded, "2 watch streams")

	do[api.ApplyResult](c, "POST", "/v1/apply", site)
	line := list()
	for line.Type == api.StreamHeartbeat {
		line = list()
	}
	if !strings.Contains(string(line.Value), "rs-1") {
		t.Errorf("the change is %s", line.Value)
	}
	event := events()
	for event.Type == api.StreamHeartbeat {
		event = events()
	}
	var v any
	if err := json.Unmarshal(event.Value, &v); err != nil || event.ID == "" {
		t.Errorf("%+v: %v", event, err)
	}
	for _, e := range doc.check(doc.at("components", "schemas", "Event").(map[string]any), v, "$") {
		t.Error(e)
	}
	cancel()
	// Both places are free again, once the server has noticed.
	resume := context.WithoutCancel(t.Context())
	url := s.HTTP.URL + "/v1/events?watch=1&from=" + event.ID
	for {
		status, _ := c.get(resume, url)
		if status == http.StatusOK {
			break
		}
	}
	again := lines(t.Context(), t, url)
	next := again()
	for next.Type == api.StreamHeartbeat {
		next = again()
	}
	if next.ID <= event.ID || !strings.Contains(string(next.Value), "RealServer/") {
		t.Errorf("resumed after %s with %+v", event.ID, next)
	}
}

// get asks for the head of an answer alone.
func (c *caller) get(ctx context.Context, url string) (int, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, errors.Join(resp.Body.Close())
}
