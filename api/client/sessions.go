package client

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/netip"
	"net/url"

	"github.com/peerage/peerage/api"
)

// maxRouteLine bounds one line of a stream of routes.
const maxRouteLine = 1 << 20

// SessionFilter selects sessions; an empty field matches all.
type SessionFilter struct {
	Customer, Pool string
	// Server is a real server.
	Server string
	State  string
	Peer   netip.Addr
}

func (f SessionFilter) query() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{"customer": f.Customer, "pool": f.Pool, "server": f.Server, "state": f.State} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if f.Peer.IsValid() {
		q.Set("peer", f.Peer.String())
	}
	return q
}

// Sessions lists the sessions of the fleet. An answer whose Unreachable is not
// empty is not complete.
func (c *Client) Sessions(ctx context.Context, f SessionFilter) (*api.SessionList, error) {
	out := new(api.SessionList)
	if err := c.do(ctx, request{method: http.MethodGet, path: "/v1/sessions", query: f.query()}, out); err != nil {
		return nil, err
	}
	return out, nil
}

// Session reads the sessions of one ID, or of one router by its address: at
// least one.
func (c *Client) Session(ctx context.Context, id string) (*api.SessionList, error) {
	path, err := sessionPath(id)
	if err != nil {
		return nil, err
	}
	out := new(api.SessionList)
	if err := c.do(ctx, request{method: http.MethodGet, path: path}, out); err != nil {
		return nil, err
	}
	return out, nil
}

// Lookup finds the routes for an address: the longest match of each session.
// session is an ID or the address of a router, or empty.
func (c *Client) Lookup(ctx context.Context, addr netip.Addr, f SessionFilter, session string) (*api.LookupResult, error) {
	q := f.query()
	q.Set("addr", addr.String())
	if session != "" {
		q.Set("session", session)
	}
	out := new(api.LookupResult)
	if err := c.do(ctx, request{method: http.MethodGet, path: "/v1/routes/lookup", query: q}, out); err != nil {
		return nil, err
	}
	return out, nil
}

// SessionRoutes yields every route that a session announced. An error ends the
// sequence; one that ends without is complete.
func (c *Client) SessionRoutes(ctx context.Context, id string) iter.Seq2[*api.Route, error] {
	return func(yield func(*api.Route, error) bool) {
		path, err := sessionPath(id)
		if err != nil {
			yield(nil, err)
			return
		}
		resp, err := c.first(ctx, request{method: http.MethodGet, path: path + "/routes"}, c.cfg.Timeout)
		if err != nil {
			yield(nil, err)
			return
		}
		defer resp.Body.Close()
		lines := bufio.NewScanner(resp.Body)
		lines.Buffer(make([]byte, 0, 64<<10), maxRouteLine)
		for lines.Scan() {
			var line struct {
				api.Route
				api.ErrorBody
			}
			err := json.Unmarshal(lines.Bytes(), &line)
			switch {
			case err != nil:
				err = fmt.Errorf("routes of session %s: a line is not understood: %w", id, err)
			case line.Error != nil:
				err = line.Error
			case !line.Prefix.IsValid():
				return // the mark of the end
			}
			if err != nil {
				yield(nil, err)
				return
			}
			line.Server = resp.Header.Get(api.HeaderServer)
			if !yield(&line.Route, nil) {
				return
			}
		}
		err = lines.Err()
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		yield(nil, &UnreachableError{[]error{fmt.Errorf("routes of session %s: the stream was cut: %w", id, err)}})
	}
}

func sessionPath(id string) (string, error) {
	if id == "" || id == "." || id == ".." {
		return "", fmt.Errorf("%q is not a session; write its ID, or the router's address", id)
	}
	return "/v1/sessions/" + url.PathEscape(id), nil
}
