package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/peerage/peerage/api"
)

const (
	// defaultTimeout bounds one attempt of a request at one server.
	defaultTimeout = 30 * time.Second
	// dialTimeout bounds what a dead server costs before the next is asked.
	dialTimeout = 3 * time.Second
	// maxAnswer bounds what is read of an answer.
	maxAnswer = 64 << 20
)

// Config says which controllers to speak to, and as whom.
type Config struct {
	// Servers are base URLs, such as https://ctl-1:7443, in the order of
	// preference. A bare host:port is http.
	Servers []string
	// TLS is for https servers; nil: the system's authorities.
	TLS *tls.Config
	// Actor is who asks, for the audit trail of a server that does not ask
	// for client certificates.
	Actor string
	// Timeout bounds one attempt at one server. Default 30s.
	Timeout time.Duration
	// OnRetry is told of attempts that failed and are repeated, if not nil.
	OnRetry func(error)
}

// Client speaks to the API. It is safe for concurrent use.
type Client struct {
	cfg     Config
	servers []*url.URL
	http    *http.Client

	mu   sync.Mutex
	last int // the index of the server that answered last
}

// New makes a client. It does no I/O.
func New(cfg Config) (*Client, error) {
	if len(cfg.Servers) == 0 {
		return nil, errors.New("no server is given; name at least one, such as http://127.0.0.1:8179")
	}
	c := &Client{cfg: cfg}
	if c.cfg.Timeout == 0 {
		c.cfg.Timeout = defaultTimeout
	}
	for _, s := range cfg.Servers {
		u, err := parseServer(s)
		if err != nil {
			return nil, err
		}
		c.servers = append(c.servers, u)
	}
	dialer := &net.Dialer{Timeout: dialTimeout}
	c.http = &http.Client{Transport: &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         dialer.DialContext,
		TLSClientConfig:     cfg.TLS,
		TLSHandshakeTimeout: dialTimeout,
		ForceAttemptHTTP2:   true,
		IdleConnTimeout:     time.Minute,
		MaxIdleConnsPerHost: 8,
	}}
	return c, nil
}

func parseServer(s string) (*url.URL, error) {
	text := s
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("server %q is not a URL; write one such as https://ctl-1:7443", s)
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host, Path: strings.TrimSuffix(u.Path, "/")}, nil
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// UnreachableError says that no server could be spoken to.
type UnreachableError struct {
	// Errs has one error for each server that was tried.
	Errs []error
}

// Error implements error.
func (e *UnreachableError) Error() string {
	texts := make([]string, len(e.Errs))
	for i, err := range e.Errs {
		texts[i] = err.Error()
	}
	return "the API cannot be reached: " + strings.Join(texts, "; ") +
		"; check --server and that peerage-controller runs there"
}

// Unwrap gives errors.Is and errors.As the causes.
func (e *UnreachableError) Unwrap() []error { return e.Errs }

// ExitCode is what a program exits with after err.
func ExitCode(err error) api.ExitCode {
	if e, ok := errors.AsType[*api.Error](err); ok {
		return e.Code.Exit()
	}
	if _, ok := errors.AsType[*UnreachableError](err); ok {
		return api.ExitUnreachable
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return api.ExitTimeout
	}
	return api.ExitCodeOf(err)
}

// request is one request, ready to be made at any server.
type request struct {
	method string
	path   string
	query  url.Values
	body   []byte
	kind   string // the body's content type
}

// do makes a request at the first server that answers it and decodes the
// answer into out.
func (c *Client) do(ctx context.Context, r request, out any) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout*time.Duration(len(c.servers)))
	defer cancel()
	resp, err := c.first(ctx, r, c.cfg.Timeout)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return &UnreachableError{[]error{fmt.Errorf("%s %s: %w", r.method, r.path, err)}}
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("%s %s: the answer is not understood: %w; are client and server of one version?", r.method, r.path, err)
	}
	return nil
}

// first asks the servers in turn, beginning with the one that answered last.
// The next is asked after a failed connection and after 503, because another
// replica may have what this one lacks.
func (c *Client) first(ctx context.Context, r request, header time.Duration) (*http.Response, error) {
	c.mu.Lock()
	start := c.last
	c.mu.Unlock()
	var failed []error
	var answer *api.Error
	for i := range c.servers {
		n := (start + i) % len(c.servers)
		resp, err := c.try(ctx, c.servers[n], r, header)
		apiErr, isAPI := errors.AsType[*api.Error](err)
		switch {
		case err == nil || isAPI && apiErr.Code.Exit() != api.ExitUnreachable:
			c.mu.Lock()
			c.last = n
			c.mu.Unlock()
			return resp, err
		case isAPI:
			answer = apiErr
		default:
			failed = append(failed, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	switch {
	case answer != nil:
		return nil, answer
	case errors.Is(ctx.Err(), context.Canceled):
		return nil, ctx.Err()
	}
	return nil, &UnreachableError{failed}
}

// try makes a request at one server. The time until the answer begins is
// bounded; the body is bounded by ctx alone, because it may be a stream.
func (c *Client) try(ctx context.Context, base *url.URL, r request, header time.Duration) (*http.Response, error) {
	ctx, cancel := context.WithCancel(ctx)
	timer := time.AfterFunc(header, cancel)
	u := *base
	path, err := url.PathUnescape(r.path)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("%s %s: %w", r.method, r.path, err)
	}
	u.Path, u.RawPath, u.RawQuery = base.Path+path, base.EscapedPath()+r.path, r.query.Encode()
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), bytes.NewReader(r.body))
	if err != nil {
		cancel()
		return nil, fmt.Errorf("%s %s: %w", r.method, r.path, err)
	}
	if r.kind != "" {
		req.Header.Set("Content-Type", r.kind)
	}
	if c.cfg.Actor != "" {
		req.Header.Set(api.HeaderActor, c.cfg.Actor)
	}
	resp, err := c.http.Do(req)
	if !timer.Stop() && err != nil {
		err = fmt.Errorf("%s: no answer within %s", base, header)
	}
	if err != nil {
		cancel()
		return nil, shorten(base, err)
	}
	resp.Body = &cancelBody{resp.Body, cancel}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, decodeError(base, resp)
}

// shorten drops method and URL, which net/http puts in front of the cause.
func shorten(base *url.URL, err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return fmt.Errorf("%s: %w", base, e.Err)
	}
	return err
}

// cancelBody ends the request's context with its body.
type cancelBody struct {
	io.ReadCloser
	cancel context.CancelFunc
}

// Close implements io.Closer.
func (b *cancelBody) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}

// decodeError reads the error of an answer. Something else than the API may
// answer, such as a proxy: then status and text are the error.
func decodeError(base *url.URL, resp *http.Response) error {
	data, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	var body api.ErrorBody
	if err == nil && json.Unmarshal(data, &body) == nil && body.Error != nil && body.Error.Code != "" {
		return body.Error
	}
	text, _, _ := strings.Cut(strings.TrimSpace(string(data)), "\n")
	if len(text) > 200 {
		text = text[:200]
	}
	return fmt.Errorf("%s: %s: %s; is this a Peerage controller?", base, resp.Status, text)
}
