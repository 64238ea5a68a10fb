package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/peerage/peerage/api"
	"github.com/spf13/pflag"
)

// daemon is a set of flags as a daemon has: the common ones and its own.
type daemon struct {
	Common
	Socket string
	Wait   time.Duration
	Many   []string
}

func parse(t *testing.T, config string, args ...string) (*daemon, error) {
	t.Helper()
	d := &daemon{Common: Common{Name: "lb-1", StateDir: "/var/lib/x"}}
	fs := pflag.NewFlagSet("peerage-test", pflag.ContinueOnError)
	d.Flags(fs)
	fs.StringVar(&d.Socket, "bird-socket", "/run/bird.ctl", "`path` of BIRD's control socket")
	fs.DurationVar(&d.Wait, "wait", time.Second, "how long")
	fs.StringArrayVar(&d.Many, "many", []string{"x"}, "several")
	if config != "" {
		file := filepath.Join(t.TempDir(), "c.yaml")
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config", file)
	}
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	err := d.Load(fs)
	d.Config = ""
	return d, err
}

func TestLoad(t *testing.T) {
	got, err := parse(t, `# the agent of lb-2
name: lb-2
log-level: debug
log-json: true
etcd: [http://10.0.0.1:2379, "https://[2001:db8::1]:2379"]
bird-socket: /run/other.ctl
wait: 1500ms
many: one
metrics-listen: 127.0.0.1:9101
`, "--name=lb-3", "--bird-socket=/flag.ctl")
	if err != nil {
		t.Fatal(err)
	}
	want := &daemon{Common{Name: "lb-3", LogLevel: "debug", LogJSON: true,
		Etcd: []string{"http://10.0.0.1:2379", "https://[2001:db8::1]:2379"}, StateDir: "/var/lib/x", MetricsListen: "127.0.0.1:9101"},
		"/flag.ctl", 1500 * time.Millisecond, []string{"one"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, empty := range []string{"", "# nothing\n", "---\n"} {
		if _, err := parse(t, empty); err != nil {
			t.Errorf("%q: %v", empty, err)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		config string
		args   []string
		want   string
	}{
		"unknown key":  {"name: a\nbird-soket: /x\n", nil, "c.yaml:2: bird-soket: the key is not known; write bird-socket"},
		"far key":      {"colour: blue\n", nil, "c.yaml:1: colour: the key is not known; the keys are bird-socket, etcd, etcd-ca, etcd-cert, etcd-key, log-json, log-level, many, metrics-listen, name, state-dir, wait"},
		"config key":   {"config: x\n", nil, "c.yaml:1: config: the key is not known"},
		"twice":        {"name: a\nname: b\n", nil, "c.yaml:2: name: the key is in line 1 already; delete one of them"},
		"no value":     {"name:\n", nil, "c.yaml:1: name: the key has no value; write one text: this node's `name` in the site"},
		"list":         {"name: [a]\n", nil, "c.yaml:1: name: the value is not one text"},
		"mapping":      {"etcd: {a: b}\n", nil, "c.yaml:1: etcd: the value is not a list, such as [a, b]"},
		"alias":        {"name: &a x\nstate-dir: *a\n", nil, "c.yaml:2: state-dir: the value is not one text"},
		"bool":         {"log-json: yes\n", nil, `c.yaml:1: log-json: "yes" is not true or false; write true or false`},
		"duration":     {"wait: 5\n", nil, `c.yaml:1: wait: "5" is not possible; write a number with a unit, such as 500ms or 3s`},
		"given anyway": {"wait: {}\n", []string{"--wait=1s"}, "c.yaml:1: wait: the value is not"},
		"no mapping":   {"- a\n", nil, "c.yaml:1: the file is no mapping; write one flag a line"},
		"two":          {"name: a\n---\nname: b\n", nil, `c.yaml:2: the file has a second document; delete it, and the "---"`},
		"tab":          {"name: a\n\tetcd: b\n", nil, "c.yaml:2: this is not YAML: found a tab character that violates indentation; indent with spaces"},
		"large":        {strings.Repeat("# x\n", 20_000), nil, "c.yaml is larger than 65536 bytes"},
		"missing file": {"", []string{"--config=/nowhere/c.yaml"}, "--config: open /nowhere/c.yaml: no such file"},
		"level":        {"", []string{"--log-level=loud"}, `--log-level: "loud" is not known; write one of trace, debug, info, warn, error`},
		"name":         {"", []string{"--name=a/b"}, `--name: "a/b" has a slash; write 1..63 of a-z`},
		"no name":      {"", []string{"--name="}, "--name: the name is missing"},
		"endpoint":     {"", []string{"--etcd=10.0.0.1:2379"}, `--etcd: "10.0.0.1:2379" is not an endpoint; write it as https://HOST:2379`},
		"no port":      {"", []string{"--etcd=https://10.0.0.1"}, "--etcd: "},
		"metrics":      {"", []string{"--metrics-listen=9101"}, "--metrics-listen: address 9101: missing port in address; write an address such as"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse(t, tc.config, tc.args...)
			if err == nil || !strings.Contains(err.Error(), tc.want) || api.ExitCodeOf(err) != api.ExitUsage {
				t.Errorf("%v (exit %d)\nnot %s", err, api.ExitCodeOf(err), tc.want)
			}
		})
	}
}

func TestLogger(t *testing.T) {
	var out strings.Builder
	c := &Common{Name: "lb-1", LogLevel: "warn", LogJSON: true}
	logger := c.Logger(&out).Named("ipvs")
	logger.Info("not shown")
	logger.Warn("a phrase", "key", Secret{"hunter2"})
	if got := out.String(); !strings.Contains(got, `"@module":"lb-1.ipvs"`) || !strings.Contains(got, `"key":"[secret]"`) ||
		strings.Contains(got, "hunter2") || strings.Count(got, "\n") != 1 {
		t.Error(got)
	}
}
