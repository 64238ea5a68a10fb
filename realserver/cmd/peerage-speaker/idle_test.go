package main

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/node/nodetest"
	"github.com/peerage/peerage/realserver/bgp"
	"github.com/peerage/peerage/realserver/speaker/control"
)

// BenchmarkIdleSessions measures sessions that say nothing, in a process of
// their own: how long until all are up, what each takes in memory, and what
// they cost while nothing happens.
//
//	go test -run - -bench IdleSessions -benchtime 1x ./realserver/cmd/peerage-speaker/
func BenchmarkIdleSessions(b *testing.B) {
	for _, n := range []int{1000, 5000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			for b.Loop() {
				idleSessions(b, n, 20*time.Second)
			}
		})
	}
}

func idleSessions(b *testing.B, n int, rest time.Duration) {
	p := startProcess(b)
	p.configure(netip.MustParsePrefix("127.0.0.0/8"))
	// The program's own pages are in memory when it has done all this once.
	const first = 64
	warm := p.connectAll(first)
	for p.established() < first {
		time.Sleep(10 * time.Millisecond)
	}
	for _, c := range warm {
		_ = c.Close()
	}
	for p.established() > 0 {
		time.Sleep(10 * time.Millisecond)
	}
	before := p.memory()
	begin := time.Now()
	conns := p.connectAll(n)
	for p.established() < n {
		time.Sleep(10 * time.Millisecond)
	}
	b.ReportMetric(time.Since(begin).Seconds(), "up-s")
	time.Sleep(3 * time.Second)
	cpu := p.cpu()
	time.Sleep(rest)
	b.ReportMetric(100*(p.cpu()-cpu).Seconds()/rest.Seconds(), "idle-cpu-%")
	b.ReportMetric(float64(p.memory()-before)/1024/float64(n), "KiB/session")
	for _, c := range conns {
		_ = c.Close()
	}
	p.stop()
}

// process is a speaker in a process of its own.
type process struct {
	testing.TB
	cmd    *exec.Cmd
	client *control.Client
	port   uint16
}

func startProcess(b testing.TB) *process {
	dir := b.TempDir()
	program := filepath.Join(dir, "peerage-speaker")
	if out, err := exec.CommandContext(b.Context(), "go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	socket := filepath.Join(dir, "speaker.sock")
	p := &process{TB: b, client: control.NewClient(socket), port: nodetest.FreePort(b)}
	p.cmd = exec.CommandContext(b.Context(), program, "--name=rs-1", "--socket="+socket, "--state-dir="+filepath.Join(dir, "state"), "--log-level=warn")
	p.cmd.Stderr = os.Stderr
	if err := p.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(p.stop)
	for {
		if _, err := p.client.Status(b.Context()); err == nil {
			return p
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (p *process) stop() {
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Signal(os.Interrupt)
		_ = p.cmd.Wait()
	}
}

func (p *process) configure(from netip.Prefix) {
	_, err := p.client.Configure(p.Context(), control.Config{
		Schema: control.Schema, RouterID: netip.MustParseAddr("10.1.1.1"),
		Services: []control.Service{{Pool: "bulk", VIPs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, Port: p.port, LocalAS: 64500, HoldTime: api.Duration(90 * time.Second)}},
		Customers: []control.Customer{{Name: "acme", CustomerSpec: api.CustomerSpec{
			Pools: []string{"bulk"}, Mode: api.CustomerCollect, Neighbors: []api.CustomerNeighbor{{Prefix: from}},
		}}},
	})
	if err != nil {
		p.Fatal(err)
	}
}

// connectAll opens sessions from addresses of their own, some at a time.
func (p *process) connectAll(n int) []net.Conn {
	conns := make([]net.Conn, n)
	var wg sync.WaitGroup
	next := make(chan int)
	for range 64 {
		wg.Go(func() {
			for i := range next {
				conns[i] = p.connectTo("127.0.0.1", i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	return conns
}

// connectTo opens the session of one router.
func (p *process) connectTo(vip string, i int) net.Conn {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1, byte(i>>8), byte(i))}, KeepAlive: -1}
	conn, err := d.DialContext(p.Context(), "tcp", net.JoinHostPort(vip, strconv.Itoa(int(p.port))))
	if err != nil {
		p.Error(err)
		return nil
	}
	open := bgp.Open{AS: 65001, HoldTime: 90 * time.Second, Identifier: netip.MustParseAddr("10.9.9.9"), Capabilities: []bgp.Capability{bgp.Multiprotocol(bgp.IPv4Unicast)}}
	if _, err := conn.Write(bgp.AppendKeepalive(open.Append(nil))); err != nil {
		p.Error(err)
	}
	return conn
}

// readAll reads to the end of a connection.
func readAll(t testing.TB, conn net.Conn) string {
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	all, err := io.ReadAll(conn)
	if err != nil {
		t.Errorf("read: %v", err)
	}
	return string(all)
}

func (p *process) established() int {
	s, err := p.client.Status(p.Context())
	if err != nil {
		p.Fatal(err)
	}
	return s.Pools["bulk"].Established
}

// memory is the resident set in bytes.
func (p *process) memory() int64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		var kib int64
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	p.Fatal("no VmRSS")
	return 0
}

// cpu is the processor time used so far.
func (p *process) cpu() time.Duration {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		p.Fatal(err)
	}
	fields := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
	var ticks int
	for _, f := range fields[11:13] { // utime and stime, proc(5)
		n, err := strconv.Atoi(f)
		if err != nil {
			p.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
