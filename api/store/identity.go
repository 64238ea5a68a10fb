package store

import (
	"fmt"
	"strconv"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/peerage/peerage/api"
)

// identity is what tells one store from another.
type identity struct {
	ClusterID uint64 `json:"clusterID"`
	Revision  int64  `json:"revision"`
	// AcceptedAt is the time of the last acceptance seen, so that one that
	// came out of the backup itself does not count.
	AcceptedAt time.Time `json:"acceptedAt,omitzero"`
}

// identityOf is what a state knows of the store that it was read from.
func identityOf(st *api.State) identity {
	id := identity{ClusterID: st.ClusterID, Revision: st.Revision}
	if st.StoreIntent != nil {
		id.AcceptedAt = st.StoreIntent.At
	}
	return id
}

// differs says why now cannot be the store that was known before.
func (id identity) differs(now identity) error {
	switch {
	case id.ClusterID == 0:
		return nil
	case id.ClusterID != now.ClusterID:
		return held("cluster %s answers, known is %s", formatCluster(now.ClusterID), formatCluster(id.ClusterID))
	case now.Revision < id.Revision:
		return held("it is at revision %d, known is %d", now.Revision, id.Revision)
	}
	return nil
}

// accepts tells whether operators accepted the store that answers, after the
// last acceptance that was known.
func (id identity) accepts(now identity, intent *api.StoreIntent) bool {
	return intent != nil && intent.ClusterID == formatCluster(now.ClusterID) && intent.At.After(id.AcceptedAt)
}

func formatCluster(id uint64) string { return strconv.FormatUint(id, 16) }

// heldError says why a store is not believed.
type heldError struct{ reason string }

func held(format string, args ...any) error { return &heldError{fmt.Sprintf(format, args...)} }

// Error implements error.
func (e *heldError) Error() string {
	return fmt.Sprintf("%v: %s; it may have been restored from a backup: check it, then run `peeragectl store accept --accept-risk=%s`",
		ErrHeld, e.reason, api.RiskRestoredStore)
}

// Unwrap makes it an ErrHeld.
func (e *heldError) Unwrap() error { return ErrHeld }

// mark is where a key stands in the history of the store.
type mark struct {
	Create  int64 `json:"c"`
	Mod     int64 `json:"m"`
	Version int64 `json:"v"`
}

func markOf(kv *mvccpb.KeyValue) mark { return mark{kv.CreateRevision, kv.ModRevision, kv.Version} }

// contradicts says why a listing cannot continue the history that was known
// up to a revision: a restored store whose revision has meanwhile overtaken
// the known one, under the same cluster ID. known holds the marks of all keys
// of the class at that revision.
func contradicts(kvs []*mvccpb.KeyValue, known map[string]mark, revision int64, class func(key string) bool) error {
	for _, kv := range kvs {
		key := string(kv.Key)
		if !class(key) {
			continue
		}
		was, have := known[key]
		now := markOf(kv)
		switch {
		case now.Mod <= revision && (!have || was != now), // the past changed
			now.Create <= revision && (!have || was.Create != now.Create),                        // so did its beginning
			now.Mod > revision && have && was.Create == now.Create && now.Version <= was.Version: // a change was undone
			return held("key %s does not continue what was known of it at revision %d", key, revision)
		}
	}
	return nil
}
