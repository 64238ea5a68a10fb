package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
)

const (
	// maxLine bounds one route: 64 KiB of attributes, written as text.
	maxLine = 1 << 20
	// maxAnswer bounds any other answer.
	maxAnswer = 256 << 20
)

// Client asks a speaker. It is safe for concurrent use; every call ends with
// its context.
type Client struct {
	socket string
	http   *http.Client
}

// NewClient makes a client of the speaker at a socket. It does not connect.
func NewClient(socket string) *Client {
	return &Client{socket, &http.Client{Transport: Transport(socket)}}
}

// Transport carries requests to any host to the socket, for a proxy.
func Transport(socket string) http.RoundTripper {
	return &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
		DisableCompression: true,
		MaxIdleConns:       4,
	}
}

// Close lets idle connections go.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// NotRunning tells whether an error of a Client means that there is no
// speaker: no socket, or nobody who listens there.
func NotRunning(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

// Configure hands over a Config.
func (c *Client) Configure(ctx context.Context, cfg Config) (ConfigResult, error) {
	body, err := json.Marshal(cfg)
	if err != nil {
		return ConfigResult{}, fmt.Errorf("speaker: %w", err)
	}
	var result ConfigResult
	err = c.call(ctx, http.MethodPut, PathConfig, nil, bytes.NewReader(body), &result)
	return result, err
}

// Config is what the speaker was told last; ErrNotFound: nothing.
func (c *Client) Config(ctx context.Context) (cfg Config, err error) {
	err = c.call(ctx, http.MethodGet, PathConfig, nil, nil, &cfg)
	return cfg, err
}

// Status is what the speaker says of itself.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	err = c.call(ctx, http.MethodGet, PathStatus, nil, nil, &s)
	return s, err
}

// Sessions lists sessions.
func (c *Client) Sessions(ctx context.Context, f Filter) (all []Session, err error) {
	q := url.Values{}
	set(q, "customer", f.Customer)
	set(q, "pool", f.Pool)
	if f.Peer.IsValid() {
		q.Set("peer", f.Peer.String())
	}
	err = c.call(ctx, http.MethodGet, PathSessions, q, nil, &all)
	return all, err
}

// Session is one session; ErrNotFound: there is none.
func (c *Client) Session(ctx context.Context, id string) (s Session, err error) {
	err = c.call(ctx, http.MethodGet, sessionPath(PathSession, id), nil, nil, &s)
	return s, err
}

// Reset ends a session; text is told to the router.
func (c *Client) Reset(ctx context.Context, id, text string) error {
	q := url.Values{}
	set(q, "text", text)
	return c.call(ctx, http.MethodPost, sessionPath(PathReset, id), q, nil, nil)
}

// Lookup finds the longest match of each session.
func (c *Client) Lookup(ctx context.Context, addr netip.Addr, f LookupFilter) (routes []Route, err error) {
	q := url.Values{"addr": {addr.String()}}
	set(q, "customer", f.Customer)
	set(q, "session", f.Session)
	err = c.call(ctx, http.MethodGet, PathLookup, q, nil, &routes)
	return routes, err
}

// Routes streams the routes of a session. The first error ends it; a stream
// that was cut is an error.
func (c *Client) Routes(ctx context.Context, id string) iter.Seq2[Route, error] {
	return func(yield func(Route, error) bool) {
		response, err := c.do(ctx, http.MethodGet, sessionPath(PathRoutes, id), nil, nil)
		if err != nil {
			yield(Route{}, err)
			return
		}
		defer response.Body.Close()
		lines := bufio.NewScanner(response.Body)
		lines.Buffer(make([]byte, 0, 64<<10), maxLine)
		for lines.Scan() {
			var line struct {
				Route
				Failure
			}
			err := json.Unmarshal(lines.Bytes(), &line)
			switch {
			case err == nil && line.Error != "":
				err = fmt.Errorf("speaker: %s", line.Error)
			case err == nil && !line.Prefix.IsValid():
				return // the mark of the end
			}
			if err != nil {
				yield(Route{}, err)
				return
			}
			if !yield(line.Route, nil) {
				return
			}
		}
		err = lines.Err()
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		yield(Route{}, fmt.Errorf("speaker: routes of session %s: %w", id, err))
	}
}

func set(q url.Values, key, value string) {
	if value != "" {
		q.Set(key, value)
	}
}

func sessionPath(pattern, id string) string {
	return strings.Replace(pattern, "{id}", url.PathEscape(id), 1)
}

// call makes a request and decodes the answer into out.
func (c *Client) call(ctx context.Context, method, path string, q url.Values, body io.Reader, out any) error {
	response, err := c.do(ctx, method, path, q, body)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, maxAnswer)).Decode(out); err != nil {
		return fmt.Errorf("speaker at %s: %w", c.socket, err)
	}
	return nil
}

func (c *Client) do(ctx context.Context, method, path string, q url.Values, body io.Reader) (*http.Response, error) {
	target := "http://speaker" + path
	if len(q) > 0 {
		target += "?" + q.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, fmt.Errorf("speaker: %w", err)
	}
	response, err := c.http.Do(request)
	if err != nil {
		// The URL is a stand-in: what counts is the socket.
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err
		}
		return nil, fmt.Errorf("speaker at %s: %w", c.socket, err)
	}
	if response.StatusCode/100 == 2 {
		return response, nil
	}
	defer response.Body.Close()
	return nil, failure(response)
}

// failure turns an answer back into the Speaker's error.
func failure(response *http.Response) error {
	raw, _ := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	var f Failure
	if json.Unmarshal(raw, &f) != nil || f.Error == "" {
		f.Error = strings.TrimSpace(string(raw))
	}
	var kind error
	switch response.StatusCode {
	case http.StatusNotFound:
		kind = ErrNotFound
	case http.StatusConflict:
		kind = ErrRefused
	case http.StatusBadRequest:
		kind = ErrInvalid
	default:
		return fmt.Errorf("speaker: %s (%s)", f.Error, response.Status)
	}
	return &answer{f.Error, kind}
}

// answer is an error that crossed the socket.
type answer struct {
	text string
	kind error
}

func (a *answer) Error() string { return "speaker: " + a.text }

// Unwrap makes errors.Is find the kind.
func (a *answer) Unwrap() error { return a.kind }
