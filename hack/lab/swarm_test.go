package lab

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/peerage/peerage/hack/swarm"
)

func TestSwarmIndex(t *testing.T) {
	for name, want := range map[string]int{"s-00000": 0, "s-00017": 17, "s-12345": 12345, "s-17": -1, "c-001": -1, "s-00017x": -1, "swarm": -1} {
		got, ok := SwarmIndex(name)
		if !ok {
			got = -1
		}
		if got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
}

// TestSwarmChanges: a session that goes down by itself flaps; one that was
// asked to does not.
func TestSwarmChanges(t *testing.T) {
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	source, server := netip.MustParseAddr("10.65.128.1"), netip.MustParseAddr("10.0.1.2")
	var one Session
	at := func(seconds int, state swarm.State, cause string) {
		c := swarm.ChangeLine{Source: source, Time: began.Add(time.Duration(seconds) * time.Second)}
		c.State, c.Cause = state, cause
		if state == swarm.Established {
			c.Server = server
		}
		one.take(&c)
	}
	at(0, swarm.Connecting, "")
	at(1, swarm.Down, "connection refused")
	at(2, swarm.Connecting, "")
	at(3, swarm.OpenSent, "")
	at(4, swarm.Established, "")
	at(5, swarm.Down, swarm.CauseReset)
	at(6, swarm.Established, "")
	at(7, swarm.Down, "RST from the peer")
	at(8, swarm.Connecting, "")
	if one.Established || one.Server != server || !one.Customer.MD5 || one.Customer.Data[0].Addr() != source {
		t.Errorf("%+v", one)
	}
	var flaps []string
	for _, c := range one.Flaps(began) {
		flaps = append(flaps, fmt.Sprint(c.At.Sub(began), " ", c.Why))
	}
	if diff := cmp.Diff([]string{"7s RST from the peer"}, flaps); diff != "" || len(one.Changes) != 4 {
		t.Errorf("%s%+v", diff, one.Changes)
	}
}

func TestSwarmCommand(t *testing.T) {
	topology, err := Parse([]byte("swarm: {sessions: 2000, md5: 200}\n"))
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(topology.swarmCommand(topology.SwarmNode(), "bin"), " ")
	for _, want := range []string{
		"--target=203.0.113.179:179,[2001:db8:179::179]:179", "--from=10.65.0.0/17,fd65::1:0/112", "--md5-from=10.65.128.0/17,fd65::2:0/112",
		"--md5-share=0.1", "--as=4200000000-4200001999", "--hold-time=15s",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
}
