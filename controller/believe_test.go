package controller

import (
	"errors"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/peerage/peerage/api"
)

// An error is not an empty answer: nothing is planned from what may only not
// have been read.
func TestBelievable(t *testing.T) {
	away := errors.New("connection refused")
	for _, tc := range []struct {
		name  string
		state api.State
		want  string // part of the reason; empty: planned
	}{
		{"current", api.State{Synced: true}, ""},
		{"nothing was read", api.State{}, "not read"},
		{"from the disk", api.State{FromCache: true, Synced: true}, "not read"},
		{"lost", api.State{Synced: true, Stale: away}, "connection refused"},
		{"restored from a backup", api.State{Synced: true, Held: errors.New("another cluster"), Stale: away}, "another cluster"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := believable(&tc.state)
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
}

// Planning never waits for the audit trail.
func TestTrailIsBounded(t *testing.T) {
	tr := newTrail(nil, hclog.NewNullLogger(), newMetrics())
	for range 2 * trailSize {
		tr.add(api.Event{})
	}
	if len(tr.queue) != trailSize {
		t.Errorf("%d events wait, want %d", len(tr.queue), trailSize)
	}
}

func TestTrailOfOnePlanIsBounded(t *testing.T) {
	tr := newTrail(nil, hclog.NewNullLogger(), newMetrics())
	before, after := generation(1), generation(2)
	for range 5 * maxTold {
		after.Destinations = append(after.Destinations, api.Destination{Server: "rs"})
	}
	tr.changes(&term{Controller: New(Config{})}, before, after)
	if len(tr.queue) != maxTold+1 {
		t.Errorf("one plan makes %d events, want %d and a summary", len(tr.queue), maxTold)
	}
}
