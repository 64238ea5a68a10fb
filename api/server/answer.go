package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/store"
)

// statusOf is the HTTP status of an error code.
func statusOf(code api.ErrorCode) int {
	switch code {
	case api.ErrorInvalid, api.ErrorUnknownRisk:
		return http.StatusBadRequest
	case api.ErrorTooLarge:
		return http.StatusRequestEntityTooLarge
	case api.ErrorNotFound:
		return http.StatusNotFound
	case api.ErrorConflict, api.ErrorInUse, api.ErrorStoreHeld:
		return http.StatusConflict
	case api.ErrorRefused:
		return http.StatusUnprocessableEntity
	case api.ErrorUnavailable, api.ErrorOverloaded:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

func invalid(format string, args ...any) *api.Error {
	return &api.Error{Code: api.ErrorInvalid, Message: fmt.Sprintf(format, args...)}
}

func notFound(kind api.Kind, name string, known []string) *api.Error {
	e := &api.Error{Code: api.ErrorNotFound, Object: string(kind) + "/" + name,
		Message: fmt.Sprintf("%s %q does not exist", kind, name)}
	if near := api.Nearest(name, known); near != "" {
		e.Hint = fmt.Sprintf("did you mean %q?", near)
	} else if len(known) > 0 && len(known) <= 10 {
		e.Hint = "there is " + strings.Join(known, ", ")
	}
	return e
}

func unavailable(what string, cause error) *api.Error {
	e := &api.Error{Code: api.ErrorUnavailable, Message: what,
		Hint: "check etcd and the controller's way to it; what runs on the nodes goes on"}
	if cause != nil {
		e.Message += ": " + cause.Error()
	}
	return e
}

// explain turns any error of an operation into one of the API.
func (s *Server) explain(err error) *api.Error {
	if e, ok := errors.AsType[*api.Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &api.Error{Code: api.ErrorTooLarge,
			Message: fmt.Sprintf("the body is larger than the %d bytes that are accepted", e.Limit),
			Hint:    "apply the objects in several parts"}
	}
	switch {
	case errors.Is(err, store.ErrHeld):
		return held(err)
	case errors.Is(err, store.ErrConflict):
		return &api.Error{Code: api.ErrorConflict, Message: "others keep changing the store: " + err.Error(), Hint: "try again"}
	case errors.Is(err, store.ErrFull):
		return &api.Error{Code: api.ErrorUnavailable, Message: "nothing was changed: " + err.Error(),
			Hint: "docs/runbooks/store-unreachable.md has the steps; what runs on the nodes goes on"}
	case errors.Is(err, store.ErrTooLarge):
		return &api.Error{Code: api.ErrorTooLarge, Message: err.Error(), Hint: "apply the objects in several parts"}
	}
	return unavailable("nothing was changed that is known of: the store does not answer", err)
}

func held(cause error) *api.Error {
	return &api.Error{Code: api.ErrorStoreHeld, Message: "the store is not believed: " + cause.Error(),
		Refusals: []api.Refusal{{Risk: api.RiskRestoredStore, Message: cause.Error()}},
		Hint:     "if it is the right one: peeragectl store accept --accept-risk=" + string(api.RiskRestoredStore)}
}

func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	e := s.explain(err)
	s.failStatus(w, r, statusOf(e.Code), e)
}

func (s *Server) failStatus(w http.ResponseWriter, r *http.Request, status int, e *api.Error) {
	if status >= http.StatusInternalServerError {
		s.log.Warn("request failed", "method", r.Method, "path", r.URL.Path, "code", e.Code, "error", e.Message)
	}
	for _, refusal := range e.Refusals {
		s.metrics.refusals.WithLabelValues(string(refusal.Risk)).Inc()
	}
	s.respond(w, r, status, api.ErrorBody{Error: e})
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request, out any) {
	s.respond(w, r, http.StatusOK, out)
}

func (s *Server) respond(w http.ResponseWriter, r *http.Request, status int, out any) {
	data, err := json.Marshal(out)
	if err != nil {
		s.log.Error("answer cannot be encoded", "path", r.URL.Path, "error", err)
		status, data = http.StatusInternalServerError, []byte(`{"error":{"code":"internal","message":"the answer cannot be encoded"}}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(data)+1))
	w.WriteHeader(status)
	if _, err := w.Write(append(data, '\n')); err != nil {
		s.log.Debug("answer was not taken", "path", r.URL.Path, "error", err)
	}
}

// mark says in the headers which state an answer is of.
func mark(h http.Header, st *api.State) {
	h.Set(api.HeaderRevision, strconv.FormatInt(st.Revision, 10))
	if why := staleReason(st); why != "" {
		h.Set(api.HeaderStale, oneLine(why))
	}
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// decode reads the strict JSON of a verb. An empty body asks for nothing.
func decode(r *http.Request, into any) error {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return readError(err)
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return &api.Error{Code: api.ErrorInvalid, Message: "the body: " + strings.TrimPrefix(err.Error(), "json: "),
			Hint: "/openapi.yaml describes it"}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return invalid("the body has more data after the JSON value")
	}
	return nil
}

// readError keeps a body that is too large, and blames the client for others.
func readError(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return err
	}
	return invalid("the body could not be read: %v", err)
}

// risks checks names of guards.
func risks(list []api.Risk) error {
	for _, r := range list {
		if !r.Known() {
			return &api.Error{Code: api.ErrorUnknownRisk, Message: fmt.Sprintf("risk %q is not known", r),
				Hint: fmt.Sprintf("the risks are %s", joinRisks(api.Risks()))}
		}
	}
	return nil
}

func joinRisks(list []api.Risk) string {
	texts := make([]string, len(list))
	for i, r := range list {
		texts[i] = string(r)
	}
	return strings.Join(texts, ", ")
}

// guard refuses a change whose refusals are not all accepted.
func guard(object string, p api.Preview, accepted []api.Risk) error {
	var open []api.Refusal
	for _, r := range p.Refusals {
		if !slices.Contains(accepted, r.Risk) {
			open = append(open, r)
		}
	}
	if len(open) == 0 {
		return nil
	}
	messages := make([]string, len(open))
	flags := make([]api.Risk, 0, len(open))
	for i, r := range open {
		messages[i] = r.Message
		if !slices.Contains(flags, r.Risk) {
			flags = append(flags, r.Risk)
		}
	}
	// What was accepted already must be given again beside it.
	for _, r := range accepted {
		if !slices.Contains(flags, r) {
			flags = append(flags, r)
		}
	}
	return &api.Error{Code: api.ErrorRefused, Object: object, Refusals: open, Plan: &p,
		Message: object + " stays as it is: " + strings.Join(messages, "; "),
		Hint:    "to do it all the same: --accept-risk=" + strings.ReplaceAll(joinRisks(flags), ", ", ",")}
}
