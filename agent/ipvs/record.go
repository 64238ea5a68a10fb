package ipvs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/node"
)

const (
	recordSchema = 1
	// maxRecord bounds what is read back.
	maxRecord = 16 << 20
)

// record is what the kernel cannot tell: which services are ours, and the
// weight that each of their destinations had last when it was not 0.
//
// It never claims more than what is so. What a change makes untrue is struck
// out on disk before the kernel is changed, and what it makes true is written
// after. A nominal weight that is missing costs one more write to the kernel;
// a wrong one would send customers elsewhere than the LB's neighbours do.
type record struct {
	Schema int `json:"schema"`
	// HostID is the life of the kernel's table that the record is about.
	HostID string `json:"host"`
	// Services are ours; the weights are the nominal ones by destination.
	Services map[netip.AddrPort]map[netip.AddrPort]int `json:"services"`
}

func newRecord(hostID string) *record {
	return &record{recordSchema, hostID, map[netip.AddrPort]map[netip.AddrPort]int{}}
}

// loadRecord reads the record. When it is missing, damaged, or of another life
// of the table, an empty one takes its place, and why tells the reason unless
// it is an ordinary one: then services that nobody asks for any more cannot be
// told from foreign ones, and stay.
func loadRecord(path, hostID string) (r *record, why error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return newRecord(hostID), nil
	}
	if err == nil && len(data) > maxRecord {
		err = errors.New("larger than any record")
	}
	loaded := newRecord("")
	if err == nil {
		err = json.Unmarshal(data, loaded)
	}
	if err == nil && loaded.Schema != recordSchema {
		err = fmt.Errorf("schema %d is not %d", loaded.Schema, recordSchema)
	}
	if err != nil {
		return newRecord(hostID), fmt.Errorf("ipvs record %s is lost: %w", path, err)
	}
	if loaded.HostID != hostID || loaded.Services == nil {
		return newRecord(hostID), nil
	}
	return loaded, nil
}

func (r *record) save(path string) error {
	data, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return node.WriteFileAtomic(path, append(data, '\n'), 0o644)
}

func (r *record) clone() *record {
	c := newRecord(r.HostID)
	for s, d := range r.Services {
		c.Services[s] = maps.Clone(d)
	}
	return c
}

func (r *record) equal(o *record) bool {
	return r.HostID == o.HostID && maps.EqualFunc(r.Services, o.Services, maps.Equal)
}

func (r *record) owns(s netip.AddrPort) bool {
	_, ok := r.Services[s]
	return ok
}

// before is the record that stays true whichever of the ops get done.
func (r *record) before(ops []op) *record {
	if len(ops) == 0 {
		return r
	}
	b := r.clone()
	for _, o := range ops {
		if o.action == holdSessions || o.action == releaseSessions {
			continue
		}
		if b.Services[o.service] == nil {
			b.Services[o.service] = map[netip.AddrPort]int{}
		}
		weights, d := b.Services[o.service], address(o.destination)
		switch o.action {
		case addService, deleteService:
			clear(weights)
		case addDestination, deleteDestination:
			delete(weights, d)
		case editDestination:
			if o.destination.Weight != 0 && o.destination.Weight != weights[d] {
				delete(weights, d)
			}
		}
	}
	return b
}

// after is the record of the tables that were reached. Services that failed
// stay ours whether they are there or not; what is doubtful is left out.
func (r *record) after(reached []api.Table, failed map[netip.AddrPort]bool, doubtful map[doubt]bool) *record {
	a := newRecord(r.HostID)
	for s := range failed {
		a.Services[s] = map[netip.AddrPort]int{}
	}
	for _, t := range reached {
		weights := make(map[netip.AddrPort]int, len(t.Destinations))
		a.Services[key(t)] = weights
		for _, d := range t.Destinations {
			if d.Nominal != 0 && !doubtful[doubt{key(t), address(d)}] {
				weights[address(d)] = d.Nominal
			}
		}
	}
	return a
}
