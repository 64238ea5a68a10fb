package server

import (
	"context"
	"net/http"
	"slices"
	"strconv"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/store"
)

// acceptStore names the store that answers now as the one to trust. Nothing
// is refused by preview here: the risk is that the whole site goes back to
// what the backup knew.
func (s *Server) acceptStore(ctx context.Context, r *http.Request) (any, error) {
	var in api.StoreAcceptRequest
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	if err := risks(in.AcceptRisk); err != nil {
		return nil, err
	}
	why, err := reason(in.Reason)
	if err != nil {
		return nil, err
	}
	now, by, known := s.now(), actor(r), s.cfg.Mirror.State()
	var result *api.StoreAcceptResult
	_, err = s.cfg.Store.Update(ctx, func(tx *store.Tx) error {
		base := tx.State()
		result = &api.StoreAcceptResult{Before: base.StoreIntent, After: base.StoreIntent}
		if known.Held == nil {
			return nil // there is nothing to accept
		}
		cluster := strconv.FormatUint(base.ClusterID, 16)
		if !slices.Contains(in.AcceptRisk, api.RiskRestoredStore) {
			return held(known.Held)
		}
		result.Changed = true
		result.After = &api.StoreIntent{Schema: api.Schema, ClusterID: cluster, Revision: base.Revision,
			Mark: api.Mark{By: by, Reason: why, At: now, AcceptedRisks: sortedRisks(in.AcceptRisk)}}
		tx.PutStoreIntent(result.After)
		tx.Event(api.Event{At: s.moment(), By: by, Verb: "accept-store", Object: "Store/" + cluster, Reason: why,
			Message: "the store at revision " + strconv.FormatInt(base.Revision, 10) + " is trusted as it is"})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return result, nil
}
