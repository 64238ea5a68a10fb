//go:build linux

package demo

import (
	"testing"
	"time"

	"github.com/peerage/peerage/api"
)

func TestAcceptedAt(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0).UTC() }
	event := func(s int, verb, object, by string) api.Event {
		return api.Event{At: at(s), Verb: verb, Object: object, By: by}
	}
	events := []api.Event{ // the newest first
		event(23, "pool", "RealServer/rs-2", "ctl-2"), // what the leader did about it
		event(22, "pool", "RealServer/rs-3", "root@lab"),
		event(21, "pool", "RealServer/rs-2", "root@lab"),
		event(20, "depool", "RealServer/rs-2", "root@lab"),
		event(10, "pool", "RealServer/rs-2", "root@lab"), // another time
	}
	if got, err := acceptedAt(events, "pool", "rs-2", at(15)); err != nil || !got.Equal(at(21)) {
		t.Errorf("accepted at %v, %v; want %v", got, err, at(21))
	}
	if got, err := acceptedAt(events, "pool", "rs-2", at(24)); err == nil {
		t.Errorf("accepted at %v, before the verb", got)
	}
}
