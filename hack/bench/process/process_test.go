package process

import (
	"os/exec"
	"strings"
	"testing"
)

// A shell with a child: both are weighed, and both end.
func TestProcess(t *testing.T) {
	dir := t.TempDir()
	p, err := Start(dir, "shell", exec.Command("sh", "-c", "sleep 60 & echo started; exec sleep 60"))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Alive(); err != nil {
		t.Error(err)
	}
	u, err := p.Usage()
	if err != nil || u.Processes < 1 || u.ResidentKiB == 0 || u.PeakKiB < u.AnonKiB || u.Threads < u.Processes {
		t.Errorf("%+v, %v", u, err)
	}
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
	if err := p.Alive(); err == nil {
		t.Error("a stopped program is alive")
	}
	if _, err := p.Usage(); err == nil {
		t.Error("a stopped program uses something")
	}
}

func TestAliveShowsTheOutput(t *testing.T) {
	p, err := Start(t.TempDir(), "shell", exec.Command("sh", "-c", "echo no such peer; exit 3"))
	if err != nil {
		t.Fatal(err)
	}
	<-p.done
	if err := p.Alive(); err == nil || !strings.Contains(err.Error(), "no such peer") || !strings.Contains(err.Error(), "status 3") {
		t.Error(err)
	}
}

func TestMachine(t *testing.T) {
	if busy, err := Machine(); err != nil || busy <= 0 {
		t.Error(busy, err)
	}
}

func TestFamily(t *testing.T) {
	if got := afterName([]byte("12 (a ) b) S 7 8")); got[0] != "S" || got[1] != "7" {
		t.Error(got)
	}
	all, err := family(1)
	if err != nil || len(all) < 2 {
		t.Error(all, err)
	}
}
