package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/node"
)

// recordFile is the name of the record in the state directory.
const recordFile = "agent.json"

// maxRecord bounds what is read back: a thousand pools of a thousand servers.
const maxRecord = 256 << 20

// record is what the agent must know again after it was killed at any moment:
// what it had accepted, and how warm this life of the kernel is.
type record struct {
	Schema int `json:"schema"`
	// HostID names the life of the kernel that warmth belongs to.
	HostID string `json:"hostID"`
	// Warm says that the connection table of this life may be relied on.
	Warm bool `json:"warm"`
	// Listening is when the connection sync began to fill an empty table.
	Listening time.Time `json:"listening,omitzero"`
	// WarmVIPs were announced while nobody else did: there was nothing to wait
	// for.
	WarmVIPs []netip.Addr `json:"warmVIPs,omitempty"`
	// Accepted is the newest acceptance of a restored store that was seen.
	Accepted time.Time `json:"accepted,omitzero"`
	// Plans are the last good plans, by pool: those that the host is made
	// equal to.
	Plans map[string]*api.Plan `json:"plans"`
	// LoadBalancer and ConnSync are the configuration that was in force.
	LoadBalancer *api.LoadBalancer `json:"loadBalancer,omitempty"`
	ConnSync     api.ConnSync      `json:"connSync,omitzero"`
}

func newRecord() *record { return &record{Schema: api.Schema, Plans: map[string]*api.Plan{}} }

// loadRecord reads the record. A missing one is a first start. A damaged one
// is an error that comes with an empty record: the agent then knows nothing of
// before, which is safe, because nothing is ever removed for lack of knowledge.
func loadRecord(path string) (*record, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return newRecord(), nil
	}
	if err == nil && info.Size() > maxRecord {
		err = fmt.Errorf("%d bytes are more than a record can have", info.Size())
	}
	var data []byte
	if err == nil {
		data, err = os.ReadFile(path)
	}
	rec := newRecord()
	if err == nil {
		err = json.Unmarshal(data, rec)
	}
	if err == nil && rec.Schema > api.Schema {
		err = fmt.Errorf("schema %d is newer than this program's %d", rec.Schema, api.Schema)
	}
	if err != nil {
		return newRecord(), fmt.Errorf("record %s: %w", path, err)
	}
	for pool, p := range rec.Plans {
		if p == nil {
			delete(rec.Plans, pool)
		}
	}
	if rec.Plans == nil {
		rec.Plans = map[string]*api.Plan{}
	}
	return rec, nil
}

// saved is what is on disk.
type saved struct {
	rec  record // a copy, to see without rendering that nothing changed
	data []byte
}

// same compares by identity: plans are never changed.
func (r *record) same(o *record) bool {
	return r.Schema == o.Schema && r.HostID == o.HostID && r.Warm == o.Warm && r.Listening.Equal(o.Listening) &&
		slices.Equal(r.WarmVIPs, o.WarmVIPs) && r.Accepted.Equal(o.Accepted) && maps.Equal(r.Plans, o.Plans) &&
		r.LoadBalancer == o.LoadBalancer && r.ConnSync == o.ConnSync
}

// save writes the record when it differs from what was saved last, and returns
// what is on disk.
func (r *record) save(path string, last saved) (saved, error) {
	if last.data != nil && r.same(&last.rec) {
		return last, nil
	}
	data, err := json.Marshal(r)
	if err != nil {
		return last, fmt.Errorf("record %s: %w", path, err)
	}
	now := saved{*r, data}
	now.rec.Plans, now.rec.WarmVIPs = maps.Clone(r.Plans), slices.Clone(r.WarmVIPs)
	if slices.Equal(data, last.data) {
		return now, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return last, fmt.Errorf("record: %w", err)
	}
	if err := node.WriteFileAtomic(path, data, 0o640); err != nil {
		return last, fmt.Errorf("record: %w", err)
	}
	return now, nil
}
