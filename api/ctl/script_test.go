package ctl_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/ctl"
	"github.com/peerage/peerage/api/server/servertest"
)

var (
	revision = regexp.MustCompile(`(revision"?:? )\d+`)
	loopback = regexp.MustCompile(`127\.0\.0\.1:\d+`)
	eventID  = regexp.MustCompile(`[0-9a-f]{16}-[0-9a-f]{8}`)
)

var update = flag.Bool("update", false, "write the golden output of the scripts anew")

// TestScripts runs each script in testdata against a server of its own. A
// script calls peeragectl in process, and plays the leader and the nodes by
// hand, so that what it prints does not depend on time.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			s := &script{site: servertest.New(env.T().(testing.TB)), bg: map[string]*run{}}
			env.Values[scriptKey{}] = s
			env.Setenv("PEERAGE_SERVER", s.site.HTTP.URL)
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("XDG_CONFIG_HOME", "")
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"peeragectl": command((*script).peeragectl), "exit": command((*script).exit), "finish": command((*script).finish),
			"interrupt": command((*script).interrupt),
			"join":      command((*script).join), "leave": command((*script).leave), "lead": command((*script).lead), "run": command((*script).run),
			"speak": command((*script).speak), "mute": command((*script).mute),
			"observe": command((*script).observe), "pass": command((*script).pass), "etcd": command((*script).etcd), "mask": command((*script).mask),
		},
	})
}

type scriptKey struct{}

// script is the state of one script.
type script struct {
	site *servertest.Site
	code api.ExitCode
	bg   map[string]*run
}

// run is a peeragectl in the background.
type run struct {
	stdout, stderr bytes.Buffer
	cancel         context.CancelFunc
	done           chan api.ExitCode
}

func command(fn func(s *script, ts *testscript.TestScript, args []string)) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg {
			ts.Fatalf("use exit to assert on the exit code")
		}
		fn(ts.Value(scriptKey{}).(*script), ts, args)
	}
}

// peeragectl [<FILE] ARGS... [&NAME] runs a command, in the background with &NAME.
func (s *script) peeragectl(ts *testscript.TestScript, args []string) {
	stdin := ""
	if len(args) > 0 && strings.HasPrefix(args[0], "<") {
		stdin, args = ts.ReadFile(args[0][1:]), args[1:]
	}
	name := ""
	if n := len(args) - 1; n >= 0 && strings.HasPrefix(args[n], "&") {
		name, args = args[n][1:], args[:n]
	}
	r := &run{done: make(chan api.ExitCode, 1)}
	env := ctl.Env{Stdin: strings.NewReader(stdin), Stdout: &r.stdout, Stderr: &r.stderr, Getenv: ts.Getenv,
		Actor: "alice@desk", Version: "v1", Patience: time.Millisecond}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() {
		err := ctl.Run(ctx, env, args)
		if err != nil && !api.Silent(err) {
			r.stderr.WriteString("peeragectl: " + err.Error() + "\n")
		}
		r.done <- api.ExitCodeOf(err)
	}()
	if name != "" {
		s.bg[name] = r
		ts.Defer(cancel)
		return
	}
	s.collect(ts, r)
}

func (s *script) collect(ts *testscript.TestScript, r *run) {
	select {
	case s.code = <-r.done:
	case <-time.After(time.Minute):
		r.cancel()
		<-r.done
		ts.Fatalf("peeragectl does not end; stdout:\n%s\nstderr:\n%s", &r.stdout, &r.stderr)
	}
	r.cancel()
	_, _ = ts.Stdout().Write(r.stdout.Bytes())
	_, _ = ts.Stderr().Write(r.stderr.Bytes())
}

// finish NAME waits for a command in the background.
func (s *script) finish(ts *testscript.TestScript, args []string) { s.collect(ts, s.bg[args[0]]) }

// interrupt NAME does what Ctrl-C does.
func (s *script) interrupt(ts *testscript.TestScript, args []string) {
	s.bg[args[0]].cancel()
	s.collect(ts, s.bg[args[0]])
}

// exit N asserts on the exit code of the last command.
func (s *script) exit(ts *testscript.TestScript, args []string) {
	if want, err := strconv.Atoi(args[0]); err != nil || int(s.code) != want {
		ts.Fatalf("exit code %d (%s), not %s", int(s.code), s.code, args[0])
	}
}

func (s *script) join(_ *testscript.TestScript, args []string) {
	s.site.Join(api.Role(args[0]), args[1:]...)
}
func (s *script) leave(_ *testscript.TestScript, args []string) {
	s.site.Leave(api.Role(args[0]), args[1:]...)
}
func (s *script) lead(*testscript.TestScript, []string)       { s.site.Lead() }
func (s *script) run(_ *testscript.TestScript, args []string) { s.site.Run(args...) }

// observe POOL SERVER SESSIONS LB... reports for a server.
func (s *script) observe(ts *testscript.TestScript, args []string) {
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	s.site.Observe(args[0], args[1], n, args[3:]...)
}

// speak SERVER FILE makes a real server alive that knows sessions and routes.
func (s *script) speak(ts *testscript.TestScript, args []string) {
	var known servertest.Known
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &known))
	s.site.Speak(args[0], known)
}

// mute SERVER ends a real server's API, but leaves it alive.
func (s *script) mute(_ *testscript.TestScript, args []string) {
	s.site.Speak(args[0], servertest.Known{}).HTTP.Close()
}

func (s *script) pass(ts *testscript.TestScript, args []string) {
	d, err := time.ParseDuration(args[0])
	ts.Check(err)
	s.site.Pass(d)
}

func (s *script) etcd(ts *testscript.TestScript, args []string) {
	switch args[0] {
	case "stop":
		s.site.Etcd.Stop()
		s.site.Await("the store to be stale", func(st *api.State) bool { return st.Stale != nil })
	case "start":
		s.site.Etcd.Start()
		s.site.Await("the store to be back", func(st *api.State) bool { return st.Stale == nil })
	}
}

// mask FILE replaces what differs between runs in the output of the last
// command, and writes that to a file.
func (s *script) mask(ts *testscript.TestScript, args []string) {
	text := ts.ReadFile("stdout")
	st := s.site.Mirror.State()
	text = strings.ReplaceAll(text, strconv.FormatUint(st.ClusterID, 16), "CLUSTER")
	text = strings.ReplaceAll(text, s.site.HTTP.URL, "URL")
	text = loopback.ReplaceAllString(text, "ADDRESS")
	text = revision.ReplaceAllString(text, "${1}REVISION")
	text = eventID.ReplaceAllString(text, "EVENT")
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}
