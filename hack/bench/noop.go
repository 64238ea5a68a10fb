//go:build linux

package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/peerage/peerage/hack/lab"
)

// Size of the table, and for how long the agent is watched twice: once for its
// time, once for its system calls, which cannot be had without slowing it down.
const (
	noopServices     = 64
	noopDestinations = 64
	noopWindow       = 60 * time.Second // the packet filter is looked at once in it
)

// noop measures what an agent spends while nothing changes.
func (b *bencher) noop(ctx context.Context) (result *Noop, err error) {
	var vips []netip.Addr
	for i := range noopServices {
		vips = append(vips, netip.AddrFrom4([4]byte{203, 0, 113, byte(1 + i)}))
	}
	s, err := up(ctx, topology(noopDestinations, 1, vips), b.bin)
	defer func() { err = errors.Join(err, s.down()) }()
	if err != nil {
		return nil, err
	}
	n, p, err := s.Topology.Process("lb-1/"+lab.ProcAgent, b.bin)
	if err != nil {
		return nil, err
	}
	pid := lab.PID(n, p)
	result = &Noop{Services: noopServices, Destinations: noopDestinations, ByName: make(map[string]float64)}
	if err := ready(ctx, 2*time.Minute); err != nil {
		return nil, err
	}
	before, err := s.usage(ctx, pid)
	if err != nil {
		return nil, err
	}
	if err := sleep(ctx, noopWindow); err != nil {
		return nil, err
	}
	after, err := s.usage(ctx, pid)
	if err != nil {
		return nil, err
	}
	rounds := after.rounds - before.rounds
	if rounds <= 0 {
		return nil, errors.New("no-op: the agent ran no round")
	}
	result.Rounds = int(rounds)
	result.RoundMS = round(1000 * (after.seconds - before.seconds) / rounds)
	result.CPUMS = round(1000 * (after.cpu - before.cpu) / rounds)

	before = after
	text, err := strace(ctx, pid, noopWindow)
	if err != nil {
		return nil, err
	}
	if after, err = s.usage(ctx, pid); err != nil {
		return nil, err
	}
	if rounds = after.rounds - before.rounds; rounds <= 0 {
		return nil, errors.New("no-op: the agent ran no round under strace")
	}
	total, byName := straceSummary(text)
	result.Syscalls = round(float64(total) / rounds)
	for name, n := range byName {
		if n*20 >= total {
			result.ByName[name] = round(float64(n) / rounds)
		}
	}
	return result, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// ready waits until the agent of lb-1 says that its last round was good: a
// settled site may still have parts to set that no table shows.
func ready(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		_, err := ask(ctx, "lb-1", "/readyz")
		if err == nil {
			return nil
		}
		if sleep(ctx, time.Second) != nil {
			return fmt.Errorf("no-op: the agent does not become ready: %w", err)
		}
	}
}

// usage is what a process has used since it began.
type usage struct {
	cpu             float64 // seconds
	rounds, seconds float64 // by the agent's own metrics
}

func (s *site) usage(ctx context.Context, pid int) (usage, error) {
	var u usage
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(files) == 0 {
		return u, fmt.Errorf("process %d does not run", pid)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the thread ended
		}
		if f := strings.Fields(string(text)); len(f) > 0 {
			ns, _ := strconv.ParseFloat(f[0], 64)
			u.cpu += ns / 1e9
		}
	}
	text, err := ask(ctx, "lb-1", "/metrics")
	if err != nil {
		return u, err
	}
	u.rounds = metric(text, "peerage_agent_round_duration_seconds_count")
	u.seconds = metric(text, "peerage_agent_round_duration_seconds_sum")
	return u, nil
}

// ask reads what the daemon of a node answers to a GET.
func ask(ctx context.Context, node, path string) ([]byte, error) {
	dial := func(ctx context.Context, network, addr string) (c net.Conn, err error) {
		err = lab.In(node, func() error {
			c, err = (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, network, addr)
			return err
		})
		return c, err
	}
	transport := &http.Transport{DialContext: dial, DisableKeepAlives: true}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:9100"+path, nil)
	if err != nil {
		return nil, err
	}
	res, err := (&http.Client{Transport: transport, Timeout: 20 * time.Second}).Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s%s: %s: %.200s", node, path, res.Status, body)
	}
	return body, err
}

// metric is the value of a metric without labels.
func metric(text []byte, name string) float64 {
	for line := range bytes.Lines(text) {
		if value, ok := bytes.CutPrefix(line, []byte(name+" ")); ok {
			v, _ := strconv.ParseFloat(string(bytes.TrimSpace(value)), 64)
			return v
		}
	}
	return 0
}

// strace counts the system calls of a process for a while.
func strace(ctx context.Context, pid int, d time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, "strace", "-f", "-c", "-p", strconv.Itoa(pid))
	cmd.Stderr = &out
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	_ = cmd.Run() // it is always interrupted
	if !strings.Contains(out.String(), "syscall") {
		return "", fmt.Errorf("strace of process %d: %s", pid, out.String())
	}
	return out.String(), nil
}

// straceSummary reads the table of strace -c.
func straceSummary(text string) (total int, byName map[string]int) {
	byName = make(map[string]int)
	for sc := bufio.NewScanner(strings.NewReader(text)); sc.Scan(); {
		f := strings.Fields(sc.Text())
		if len(f) < 5 {
			continue
		}
		if _, err := strconv.ParseFloat(f[0], 64); err != nil {
			continue
		}
		calls, err := strconv.Atoi(f[3])
		if err != nil {
			continue
		}
		if name := f[len(f)-1]; name == "total" {
			total = calls
		} else {
			byName[name] = calls
		}
	}
	return total, byName
}
