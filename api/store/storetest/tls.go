package storetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/peerage/peerage/api/store/embed"
)

// Credentials are files in PEM, made for one test.
type Credentials struct {
	// CAFile signed both certificates.
	CAFile string
	// CertFile and KeyFile are one side's.
	CertFile, KeyFile string
}

// Config is the client's side.
func (c Credentials) Config(t testing.TB) *tls.Config {
	t.Helper()
	cert, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(c.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		t.Fatal("no CA certificate")
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: roots, MinVersion: tls.VersionTLS12}
}

// Issue makes the files of a server on loopback and of a client, of one CA.
func Issue(t testing.TB) (server, client Credentials) {
	t.Helper()
	a := newAuthority(t)
	server.CAFile, client.CAFile = a.file, a.file
	server.CertFile, server.KeyFile = a.issue("server", x509.ExtKeyUsageServerAuth)
	client.CertFile, client.KeyFile = a.issue("client", x509.ExtKeyUsageClientAuth)
	return server, client
}

// StartTLS runs an etcd that speaks TLS and wants client certificates.
func StartTLS(t testing.TB) (*Server, Credentials) {
	t.Helper()
	a := newAuthority(t)
	cert, key := a.issue("etcd", x509.ExtKeyUsageServerAuth)
	s := start(t, embed.Config{ListenClient: "https://127.0.0.1:0", CertFile: cert, KeyFile: key, ClientCAFile: a.file})
	cert, key = a.issue("client", x509.ExtKeyUsageClientAuth)
	return s, Credentials{CAFile: a.file, CertFile: cert, KeyFile: key}
}

// authority signs certificates for the loopback.
type authority struct {
	t      testing.TB
	dir    string
	file   string
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	serial int64
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.key = a.newKey()
	a.cert = &x509.Certificate{
		SerialNumber: big.NewInt(0), Subject: pkix.Name{CommonName: "test CA"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.file = a.sign("ca", a.cert, a.key)
	return a
}

func (a *authority) newKey() *ecdsa.PrivateKey {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	return key
}

func (a *authority) issue(name string, use ...x509.ExtKeyUsage) (certFile, keyFile string) {
	a.t.Helper()
	key := a.newKey()
	a.serial++
	certFile = a.sign(name, &x509.Certificate{
		SerialNumber: big.NewInt(a.serial), Subject: pkix.Name{CommonName: name},
		NotBefore: a.cert.NotBefore, NotAfter: a.cert.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: use,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}, DNSNames: []string{"localhost"},
	}, key)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return certFile, a.write(name+".key", "PRIVATE KEY", der)
}

func (a *authority) sign(name string, cert *x509.Certificate, key *ecdsa.PrivateKey) string {
	a.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, cert, a.cert, key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.write(name+".crt", "CERTIFICATE", der)
}

func (a *authority) write(name, kind string, der []byte) string {
	a.t.Helper()
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}
