package swarm

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// control answers questions about a swarm that runs: HTTP and JSON on a unix
// socket, so that curl can ask as well as peerage-swarm itself.
type control struct {
	swarm    *Swarm
	server   *http.Server
	serving  sync.WaitGroup
	failed   error      // of the server; read after serving
	answers  sync.Mutex // one at a time: each one copies every record
	lastMark *Mark      // made through this socket; guarded by answers
}

// controlTimeout bounds one question.
const controlTimeout = 30 * time.Second

// serveControl listens on a unix socket. A socket that nobody answers on, of a
// swarm that was killed, is replaced.
func serveControl(path string, s *Swarm) (*control, error) {
	l, err := net.Listen("unix", path)
	if errors.Is(err, unix.EADDRINUSE) {
		if c, dialErr := net.DialTimeout("unix", path, time.Second); dialErr == nil {
			_ = c.Close()
			return nil, fmt.Errorf("control socket %s: another swarm answers there", path)
		}
		if err = os.Remove(path); err == nil {
			l, err = net.Listen("unix", path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	c := &control{swarm: s}
	c.server = &http.Server{Handler: c.handler(), ReadTimeout: controlTimeout, WriteTimeout: controlTimeout}
	c.serving.Go(func() {
		if err := c.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			c.failed = fmt.Errorf("control socket: %w", err)
		}
	})
	return c, nil
}

// close ends the listener and what is being answered.
func (c *control) close() error {
	err := c.server.Close()
	c.serving.Wait()
	return errors.Join(c.failed, err)
}

func (c *control) handler() http.Handler {
	mux := http.NewServeMux()
	answer := func(pattern string, f func(r *http.Request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			c.answers.Lock()
			out, err := f(r)
			c.answers.Unlock()
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			e := json.NewEncoder(w)
			if records, many := out.([]Record); many {
				for i := 0; i < len(records) && err == nil; i++ {
					err = e.Encode(&records[i])
				}
				return
			}
			_ = e.Encode(out) // whoever asked is gone
		})
	}
	answer("GET /status", c.status)
	answer("GET /sessions", c.sessions)
	answer("POST /mark", c.mark)
	answer("POST /reset", c.reset)
	return mux
}

// status is the summary since the last mark of the socket, or since the
// beginning.
func (c *control) status(r *http.Request) (any, error) {
	m := c.lastMark
	if r.FormValue("since") == "beginning" {
		m = nil
	}
	return c.swarm.SummarySince(m), nil
}

// sessions lists records, the ones asked for, without their histories.
func (c *control) sessions(r *http.Request) (any, error) {
	which, err := c.which(r)
	if err != nil {
		return nil, err
	}
	now := c.swarm.since()
	records := make([]Record, 0, len(which))
	for _, i := range which {
		records = append(records, c.swarm.sessions[i].snapshot(now, false, true))
	}
	return records, nil
}

// Marked answers POST /mark.
type Marked struct {
	At Seconds `json:"at"`
}

func (c *control) mark(*http.Request) (any, error) {
	c.lastMark = c.swarm.Mark()
	return Marked{c.lastMark.At}, nil
}

// HasReset answers POST /reset: how many sessions were up and are reset.
type HasReset struct {
	Sessions int `json:"sessions"`
}

func (c *control) reset(r *http.Request) (any, error) {
	which, err := c.which(r)
	if err != nil {
		return nil, err
	}
	return HasReset{c.swarm.Reset(which)}, nil
}

// which reads the parameter "sessions"; none is all.
func (c *control) which(r *http.Request) ([]int, error) {
	text := r.FormValue("sessions")
	if text == "" {
		text = "all"
	}
	return parseIndexes(text, len(c.swarm.sessions))
}

// parseIndexes reads "all", or numbers and ranges of sessions such as 0-9,12.
func parseIndexes(text string, n int) ([]int, error) {
	if text == "all" {
		text = fmt.Sprintf("0-%d", n-1)
	}
	var which []int
	for part := range strings.SplitSeq(text, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		first, err := strconv.Atoi(from)
		last, errLast := strconv.Atoi(to)
		if err != nil || errLast != nil || first < 0 || last < first || last >= n || len(which) > n {
			return nil, fmt.Errorf("sessions %q: write all, or numbers and ranges from 0 to %d, such as 0-9,12", part, n-1)
		}
		for i := first; i <= last; i++ {
			which = append(which, i)
		}
	}
	return which, nil
}

// Reset makes sessions connect anew, as `clear bgp` does on a router, and
// returns how many of them were up. It counts as no flap and no outage, and
// after the first wait of their profile they come up like at the beginning, a
// few at a time.
func (s *Swarm) Reset(which []int) (n int) {
	for _, i := range which {
		if s.sessions[i].reset() {
			n++
		}
	}
	return n
}
