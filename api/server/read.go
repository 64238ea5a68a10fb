package server

import (
	"encoding/json"
	"net/http"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/node"
)

func (s *Server) status(st *api.State, _ *http.Request) (any, error) {
	known := *st
	known.Alarms = s.cfg.Store.Alarms()
	return BuildStatus(&known, s.now()), nil
}

func (s *Server) plans(st *api.State, _ *http.Request) (any, error) {
	list := api.List[*api.Plan]{Revision: st.Revision, Stale: staleReason(st), Items: []*api.Plan{}}
	for _, name := range keys(st.Plans) {
		list.Items = append(list.Items, st.Plans[name])
	}
	return list, nil
}

func (s *Server) plan(st *api.State, r *http.Request) (any, error) {
	name := r.PathValue("pool")
	if plan := st.Plans[name]; plan != nil {
		return plan, nil
	}
	if st.Pools[name] != nil {
		return nil, &api.Error{Code: api.ErrorNotFound, Object: "Pool/" + name, Message: "pool " + name + " has no plan yet",
			Hint: "the leader makes one; status says whether there is a leader"}
	}
	return nil, notFound(api.KindPool, name, keys(st.Pools))
}

// list answers with all objects of a kind.
func (s *Server) list(kind api.Kind) reader {
	return func(st *api.State, _ *http.Request) (any, error) {
		list := api.List[json.RawMessage]{Revision: st.Revision, Stale: staleReason(st), Items: []json.RawMessage{}}
		for _, o := range st.Objects() {
			if o.ObjectKind() != kind {
				continue
			}
			data, err := api.Marshal(o)
			if err != nil {
				return nil, err
			}
			list.Items = append(list.Items, data)
		}
		return list, nil
	}
}

// get answers with one object.
func (s *Server) get(kind api.Kind) reader {
	return func(st *api.State, r *http.Request) (any, error) {
		name := r.PathValue("name")
		o := find(st, kind, name)
		if o == nil {
			return nil, notFound(kind, name, names(st, kind))
		}
		data, err := api.Marshal(o)
		if err != nil {
			return nil, err
		}
		return json.RawMessage(data), nil
	}
}

func (s *Server) version(w http.ResponseWriter, r *http.Request) {
	s.answer(w, r, api.VersionInfo{Name: s.cfg.Name, Version: node.Version, Leader: s.cfg.Mirror.State().Leader})
}

// find is an object of a state, or nil.
func find(st *api.State, kind api.Kind, name string) api.Object { return st.Object(kind, name) }

func names(st *api.State, kind api.Kind) []string {
	var all []string
	for _, o := range st.Objects() {
		if o.ObjectKind() == kind {
			all = append(all, o.ObjectMeta().Name)
		}
	}
	return all
}
