package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	"github.com/peerage/peerage/hack/swarm"
)

// Files of the swarm's node.
const (
	swarmControl = "control"
	swarmChanges = "changes.jsonl"
)

// SwarmSession is the name of a session of the swarm, as if it were a
// customer's router.
func SwarmSession(i int) string { return fmt.Sprintf("s-%05d", i) }

// SwarmIndex is the number in a name that SwarmSession made.
func SwarmIndex(name string) (i int, ok bool) {
	if n, err := fmt.Sscanf(name, "s-%d", &i); n != 1 || err != nil {
		return 0, false
	}
	return i, name == SwarmSession(i)
}

// swarmCommand plays the customers of the swarm until it is told to end.
func (t Topology) swarmCommand(n Node, bin string) []string {
	prefixes := func(ps ...netip.Prefix) string {
		return ps[0].String() + "," + ps[1].String()
	}
	const port = 179
	argv := []string{
		bin + "/peerage-swarm",
		"--target=" + netip.AddrPortFrom(t.vip(true), port).String() + "," + netip.AddrPortFrom(t.vip(false), port).String(),
		"--from=" + prefixes(swarm4Plain, swarm6Plain), fmt.Sprintf("--sessions=%d", t.Swarm.Sessions),
		fmt.Sprintf("--as=%d-%d", SwarmAS, SwarmAS+t.Swarm.Sessions-1), fmt.Sprintf("--peer-as=%d", PoolAS),
		"--hold-time=" + t.Timers.Hold.String(), fmt.Sprintf("--rate=%d", t.Swarm.Rate), "--announce=k=2",
		"--control=" + n.File(swarmControl), "--changes=" + n.File(swarmChanges), "--records=" + n.File("records.jsonl"),
	}
	if t.Swarm.MD5 > 0 {
		argv = append(argv, "--md5-from="+prefixes(swarm4MD5, swarm6MD5), "--md5-key-file="+n.File("secrets/"+MD5Secret),
			fmt.Sprintf("--md5-share=%g", float64(t.Swarm.MD5)/float64(t.Swarm.Sessions)))
	}
	return argv
}

// SwarmClient asks the swarm, which must run.
func (t Topology) SwarmClient() *swarm.Client {
	return swarm.NewClient(t.SwarmNode().File(swarmControl))
}

// ResetSwarm makes sessions of the swarm connect anew, in one go.
func (l *Lab) ResetSwarm(ctx context.Context, indexes []int) error {
	if len(indexes) == 0 {
		return nil
	}
	var words []string
	for i := 0; i < len(indexes); {
		j := i + 1
		for j < len(indexes) && indexes[j] == indexes[j-1]+1 {
			j++
		}
		words = append(words, fmt.Sprintf("%d-%d", indexes[i], indexes[j-1]))
		i = j
	}
	_, err := l.Topology.SwarmClient().Reset(ctx, strings.Join(words, ","))
	return err
}

// updateSwarm reads what the swarm wrote since the last time. An incomplete
// last line is left for the next time.
func (s *Sessions) updateSwarm() error {
	text, err := readFrom(Topology{}.SwarmNode().File(swarmChanges), s.offset)
	if err != nil {
		return err
	}
	for {
		line, rest, whole := strings.Cut(text, "\n")
		if !whole {
			return nil
		}
		var c swarm.ChangeLine
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			return err
		}
		if c.Index < 0 || c.Index >= len(s.swarm) {
			return fmt.Errorf("session %d: there are %d", c.Index, len(s.swarm))
		}
		s.swarm[c.Index].take(&c)
		s.offset += int64(len(line)) + 1
		text = rest
	}
}

// take notes a change of a session of the swarm.
func (s *Session) take(c *swarm.ChangeLine) {
	if len(s.Customer.Data) == 0 {
		s.Customer.Data = []netip.Prefix{netip.PrefixFrom(c.Source, c.Source.BitLen())}
		s.Customer.MD5 = swarm4MD5.Contains(c.Source) || swarm6MD5.Contains(c.Source)
	}
	up := c.State == swarm.Established
	if up {
		s.Server = c.Server
	}
	if up != s.Established {
		asked := c.Cause == swarm.CauseReset || c.Cause == swarm.CauseStopped
		s.Changes = append(s.Changes, Change{At: c.Time, Up: up, Why: c.Cause, Asked: asked})
	}
	s.Established = up
}
