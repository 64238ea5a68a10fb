package node

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

func TestOpsMux(t *testing.T) {
	var ready atomic.Pointer[error]
	notYet := errors.New("the store has not been read yet")
	ready.Store(&notYet)
	registry := NewRegistry("peerage-test")
	url, _ := serve(t, nil, OpsMux(registry, func() error { return *ready.Load() }))
	client := &http.Client{}
	expectGet(t, client, url+"/healthz", 200, "ok\n")
	expectGet(t, client, url+"/readyz", 503, "the store has not been read yet\n")
	var none error
	ready.Store(&none)
	expectGet(t, client, url+"/readyz", 200, "ok\n")
	expectGet(t, client, url+"/metrics", 200, `peerage_build_info{goversion="go`)
	expectGet(t, client, url+"/other", 404, "")
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if problems, err := promlint.NewWithMetricFamilies(families).Lint(); err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
}

// serve runs Serve on loopback; stop ends it and returns its error.
func serve(t *testing.T, config *tls.Config, handler http.Handler) (url string, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(hclog.WithContext(t.Context(), hclog.NewNullLogger()))
	ln, err := Listen(ctx, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, ln, config, handler) }()
	stop = func() error {
		cancel()
		err := <-done
		done <- err
		return err
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	scheme := "http://"
	if config != nil {
		scheme = "https://"
	}
	return scheme + ln.Addr().String(), stop
}

func expectGet(t *testing.T, client *http.Client, url string, code int, text string) {
	t.Helper()
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != code || !strings.Contains(string(body), text) {
		t.Errorf("%s: %d %q, %v", url, resp.StatusCode, body, err)
	}
}

// A watch that never ends by itself does not keep the server.
func TestServeEndsWatches(t *testing.T) {
	url, stop := serve(t, nil, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "line\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	expect(t, resp.Body, "line\n")
	begin := time.Now()
	if err := stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took >= shutdownTimeout {
		t.Errorf("stopping took %v", took)
	}
}

func TestServeHTTP(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := ServeHTTP(ctx, "", nil); err != nil {
		t.Error(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if err := ServeHTTP(t.Context(), ln.Addr().String(), http.NotFoundHandler()); err == nil || !strings.Contains(err.Error(), "listen on 127.0.0.1:") {
		t.Error(err)
	}
	// Stopped before it began.
	early, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := Serve(ctx, early, nil, http.NotFoundHandler()); err != nil {
		t.Error(err)
	}
	if _, err := early.Accept(); err == nil {
		t.Error("the listener was left open")
	}
}

func TestTLS(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	ca := newCA(t, file("ca.pem"))
	ca.issue(t, "server", file("server.pem"), file("server.key"))
	ca.issue(t, "client", file("client.pem"), file("client.key"))
	stranger := newCA(t, file("other-ca.pem"))
	stranger.issue(t, "client", file("other.pem"), file("other.key"))

	server, err := ServerTLS(file("server.pem"), file("server.key"), file("ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	url, _ := serve(t, server, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.TLS.PeerCertificates[0].Subject.CommonName)
	}))
	get := func(ca, cert, key string) error {
		config, err := ClientTLS(ca, cert, key)
		if err != nil {
			t.Fatal(err)
		}
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
		resp, err := client.Get(url)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err == nil && string(body) != "client" {
			t.Errorf("the server saw %q", body)
		}
		return err
	}
	if err := get(file("ca.pem"), file("client.pem"), file("client.key")); err != nil {
		t.Error(err)
	}
	if err := get(file("ca.pem"), "", ""); err == nil {
		t.Error("no certificate, and served")
	}
	if err := get(file("ca.pem"), file("other.pem"), file("other.key")); err == nil {
		t.Error("a stranger's certificate, and served")
	}
	if err := get(file("other-ca.pem"), file("client.pem"), file("client.key")); err == nil {
		t.Error("a server of another authority was believed")
	}
	// A renewed certificate needs no restart.
	ca.issue(t, "renewed", file("server.pem"), file("server.key"))
	config, err := ClientTLS(file("ca.pem"), file("client.pem"), file("client.key"))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := tls.Dial("tcp", strings.TrimPrefix(url, "https://"), config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := conn.ConnectionState().PeerCertificates[0].Subject.CommonName; got != "renewed" {
		t.Errorf("the server showed %q", got)
	}
}

func TestTLSRefuses(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, try := range map[string]func() error{
		"no PEM certificate in the file":     func() error { _, err := ClientTLS(empty, "", ""); return err },
		"no such file":                       func() error { _, err := ClientTLS(filepath.Join(dir, "x"), "", ""); return err },
		"a certificate needs its key":        func() error { _, err := ClientTLS("", empty, ""); return err },
		"certificate " + empty + " with key": func() error { _, err := ClientTLS("", empty, empty); return err },
		"give both files, or neither":        func() error { _, err := ServerTLS("", empty, ""); return err },
		"etcd: a certificate needs its key":  func() error { _, err := (&Common{EtcdCert: empty}).EtcdTLS(); return err },
	} {
		if err := try(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, not %s", err, want)
		}
	}
	if config, err := (&Common{}).EtcdTLS(); config != nil || err != nil {
		t.Error(config, err)
	}
}

type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newCA(t *testing.T, file string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, file, "CERTIFICATE", der)
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key}
}

func (a *authority) issue(t *testing.T, name, certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, certFile, "CERTIFICATE", der)
	writePEM(t, keyFile, "EC PRIVATE KEY", keyDER)
}

func writePEM(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}
