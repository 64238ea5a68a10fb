package main

import (
	"strings"
	"testing"

	"github.com/peerage/peerage/api"
)

func TestCommandLine(t *testing.T) {
	etcd := "--etcd=http://127.0.0.1:2379"
	tests := map[string]struct {
		args []string
		want string // in the error; empty: none
	}{
		"defaults":            {[]string{etcd}, ""},
		"no store":            {nil, "name the cluster with --etcd"},
		"remove needs none":   {[]string{"--remove"}, ""},
		"two at once":         {[]string{"--remove", "--check"}, "exclude each other"},
		"relative path":       {[]string{etcd, "--bird-config=speaker.conf"}, "must be an absolute path"},
		"speaker":             {[]string{etcd, "--speaker=frr"}, "write native or bird"},
		"relative socket":     {[]string{etcd, "--speaker-socket=speaker.sock"}, "must be an absolute path"},
		"interval":            {[]string{etcd, "--full-interval=1ms"}, "1s to 1h make sense"},
		"an API":              {[]string{etcd, "--api-listen=127.0.0.1:0"}, ""},
		"an API of BIRD":      {[]string{etcd, "--api-listen=127.0.0.1:0", "--speaker=bird"}, "BIRD tells nothing"},
		"an API nowhere":      {[]string{etcd, "--api-listen=rs-1"}, "--api-listen"},
		"an API without keys": {[]string{etcd, "--api-listen=:1", "--client-ca=x"}, "--client-ca needs"},
		"unknown flag":        {[]string{etcd, "--brid-config=/x"}, "--help lists the flags"},
		"argument":            {[]string{etcd, "rs-1"}, "takes flags only"},
		"missing config file": {[]string{etcd, "--config=/does/not/exist"}, "/does/not/exist"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			_, done, err := parse(append([]string{"--name=rs-1"}, tt.args...), &out)
			switch {
			case tt.want == "" && (err != nil || done):
				t.Errorf("done %v, %v", done, err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("error is %v, want %q", err, tt.want)
			case tt.want != "" && api.ExitCodeOf(err) != api.ExitUsage:
				t.Errorf("exit code %d", api.ExitCodeOf(err))
			}
		})
	}
}

func TestHelpTeaches(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), []string{"--help"}, nil, &out, nil); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"--remove", "--secrets-dir", "Exit codes"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the help lacks %q", want)
		}
	}
}
