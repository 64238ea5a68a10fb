package server

import (
	"net"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/peerage/peerage/api"
)

const (
	maxActor  = 128
	maxReason = 512
)

// actor is who asks: the client certificate's name where there is one, since
// that is proven, otherwise who the client says it is, otherwise its address.
func actor(r *http.Request) string {
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		if name := clean(r.TLS.PeerCertificates[0].Subject.CommonName, maxActor); name != "" {
			return name
		}
	}
	if name := clean(r.Header.Get(api.HeaderActor), maxActor); name != "" {
		return name
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	return "unknown@" + host
}

// clean makes text safe to print on one line.
func clean(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, strings.ToValidUTF8(s, ""))
	if runes := []rune(strings.TrimSpace(s)); len(runes) > most {
		return string(runes[:most])
	}
	return strings.TrimSpace(s)
}

// reason checks what an operator writes for the others to read.
func reason(s string) (string, error) {
	if n := len([]rune(s)); n > maxReason {
		return "", invalid("the reason has %d characters; at most %d are kept", n, maxReason)
	}
	return clean(s, maxReason), nil
}

// now is the server's time, to the precision that people read.
func (s *Server) now() time.Time { return s.moment().Truncate(time.Millisecond) }

// moment is the server's time in full, for the trail, which is sorted by it.
func (s *Server) moment() time.Time { return s.cfg.Clock().UTC().Round(0) }
