package swarm

import (
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/peerage/peerage/api"
)

// controlled is a swarm of n sessions that are up, with its socket.
func controlled(t *testing.T, n int) (*Swarm, *Client, string) {
	t.Helper()
	fake := startSpeaker(t, "127.0.0.1", polite("10.0.0.1"))
	s := start(t, fakeConfig(t, fake, n))
	await(t, "the sessions are up", func() bool { return s.Established() == n })
	path := filepath.Join(t.TempDir(), "control")
	c, err := serveControl(path, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.close(); err != nil {
			t.Error(err)
		}
	})
	return s, NewClient(path), path
}

// TestReset: sessions that are reset connect anew; that is no flap, no outage
// and no failure, and others do not notice.
func TestReset(t *testing.T) {
	s, client, _ := controlled(t, 5)
	if _, err := client.Mark(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, err := client.Reset(t.Context(), "0-1,4")
	if err != nil || got.Sessions != 3 {
		t.Fatal(got, err)
	}
	await(t, "they are back", func() bool { return s.Summary().Resets == 3 && s.Established() == 5 })
	sum, err := client.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if sum.Resets != 3 || sum.Flaps != 0 || sum.Flapped != 0 || sum.Outage.Count != 0 || sum.Failures != 0 || sum.Established != 5 {
		t.Errorf("%+v", sum)
	}
	var ups []int
	for _, r := range s.Records() {
		ups = append(ups, r.Ups)
		if r.Resets == 1 && (r.History[3].Cause != CauseReset || r.History[3].State != Down) {
			t.Errorf("history %+v", r.History)
		}
	}
	if diff := cmp.Diff([]int{2, 2, 1, 1, 2}, ups); diff != "" {
		t.Error(diff)
	}
}

// TestAcked: after a mark a session counts again once its peer has acknowledged
// something new; its own messages are not enough.
func TestAcked(t *testing.T) {
	fake := startSpeaker(t, "127.0.0.1", func(p *peer) {
		if p.establish("10.0.0.1", 3*time.Second) {
			p.serveUpdates(nil)
		}
	})
	s := start(t, fakeConfig(t, fake, 2))
	await(t, "the sessions are up", func() bool { return s.Established() == 2 })
	await(t, "the handshake is acknowledged", func() bool { return s.SummarySince(nil).Acked == 2 })
	m := s.Mark()
	if got := s.SummarySince(m).Acked; got != 0 {
		t.Errorf("%d sessions were acknowledged something at once", got)
	}
	await(t, "a KEEPALIVE is acknowledged", func() bool { return s.SummarySince(m).Acked == 2 })
}

// TestAskCommands: the commands talk to a swarm that runs.
func TestAskCommands(t *testing.T) {
	_, _, path := controlled(t, 3)
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"status"}, "established       3\n"},
		{[]string{"status", "-o", "json"}, `"established":3`},
		{[]string{"sessions", "2"}, `{"index":2,"source":"127.1.0.3"`},
		{[]string{"mark"}, `{"at":`},
		{[]string{"status", "--since-beginning", "-o", "json"}, `"sessions":3`},
		{[]string{"reset", "all"}, `{"sessions":3}`},
	} {
		out, _, err := runMain(t.Context(), append(tt.args, "--control", path)...)
		if err != nil || !strings.Contains(out, tt.want) {
			t.Errorf("%v: %v, %q has no %q", tt.args, err, out, tt.want)
		}
	}
	for name, tt := range map[string]struct {
		args []string
		want string
		code api.ExitCode
	}{
		"no socket":      {[]string{"status"}, "which swarm? name the socket", api.ExitUsage},
		"nobody there":   {[]string{"status", "--control", path + "-not"}, "does not answer: dial unix", api.ExitFailure},
		"no such number": {[]string{"reset", "3", "--control", path}, `sessions "3": write all, or numbers and ranges from 0 to 2`, api.ExitFailure},
		"no number":      {[]string{"sessions", "x", "--control", path}, `sessions "x"`, api.ExitFailure},
		"two":            {[]string{"reset", "1", "2", "--control", path}, "accepts 1 arg", api.ExitUsage},
	} {
		if _, _, err := runMain(t.Context(), tt.args...); err == nil || !strings.Contains(err.Error(), tt.want) || api.ExitCodeOf(err) != tt.code {
			t.Errorf("%s: exit code %d, %v; want %q", name, api.ExitCodeOf(err), err, tt.want)
		}
	}
	if _, err := serveControl(path, nil); err == nil || !strings.Contains(err.Error(), "another swarm answers there") {
		t.Errorf("a second swarm took the socket: %v", err)
	}
}

// TestSignedSources: sessions that sign have sources of their own, and all are
// spread over the families.
func TestSignedSources(t *testing.T) {
	prefixes := func(texts ...string) (ps []netip.Prefix) {
		for _, text := range texts {
			ps = append(ps, netip.MustParsePrefix(text))
		}
		return ps
	}
	cfg := testConfig(t, netip.MustParseAddrPort("127.0.0.1:179"), 40)
	cfg.Targets = append(cfg.Targets, netip.MustParseAddrPort("[::1]:179"))
	cfg.From, cfg.MD5From = prefixes("127.1.0.0/24", "2001:db8::/96"), prefixes("127.2.0.0/24", "2001:db8:1::/96")
	cfg.MD5, cfg.MD5Share = "key", 0.1
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	seen := map[netip.Addr]bool{}
	for _, r := range s.Records() {
		for _, p := range append(cfg.From, cfg.MD5From...) {
			if p.Contains(r.Source) {
				count[p.String()]++
			}
		}
		if signed := cfg.MD5From[0].Contains(r.Source) || cfg.MD5From[1].Contains(r.Source); signed != r.MD5 || seen[r.Source] {
			t.Errorf("%+v", r)
		}
		seen[r.Source] = true
	}
	if diff := cmp.Diff(map[string]int{"127.1.0.0/24": 18, "2001:db8::/96": 18, "127.2.0.0/24": 2, "2001:db8:1::/96": 2}, count); diff != "" {
		t.Error(diff)
	}
	cfg.MD5 = ""
	if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "no key to sign with") {
		t.Error(err)
	}
}
