package ctl_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/ctl"
	"github.com/peerage/peerage/api/node"
	"github.com/peerage/peerage/api/server/servertest"
)

// authority signs certificates into a directory.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.cert, a.key = a.issue("ca", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

// issue writes NAME.pem and NAME.key.
func (a *authority) issue(name string, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c.SerialNumber, c.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: name}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(name+".pem", "CERTIFICATE", der)
	a.write(name+".key", "PRIVATE KEY", private)
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

func (a *authority) write(name, kind string, der []byte) {
	a.t.Helper()
	if err := os.WriteFile(a.file(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

// TestClientCertificates lets in whom the authority knows, by that name.
func TestClientCertificates(t *testing.T) {
	ca := newAuthority(t)
	ca.issue("controller", &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	ca.issue("carol", &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	site := servertest.New(t)
	config, err := node.ServerTLS(ca.file("controller.pem"), ca.file("controller.key"), ca.file("ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	ln, err := node.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- node.Serve(ctx, ln, config, site.Server) }()
	run := func(stdin string, args ...string) (string, error) {
		var stdout, stderr bytes.Buffer
		err := ctl.Run(t.Context(), ctl.Env{Stdin: strings.NewReader(stdin), Stdout: &stdout, Stderr: &stderr, Getenv: func(string) string { return "" },
			Actor: "mallory@desk", Version: "v1"}, append(args, "--server", "https://"+ln.Addr().String(), "--ca", ca.file("ca.pem")))
		return stdout.String(), err
	}
	if _, err := run("", "status"); api.ExitCodeOf(err) != api.ExitUnreachable {
		t.Errorf("without a certificate: %v", err)
	}
	if _, err := run("", "status", "--cert", ca.file("carol.pem")); api.ExitCodeOf(err) != api.ExitUsage {
		t.Errorf("without the key: %v", err)
	}
	me := []string{"--cert", ca.file("carol.pem"), "--key", ca.file("carol.key")}
	rs := "apiVersion: peerage/v1\nkind: RealServer\nmetadata: {name: rs-1}\nspec: {addresses: [198.51.100.21]}\n"
	if _, err := run(rs, append([]string{"apply", "-f", "-"}, me...)...); err != nil {
		t.Fatal(err)
	}
	if out, err := run("", append([]string{"depool", "rs-1", "--reason", "fan"}, me...)...); err != nil || !strings.Contains(out, "depooled by carol: fan") {
		t.Errorf("%s %v", out, err)
	}
	// A server that stops ends its streams in an orderly way.
	cancel()
	if err := <-served; err != nil {
		t.Errorf("the server ended with %v", err)
	}
}
