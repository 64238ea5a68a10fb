package server

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/peerage/peerage/api"
)

func TestActor(t *testing.T) {
	cert := &x509.Certificate{Subject: pkix.Name{CommonName: "carol"}}
	for _, c := range []struct {
		name   string
		header string
		tls    *tls.ConnectionState
		want   string
	}{
		{"nothing is known but the address", "", nil, "unknown@192.0.2.1"},
		{"who the client says it is", "alice@desk", nil, "alice@desk"},
		{"unprintable characters are dropped", "al\x1b[31mice\n", nil, "al[31mice"},
		{"bad UTF-8 is dropped", "ali\xffce", nil, "alice"},
		{"a long name is cut", strings.Repeat("é", 500), nil, strings.Repeat("é", maxActor)},
		{"a certificate wins", "mallory", &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert},
			VerifiedChains: [][]*x509.Certificate{{cert}}}, "carol"},
		{"a certificate that was not verified does not", "dave", &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}, "dave"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/v1/apply", nil)
			r.Header[api.HeaderActor] = []string{c.header}
			r.TLS = c.tls
			if got := actor(r); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
