package labtest

import (
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Bridge is the device of the test's own namespace that machines hang on;
// NewBridge makes it.
const Bridge = "br0"

// NewBridge makes the bridge, with an address of the test's own namespace.
func NewBridge(t *testing.T, addr netip.Prefix) {
	t.Helper()
	ip(t, "link add "+Bridge+" type bridge", "address add "+addr.String()+" dev "+Bridge, "link set "+Bridge+" up")
}

// Machine is a further network namespace: a customer, a real server. It is held
// by a thread and ends with the test.
type Machine struct {
	t  *testing.T
	do chan func()
}

// NewMachine makes a machine whose eth0, with the address, is on the bridge.
// Use it within Netns.
func NewMachine(t *testing.T, name string, addr netip.Prefix) *Machine {
	t.Helper()
	m := &Machine{t, make(chan func())}
	ready := make(chan error)
	go func() {
		// The thread dies with the goroutine, and the namespace with it.
		runtime.LockOSThread()
		ready <- unix.Unshare(unix.CLONE_NEWNET)
		for fn := range m.do {
			fn()
		}
	}()
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { close(m.do) })
	var tid int
	m.In(func() { tid = unix.Gettid() })
	ip(t, "link add v-"+name+" type veth peer name eth0 netns "+strconv.Itoa(tid), "link set v-"+name+" master "+Bridge+" up")
	m.IP("link set lo up", "address add "+addr.String()+" dev eth0", "link set eth0 up")
	return m
}

// In runs fn on the machine: sockets that it opens belong to the machine.
func (m *Machine) In(fn func()) {
	done := make(chan struct{})
	m.do <- func() { defer close(done); fn() }
	<-done
}

// IP runs commands of ip(8) on the machine.
func (m *Machine) IP(commands ...string) {
	m.t.Helper()
	m.In(func() { ip(m.t, commands...) })
}

// Sysctl sets a parameter of the machine, such as ipv4/ip_forward.
func (m *Machine) Sysctl(path, value string) {
	m.t.Helper()
	m.In(func() {
		// /proc/sys/net shows the namespace of the thread that opens it.
		if err := os.WriteFile("/proc/sys/net/"+path, []byte(value), 0); err != nil {
			m.t.Error(err)
		}
	})
}

// ip does not end the test at a failure: it may run on a machine's thread.
func ip(t *testing.T, commands ...string) {
	t.Helper()
	c := exec.Command("ip", "-batch", "-")
	c.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("ip: %s: %v: %s", strings.Join(commands, "; "), err, out)
	}
}
