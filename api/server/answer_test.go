package server

import (
	"fmt"
	"strings"
	"testing"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/store"
)

// A full store answers: whoever asks is told what to do about it, and not that
// it is out of reach.
func TestExplainFullStore(t *testing.T) {
	t.Parallel()
	e := (&Server{}).explain(fmt.Errorf("etcd: update: %w, etcd raised its alarm NOSPACE", store.ErrFull))
	if e.Code != api.ErrorUnavailable || !strings.Contains(e.Message, "alarm NOSPACE") || strings.Contains(e.Message, "does not answer") ||
		!strings.Contains(e.Hint, "store-unreachable.md") {
		t.Errorf("%+v", e)
	}
}
