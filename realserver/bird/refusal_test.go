package bird

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/node/birdc/birdtest"
)

func TestRefusedConfigurationKeepsTheOld(t *testing.T) {
	t.Parallel()
	b := newBench(t, neighbor("lan", "127.0.1.0/24", 0, ""))
	b.put(true)
	session := b.router("127.0.1.5", 65001, "").must(t)
	good, err := os.ReadFile(b.opts.Config)
	if err != nil {
		t.Fatal(err)
	}
	b.cfg.Services[0].HoldTime = api.Duration(time.Second)
	changed, err := b.Set(t.Context(), b.cfg)
	if changed || err == nil || !strings.Contains(err.Error(), "Hold time must be in range 3-65535") || !strings.Contains(err.Error(), "bird.conf.new:") {
		t.Errorf("changed %v, error %v", changed, err)
	}
	session.alive(t)
	b.established(1)
	if now, err := os.ReadFile(b.opts.Config); err != nil || string(now) != string(good) {
		t.Errorf("the file changed, %v", err)
	}
	if _, err := os.Stat(b.opts.Config + ".new"); !os.IsNotExist(err) {
		t.Errorf("the refused file is left behind: %v", err)
	}
	b.cfg.Services[0].HoldTime = api.Duration(90 * time.Second)
	b.put(false)
}

func TestMissingKey(t *testing.T) {
	t.Parallel()
	b := newBench(t, neighbor("lan", "127.0.1.0/24", 0, ""), neighbor("signed", "127.0.2.5/32", 0, "k"))
	changed, err := b.Set(t.Context(), b.cfg)
	if !changed || err == nil || !strings.Contains(err.Error(), `pool bulk: neighbor signed (127.0.2.5/32 at 127.0.0.10`) || !strings.Contains(err.Error(), `secret "k"`) {
		t.Errorf("changed %v, error %v", changed, err)
	}
	b.router("127.0.1.5", 65001, "").must(t).alive(t)
	_ = b.router("127.0.2.5", 65001, "").refused(t)

	b.secretFile("k", "sesame")
	b.put(true)
	session := b.router("127.0.2.5", 65001, "sesame").must(t)

	// A key that gets lost later ends no session.
	if err := os.Remove(filepath.Join(filepath.Dir(b.opts.Socket), "secrets", "k")); err != nil {
		t.Fatal(err)
	}
	if changed, err := b.Set(t.Context(), b.cfg); changed || err == nil || !strings.Contains(err.Error(), "keeps its configuration") {
		t.Errorf("changed %v, error %v", changed, err)
	}
	session.alive(t)
	b.established(2)
}

// An agent that restarts from an old cache ends no session of a neighbour or
// pool that is newer.
func TestAdditive(t *testing.T) {
	t.Parallel()
	lan, one := neighbor("lan", "127.0.1.0/24", 0, ""), neighbor("one", "127.0.5.1/32", 0, "")
	b := newBench(t, lan)
	b.cfg.Additive = true
	b.put(true)
	b.neighbors(lan, one)
	b.put(true)
	session := b.router("127.0.5.1", 65001, "").must(t)
	b.neighbors(lan)
	if changed, err := b.Set(t.Context(), b.cfg); changed || err == nil || !strings.Contains(err.Error(), "keeps its configuration") {
		t.Errorf("changed %v, error %v", changed, err)
	}
	session.alive(t)
	b.cfg.Additive = false
	b.put(true)
	b.established(0)
}

func TestForeignBird(t *testing.T) {
	t.Parallel()
	foreign := birdtest.Start(t, "router id 10.0.0.1;\nprotocol device {}\n")
	b := newBench(t)
	b.opts.Socket, b.client.Socket = foreign.Socket, foreign.Socket
	if changed, err := b.Set(t.Context(), b.cfg); changed || err == nil || !strings.Contains(err.Error(), "not ours") {
		t.Errorf("changed %v, error %v", changed, err)
	}
	if _, err := os.Stat(b.opts.Config); !os.IsNotExist(err) {
		t.Errorf("the configuration was written: %v", err)
	}
}
