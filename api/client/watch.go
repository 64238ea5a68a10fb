package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"time"

	"github.com/peerage/peerage/api"
)

const (
	// silence is how long a stream may be quiet before it counts as dead; the
	// server sends a heartbeat more often.
	silence = 35 * time.Second
	// firstRetry and lastRetry bound the pause before a stream is opened again.
	firstRetry = 100 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// WatchStatus yields the status now and whenever it changes. A stream that
// breaks is opened again, at any server, until ctx ends; only the first
// connection may fail. The sequence ends after an error.
func (c *Client) WatchStatus(ctx context.Context) iter.Seq2[*api.Status, error] {
	return watch[api.Status](ctx, c, "/v1/status", url.Values{})
}

// WatchEvents yields events as they happen, after the event of ID from; empty:
// from now on. It goes on as WatchStatus does, without losing an event that
// the trail still has.
func (c *Client) WatchEvents(ctx context.Context, from string) iter.Seq2[*api.Event, error] {
	q := url.Values{}
	if from != "" {
		q.Set("from", from)
	}
	return watch[api.Event](ctx, c, "/v1/events", q)
}

// errStopped ends a stream whose reader has seen enough.
var errStopped = errors.New("stopped")

func watch[T any](ctx context.Context, c *Client, path string, q url.Values) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		q.Set("watch", "1")
		opened, pause := false, firstRetry
		for {
			err := c.stream(ctx, request{method: http.MethodGet, path: path, query: q}, func(line api.StreamLine) error {
				opened, pause = true, firstRetry
				if line.ID != "" {
					q.Set("from", line.ID)
				}
				if line.Type != api.StreamValue {
					return nil
				}
				v := new(T)
				if err := json.Unmarshal(line.Value, v); err != nil {
					return fmt.Errorf("%s: the stream is not understood: %w", path, err)
				}
				if !yield(v, nil) {
					return errStopped
				}
				return nil
			})
			if errors.Is(err, errStopped) {
				return
			}
			if ctx.Err() != nil {
				yield(nil, ctx.Err())
				return
			}
			if !opened || !transient(err) {
				yield(nil, err)
				return
			}
			if c.cfg.OnRetry != nil {
				c.cfg.OnRetry(err)
			}
			select {
			case <-ctx.Done():
				yield(nil, ctx.Err())
				return
			case <-time.After(pause):
			}
			pause = min(2*pause, lastRetry)
		}
	}
}

// transient tells whether the same request may succeed later.
func transient(err error) bool {
	if e, ok := errors.AsType[*api.Error](err); ok {
		return e.Code.Exit() == api.ExitUnreachable
	}
	_, unreachable := errors.AsType[*UnreachableError](err)
	return unreachable
}

// stream reads one stream until it ends, and hands each line on.
func (c *Client) stream(ctx context.Context, r request, fn func(api.StreamLine) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	resp, err := c.first(ctx, r, c.cfg.Timeout)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	quiet := time.AfterFunc(silence, cancel)
	defer quiet.Stop()
	lines := bufio.NewReader(resp.Body)
	for {
		var line api.StreamLine
		data, err := readLine(lines)
		if err == nil {
			err = json.Unmarshal(data, &line)
		}
		if err != nil {
			return &UnreachableError{[]error{fmt.Errorf("%s: the stream broke off: %w", r.path, err)}}
		}
		quiet.Reset(silence)
		if line.Type == api.StreamError && line.Error != nil {
			return line.Error
		}
		if err := fn(line); err != nil {
			return err
		}
	}
}

// readLine reads one bounded line.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, more, err := r.ReadLine()
		if err != nil {
			return nil, err
		}
		line = append(line, part...)
		if len(line) > maxAnswer {
			return nil, fmt.Errorf("a line is longer than %d bytes: %w", maxAnswer, io.ErrShortBuffer)
		}
		if !more {
			return line, nil
		}
	}
}
