package storetest

import (
	"net"
	"sync"
	"testing"
)

// relay stands between a member and whoever talks to it. Its port stays the
// same and stays taken for the time of the test, however often the member
// behind it is started; and it can cut the line, or let it fall silent.
type relay struct {
	listener net.Listener
	running  sync.WaitGroup

	mu     sync.Mutex // guards the fields below
	to     string     // empty: connections are refused
	silent chan struct{}
	conns  map[net.Conn]bool
	closed bool
}

func newRelay(t testing.TB) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{listener: l, conns: map[net.Conn]bool{}}
	r.running.Go(r.accept)
	t.Cleanup(r.close)
	return r
}

func (r *relay) url() string { return "https://" + r.listener.Addr().String() }

// open lets connections through to an address.
func (r *relay) open(to string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.to = to
}

// cut ends the connections, and refuses new ones.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.to = ""
	for c := range r.conns {
		_ = c.Close()
	}
}

// hush keeps connections open, and lets nothing through until speak.
func (r *relay) hush() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.silent == nil {
		r.silent = make(chan struct{})
	}
}

func (r *relay) speak() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.silent != nil {
		close(r.silent)
		r.silent = nil
	}
}

func (r *relay) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.speak()
	r.cut()
	_ = r.listener.Close()
	r.running.Wait()
}

func (r *relay) accept() {
	for {
		c, err := r.listener.Accept()
		if err != nil {
			return
		}
		r.running.Go(func() { r.pass(c) })
	}
}

// pass serves one connection.
func (r *relay) pass(in net.Conn) {
	defer in.Close()
	r.await()
	r.mu.Lock()
	to := r.to
	r.mu.Unlock()
	if to == "" {
		return
	}
	out, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer out.Close()
	if !r.keep(in, out) {
		return
	}
	defer r.forget(in, out)
	var back sync.WaitGroup
	back.Go(func() { r.copy(in, out) })
	r.copy(out, in)
	back.Wait()
}

// copy copies one direction; its end is the end of both.
func (r *relay) copy(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		r.await()
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// await waits while the line is silent.
func (r *relay) await() {
	r.mu.Lock()
	silent := r.silent
	r.mu.Unlock()
	if silent != nil {
		<-silent
	}
}

// keep notes a pair for cut, unless the line was cut meanwhile.
func (r *relay) keep(pair ...net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.to == "" || r.closed {
		return false
	}
	for _, c := range pair {
		r.conns[c] = true
	}
	return true
}

func (r *relay) forget(pair ...net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range pair {
		delete(r.conns, c)
	}
}
