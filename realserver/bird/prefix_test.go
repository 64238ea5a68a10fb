package bird

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/node/birdc/birdtest"
)

func TestLongestPrefixWins(t *testing.T) {
	t.Parallel()
	wide, middle, narrow := neighbor("wide", "127.0.0.0/8", 65001, ""), neighbor("middle", "127.0.3.0/24", 65002, ""), neighbor("narrow", "127.0.3.5/32", 65003, "")
	same := neighbor("same", "127.0.0.0/16", 65004, "") // its address is that of wide
	check := func(t *testing.T, b *bench, from string, want uint16) {
		t.Helper()
		for _, as := range []uint16{want, 65001 + want%4} {
			if as == want {
				b.router(from, as, "").must(t).close()
			} else if err := b.router(from, as, "").refused(t); err != nil && !strings.Contains(err.Error(), "NOTIFICATION 2/2") {
				t.Errorf("%s as %d: %v, want Bad Peer AS", from, as, err)
			}
			// A refused AS makes BIRD wait for a second.
			birdtest.Await(t, func(ctx context.Context) bool { return b.waiting(ctx) })
		}
	}
	for name, steps := range map[string][][]api.Neighbor{
		"at once":         {{narrow, middle, wide}},
		"longer later":    {{wide}, {wide, middle}, {narrow, wide, middle}},
		"shorter later":   {{narrow}, {narrow, middle}, {narrow, middle, wide}},
		"same address":    {{wide, same, narrow, middle}},
		"shorter removed": {{same, wide, narrow, middle}, {narrow, middle, wide}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			for i, neighbors := range steps {
				b.neighbors(neighbors...)
				b.put(true)
				if i > 0 || len(steps) == 1 || name != "longer later" {
					continue
				}
				// These leave protocols behind that must not take what comes.
				check(t, b, "127.0.3.5", 65001)
				check(t, b, "127.0.3.6", 65001)
			}
			check(t, b, "127.0.3.5", 65003)
			check(t, b, "127.0.3.6", 65002)
			if strings.HasPrefix(name, "same") {
				check(t, b, "127.0.4.1", 65004)
				check(t, b, "127.1.4.1", 65001)
			}
		})
	}
}

// The key of a prefix stays on the listener whatever happens to the protocols
// that BIRD spawns below it.
func TestSignedPrefixes(t *testing.T) {
	t.Parallel()
	b := newBench(t, neighbor("signed", "127.0.2.0/24", 0, "k"))
	b.secretFile("k", "sesame")
	b.secretFile("k2", "open")
	b.put(true)
	guarded := func(step, from string) {
		t.Helper()
		b.router(from, 65001, "sesame").must(t).close()
		_ = b.router(from, 65001, "wrong").refused(t)
		_ = b.router(from, 65001, "").refused(t)
		if t.Failed() {
			t.Fatalf("after %s", step)
		}
	}
	guarded("the start", "127.0.2.9")
	guarded("a session that ended", "127.0.2.10")
	stays := b.router("127.0.2.20", 65001, "sesame").must(t)

	// 127.0.2.9 left a protocol behind that the new prefix takes over.
	b.neighbors(neighbor("signed", "127.0.2.0/24", 0, "k"), neighbor("inner", "127.0.2.8/30", 0, "k2"))
	b.put(true)
	guarded("a longer prefix", "127.0.2.21")
	b.router("127.0.2.9", 65001, "open").must(t).close()
	_ = b.router("127.0.2.9", 65001, "sesame").refused(t)
	stays.alive(t)

	b.secretFile("k", "changed")
	b.put(true)
	b.router("127.0.2.22", 65001, "changed").must(t).close()
	_ = b.router("127.0.2.22", 65001, "sesame").refused(t)
	_ = b.router("127.0.2.22", 65001, "").refused(t)
	b.router("127.0.2.9", 65001, "open").must(t)

	config, err := os.ReadFile(b.opts.Config)
	if err != nil || !strings.Contains(string(config), "changed") {
		t.Error("the key is not in the configuration", err)
	}
	info, err := os.Stat(b.opts.Config)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the configuration has mode %v, %v", info.Mode(), err)
	}
	if text := b.log.String(); strings.Contains(text, "sesame") || strings.Contains(text, "changed") {
		t.Errorf("a key is in the log:\n%s", text)
	}
}
