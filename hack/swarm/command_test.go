package swarm

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/peerage/peerage/api"
)

func TestWrongUse(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	base := []string{"--target", "127.0.0.1:1", "--from", "127.1.0.0/24"}
	tests := map[string]struct {
		args []string
		want string
	}{
		"nothing":            {nil, "no target given; name one, such as 203.0.113.179:179"},
		"no source":          {[]string{"--target", "127.0.0.1:1"}, "no source prefix given"},
		"no port":            {[]string{"--target", "127.0.0.1"}, "write ADDRESS:PORT"},
		"public":             {[]string{"--target", "8.8.8.8:179"}, "target 8.8.8.8:179 is not a private address; pass --i-own-this-network"},
		"public, mapped":     {[]string{"--target", "[::ffff:8.8.8.8]:179"}, "is not a private address"},
		"anywhere":           {[]string{"--target", "0.0.0.0:179"}, "is not a private address"},
		"range too small":    {append(base, "--sessions", "255"), "source prefix 127.1.0.0/24 holds 254 usable addresses, but its share of 255 sessions is 255"},
		"other family":       {append(base, "--from", "2001:db8::/64"), "source prefix 2001:db8::/64: no target of that family"},
		"too many":           {append(base, "--sessions", "100001"), "100001 sessions; use 1 to 100000"},
		"hold time":          {append(base, "--hold-time", "2s"), "hold time 2s; use 0 or 3s to 65535s"},
		"AS 0":               {append(base, "--as", "0"), `AS "0": write a number`},
		"AS range":           {append(base, "--as", "9-5"), `AS "9-5": write a number`},
		"AS range and text":  {append(base, "--as", "9x"), `AS "9x": write a number`},
		"profile":            {append(base, "--profile", "huawei"), "the profiles are cisco-like, junos-like and eager"},
		"rate":               {append(base, "--rate", "0"), "a rate of 0 sessions per second opens none"},
		"family":             {append(base, "--families", "ipx"), `family "ipx" is not known`},
		"capability":         {append(base, "--capability", "300:00"), "write CODE or CODE:HEX"},
		"announce":           {append(base, "--announce", "everything"), "use nothing, default, k=N, full=N or mrt=FILE"},
		"announce k":         {append(base, "--announce", "k=0"), "write k=N with N from 1 to 100000"},
		"announce too much":  {append(base, "--announce", "k=100000"), "100 sessions with prefixes of their own need more addresses"},
		"announce no file":   {append(base, "--announce", "mrt=/nonexistent"), "no such file"},
		"churn of nothing":   {append(base, "--churn", "5/s"), "churn needs routes to announce; add --announce"},
		"churn":              {append(base, "--churn", "5/m"), "write routes per second, such as 100/s"},
		"MD5 file":           {append(base, "--md5-key-file", "/nonexistent"), "no such file"},
		"MD5 empty":          {append(base, "--md5-key-file", empty), "is empty"},
		"MD5 share":          {append(base, "--md5-share", "2"), "the share of MD5 sessions is 2; use 0 to 1"},
		"output":             {append(base, "-o", "xml"), "use table or json"},
		"histogram":          {append(base, "--histogram", "h.gif"), "must end in .svg, .png or .txt"},
		"expectation":        {append(base, "--expect", "flap==0"), "is not known"},
		"unknown flag":       {append(base, "--session", "1"), "unknown flag: --session"},
		"argument":           {append(base, "faster"), "unknown command"},
		"scenario missing":   {[]string{"run"}, "accepts 1 arg"},
		"scenario not there": {[]string{"run", "/nonexistent.yaml"}, "no such file"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			out, _, err := runMain(t.Context(), tt.args...)
			if err == nil || !strings.Contains(err.Error(), tt.want) || api.ExitCodeOf(err) != api.ExitUsage {
				t.Errorf("exit code %d, error %v; want %q", api.ExitCodeOf(err), err, tt.want)
			}
			if out != "" {
				t.Errorf("a report in spite of wrong use: %s", out)
			}
		})
	}
}

// TestUntilEstablished runs the plain command to its end.
func TestUntilEstablished(t *testing.T) {
	fake := startSpeaker(t, "127.0.0.1", polite("10.0.0.1"))
	args := []string{"--target", fake.target.String(), "--from", "127.1.0.0/24", "--sessions", "3", "--until-established", "30s", "--duration", "50ms"}
	out, _, err := runMain(t.Context(), append(args, "--expect", "flapped==0", "--expect", "servers==1")...)
	if err != nil || !strings.Contains(out, "established       3\n") {
		t.Errorf("%v: %s", err, out)
	}
	if _, _, err := runMain(t.Context(), append(args, "--expect", "flapped==1")...); api.ExitCodeOf(err) != api.ExitFailure {
		t.Errorf("error is %v", err)
	}
}

// TestSourceThatIsNotLocal must end with what to do about it, not retry.
func TestSourceThatIsNotLocal(t *testing.T) {
	for from, target := range map[string]string{"198.51.100.0/24": "127.0.0.1:1", "2001:db8:9::/96": "[::1]:1"} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		_, _, err := runMain(ctx, "--target", target, "--from", from, "--sessions", "3")
		if err == nil || !strings.Contains(err.Error(), "is not local: use --add-routes lo, or add it with `ip route add local "+from+" dev lo`") {
			t.Errorf("error is %v", err)
		}
	}
}

func TestTooManyFiles(t *testing.T) {
	err := checkFiles(1 << 40)
	if err == nil || !strings.Contains(err.Error(), "raise it with `ulimit -Hn") {
		t.Errorf("error is %v", err)
	}
}

func TestLocalRoutes(t *testing.T) {
	const table = `00000000000000000000000000000001 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000000 00000002 00000000 80200001       lo
20010db8000900000000000000000000 60 00000000000000000000000000000000 00 00000000000000000000000000000000 00000400 00000001 00000000 80000001       lo
20010db8000a00000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000400 00000001 00000000 00000001     eth0
broken line
`
	for a, want := range map[string]bool{"::1": true, "2001:db8:9::5": true, "2001:db8:9:1::5": false, "2001:db8:a::1": false} {
		if got := hasLocalRoute(strings.NewReader(table), netip.MustParseAddr(a)); got != want {
			t.Errorf("%s: %v", a, got)
		}
	}
}

func TestHelpTeaches(t *testing.T) {
	out, _, err := runMain(t.Context(), "--help")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"--add-routes lo", "Ctrl-C", "exit code", "Examples:", "peerage-swarm run", "completion"} {
		if !strings.Contains(out, want) {
			t.Errorf("--help has no %q", want)
		}
	}
	out, _, err = runMain(t.Context(), "metrics")
	if err != nil || !strings.Contains(out, "outage.p99               duration") {
		t.Errorf("%v: %s", err, out)
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if out, _, err := runMain(t.Context(), "completion", shell); err != nil || len(out) < 1000 {
			t.Errorf("completion %s: %v", shell, err)
		}
	}
	out, _, err = runMain(t.Context(), "__complete", "--profile", "")
	if err != nil || !strings.HasPrefix(out, "cisco-like\n") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestAddRoutes calls a program ip that writes down what it is told.
func TestAddRoutes(t *testing.T) {
	dir := t.TempDir()
	script := `#!/bin/sh
echo "$@" >>` + dir + `/calls
case "$*" in *add*192.0.2*) echo "RTNETLINK answers: File exists"; exit 2;; *add*bad*) echo "RTNETLINK answers: Operation not permitted"; exit 2;; esac
`
	if err := os.WriteFile(filepath.Join(dir, "ip"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	prefixes := []netip.Prefix{netip.MustParsePrefix("127.1.2.3/16"), netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/96")}
	r, err := addLocalRoutes(t.Context(), "lo", prefixes)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	calls, err := os.ReadFile(dir + "/calls")
	if err != nil {
		t.Fatal(err)
	}
	want := `-4 route add local 127.1.0.0/16 dev lo
-4 route add local 192.0.2.0/24 dev lo
-6 route add local 2001:db8::/96 dev lo
-4 route del local 127.1.0.0/16 dev lo
-6 route del local 2001:db8::/96 dev lo
`
	if string(calls) != want {
		t.Errorf("ip was called with\n%s", calls)
	}
	if _, err := addLocalRoutes(t.Context(), "bad", prefixes[:1]); err == nil || !strings.Contains(err.Error(), "Operation not permitted; it needs root") {
		t.Errorf("error is %v", err)
	}
}
