// Package gateway lets the controllers read what the speaker of a real server
// knows: a few questions of the speaker's socket, over the network, and
// nothing that changes anything.
package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/peerage/peerage/realserver/speaker/control"
)

const (
	// maxRequests bounds what is asked at the same time: each request keeps
	// the speaker at work.
	maxRequests = 32
	// answerTimeout bounds every answer but a stream of routes.
	answerTimeout = 30 * time.Second
	// writeTimeout bounds a reader that stopped reading.
	writeTimeout = 30 * time.Second
)

// paths are the questions that may be asked. What is not here cannot be
// reached: to configure a speaker or to reset sessions takes the machine.
func paths() []string {
	return []string{control.PathStatus, control.PathSessions, control.PathSession, control.PathLookup}
}

// gateway forwards to one socket.
type gateway struct {
	socket string
	log    hclog.Logger
	proxy  *httputil.ReverseProxy
	slots  chan struct{}
}

// Handler answers questions by asking the speaker at the socket. It does not
// connect before it is asked.
func Handler(socket string, log hclog.Logger) http.Handler {
	g := &gateway{socket: socket, log: log, slots: make(chan struct{}, maxRequests)}
	target := &url.URL{Scheme: "http", Host: "speaker"}
	g.proxy = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = target.Host
		},
		Transport:    control.Transport(socket),
		ErrorHandler: g.failed,
		ErrorLog:     log.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
	}
	mux := http.NewServeMux()
	for _, path := range paths() {
		mux.Handle("GET "+path, g.bounded(answerTimeout))
	}
	mux.Handle("GET "+control.PathRoutes, g.bounded(0)) // as long as the routes take
	return mux
}

// bounded forwards within a time, 0 for no bound, while there is room.
func (g *gateway) bounded(timeout time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case g.slots <- struct{}{}:
			defer func() { <-g.slots }()
		default:
			answer(w, http.StatusServiceUnavailable, fmt.Sprintf("%d questions are being answered, the most at a time; try again", maxRequests))
			return
		}
		if timeout > 0 {
			ctx, cancel := context.WithTimeout(r.Context(), timeout)
			defer cancel()
			r = r.WithContext(ctx)
		}
		r.Body = http.NoBody // a question has none
		r.ContentLength = 0
		g.proxy.ServeHTTP(&patient{w, http.NewResponseController(w)}, r)
	})
}

// failed answers when the speaker does not.
func (g *gateway) failed(w http.ResponseWriter, r *http.Request, err error) {
	g.log.Debug("speaker not reached", "path", r.URL.Path, "error", err)
	text := fmt.Sprintf("the speaker at %s does not answer: %v", g.socket, err)
	if control.NotRunning(err) {
		text = fmt.Sprintf("no speaker runs at %s: %v", g.socket, err)
	}
	answer(w, http.StatusBadGateway, text)
}

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(control.Failure{Error: text}) // a reader that is gone is no failure
}

// patient gives the reader some time for each piece of an answer, but not for
// ever.
type patient struct {
	http.ResponseWriter
	control *http.ResponseController
}

// Write implements http.ResponseWriter.
func (p *patient) Write(data []byte) (int, error) {
	_ = p.control.SetWriteDeadline(time.Now().Add(writeTimeout)) // a connection without deadlines is a test's
	return p.ResponseWriter.Write(data)
}

// Unwrap lets http.ResponseController reach the connection.
func (p *patient) Unwrap() http.ResponseWriter { return p.ResponseWriter }
