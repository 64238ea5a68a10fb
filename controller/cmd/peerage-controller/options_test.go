package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/peerage/peerage/api"
)

func TestParse(t *testing.T) {
	file := filepath.Join(t.TempDir(), "controller.yaml")
	if err := os.WriteFile(file, []byte("embedded-etcd: /tmp/etcd\nlisten: 127.0.0.1:9000\nname: ctl-7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, args string
		want       string // part of the error; empty: none
	}{
		{"an embedded store", "--embedded-etcd /tmp/etcd", ""},
		{"a file", "--config " + file, ""},
		{"a cluster", "--etcd http://127.0.0.1:1,http://127.0.0.1:2 --state-dir /tmp/x", ""},
		{"no store", "", "name the cluster with --etcd"},
		{"two stores", "--etcd http://127.0.0.1:1 --embedded-etcd /tmp/etcd", "exclude each other"},
		{"half a certificate", "--embedded-etcd /tmp/etcd --tls-cert a", "belong together"},
		{"clients' CA without TLS", "--embedded-etcd /tmp/etcd --client-ca a", "--client-ca needs"},
		{"half a certificate for real servers", "--embedded-etcd /tmp/etcd --node-key a", "--node-cert and --node-key belong together"},
		{"no API", "--embedded-etcd /tmp/etcd --listen=", "the address is missing"},
		{"no port", "--embedded-etcd /tmp/etcd --listen localhost", "--listen"},
		{"no URL", "--embedded-etcd /tmp/etcd --advertise ctl-1:8179", "--advertise"},
		{"an election in a hurry", "--embedded-etcd /tmp/etcd --election-ttl 1ms", "--election-ttl"},
		{"an argument", "--embedded-etcd /tmp/etcd run", `argument "run"`},
		{"an unknown flag", "--embeded-etcd /tmp/etcd", "--help lists the flags"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, _, err := parse(strings.Fields(tc.args), &bytes.Buffer{})
			switch {
			case tc.want == "" && err != nil:
				t.Error(err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("error %v, want one that says %q", err, tc.want)
			case tc.want != "" && api.ExitCodeOf(err) != api.ExitUsage:
				t.Errorf("exit code %v, want %v", api.ExitCodeOf(err), api.ExitUsage)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	var out bytes.Buffer
	if _, help, err := parse([]string{"--help"}, &out); err != nil || !help {
		t.Fatalf("help %v, error %v", help, err)
	}
	for _, want := range []string{"--embedded-etcd", "--advertise", "--etcd-ca", "peeragectl", "/readyz", "127.0.0.1:8179"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("--help does not mention %s", want)
		}
	}
	out.Reset()
	if _, help, err := parse([]string{"--version"}, &out); err != nil || !help || !strings.HasPrefix(out.String(), program+" ") {
		t.Errorf("--version prints %q, error %v", out.String(), err)
	}
}

func TestReachable(t *testing.T) {
	if got := reachable("http://0.0.0.0:2379"); got != "http://localhost:2379" {
		t.Errorf("a wildcard listener is reached at %s", got)
	}
}
