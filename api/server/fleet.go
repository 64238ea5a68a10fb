package server

import (
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

	"golang.org/x/sync/errgroup"

	"github.com/peerage/peerage/api"
)

const (
	// maxAsked bounds how many real servers are asked at the same time.
	maxAsked = 32
	// dialNode bounds what a dead machine costs.
	dialNode = 2 * time.Second
	// maxNodeAnswer bounds one real server's answer: 10,000 sessions take 10 MiB.
	maxNodeAnswer = 32 << 20
	// maxItems bounds the answer of all of them: clients read 64 MiB.
	maxItems = 50_000
)

// The paths of a real server's API, which are those of its speaker's socket.
const (
	nodeSessions = "/v1/sessions"
	nodeLookup   = "/v1/lookup"
)

// fleet asks real servers what their speakers know.
type fleet struct {
	http    *http.Client
	timeout time.Duration
}

func newFleet(config *tls.Config, timeout time.Duration) *fleet {
	return &fleet{timeout: timeout, http: &http.Client{
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: dialNode}).DialContext,
			TLSClientConfig:     config,
			TLSHandshakeTimeout: dialNode,
			// A stream of routes has no other bound until it begins.
			ResponseHeaderTimeout: timeout,
			IdleConnTimeout:       time.Minute,
			MaxIdleConnsPerHost:   4,
		},
		// A real server does not send elsewhere: who does is not one.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// asked is a round of questions to real servers.
type asked struct {
	mu sync.Mutex // guards the fields below
	// unreachable says why a real server has no part in the answer.
	unreachable map[string]string
	reached     int
	items       int
}

var errTooMany = errors.New("too many items")

// each asks every real server that should hold sessions, or only the named
// one, the same question, side by side. take is called with the answers, one
// at a time; it returns how many items it took.
func (s *Server) each(ctx context.Context, st *api.State, only, path string, q url.Values, take func(server string, body []byte) (int, error)) (*asked, error) {
	a := &asked{unreachable: map[string]string{}}
	var g errgroup.Group // without a context: one failure is not another's
	g.SetLimit(maxAsked)
	for _, name := range expected(st) {
		if only != "" && only != name {
			continue
		}
		g.Go(func() error {
			body, status, err := s.fleet.get(ctx, st.LiveRealServers[name], path, q)
			a.mu.Lock()
			defer a.mu.Unlock()
			if status == http.StatusNotFound {
				a.reached++ // it answered that it has no such thing
				return nil
			}
			n := 0
			if err == nil {
				n, err = take(name, body)
			}
			if err != nil {
				a.unreachable[name] = oneLine(err.Error())
				return nil
			}
			a.reached++
			if a.items += n; a.items > maxItems {
				return errTooMany
			}
			return nil
		})
	}
	if g.Wait() != nil {
		return nil, &api.Error{Code: api.ErrorTooLarge, Message: fmt.Sprintf("the answer has more than %d items", maxItems),
			Hint: "ask for one customer, pool or real server"}
	}
	if a.reached == 0 && len(a.unreachable) > 0 {
		return nil, a.nobody()
	}
	return a, nil
}

// nobody is the error when no real server answered: that is no empty answer.
func (a *asked) nobody() *api.Error {
	var texts []string
	for _, name := range keys(a.unreachable) {
		texts = append(texts, name+": "+a.unreachable[name])
	}
	return &api.Error{Code: api.ErrorUnavailable, Message: "no real server answers: " + strings.Join(texts, "; "),
		Hint: "peeragectl status shows which are alive; they answer when peerage-realserver runs with --api-listen"}
}

// expected are the real servers that may hold sessions: those that are members
// of a pool, and those that are alive.
func expected(st *api.State) []string {
	all := map[string]bool{}
	for _, p := range st.Pools {
		for _, name := range p.Spec.RealServers {
			all[name] = true
		}
	}
	for name := range st.LiveRealServers {
		all[name] = true
	}
	return keys(all)
}

// get asks one real server. The error says why there is no answer.
func (f *fleet) get(ctx context.Context, live *api.Live, path string, q url.Values) (body []byte, status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	resp, err := f.open(ctx, live, path, q)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("no answer within %v", f.timeout)
		}
		return nil, 0, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxNodeAnswer+1))
	switch {
	case err != nil:
		return nil, 0, fmt.Errorf("the answer broke off: %w", err)
	case len(body) > maxNodeAnswer:
		return nil, 0, fmt.Errorf("the answer has more than %d MiB; ask for one customer or pool", maxNodeAnswer>>20)
	case resp.StatusCode != http.StatusOK:
		return nil, resp.StatusCode, nodeError(resp.Status, body)
	}
	return body, resp.StatusCode, nil
}

// open begins a question. The body of the answer ends with ctx.
func (f *fleet) open(ctx context.Context, live *api.Live, path string, q url.Values) (*http.Response, error) {
	switch {
	case live == nil:
		return nil, errors.New("peerage-realserver is not alive there")
	case live.API == "":
		return nil, errors.New("peerage-realserver serves no API there: start it with --api-listen")
	}
	base, err := url.Parse(live.API)
	if err != nil {
		return nil, fmt.Errorf("it advertises %q: %w", live.API, err)
	}
	u := base.JoinPath(path)
	u.RawQuery = q.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := f.http.Do(req)
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = fmt.Errorf("%s: %w", live.API, e.Err)
	}
	return resp, err
}

// nodeError reads the error of a real server's answer.
func nodeError(status string, body []byte) error {
	var e struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(body, &e) == nil && e.Error != "" {
		return errors.New(clean(e.Error, maxReason))
	}
	return fmt.Errorf("it answers %s; is that a real server of this version?", status)
}
