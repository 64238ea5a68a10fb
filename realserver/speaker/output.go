package speaker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/peerage/peerage/realserver/bgp"
)

const (
	// maxBatch is how much is taken from the exchange at a time.
	maxBatch = 256 << 10
	// maxVectors is how many buffers one system call takes.
	maxVectors = 64
	// farewell bounds how long the last message may take.
	farewell = time.Second
)

// output is what a session sends. Whoever sets writing is the writer until it
// clears it: there is one at a time.
type output struct {
	mu sync.Mutex // guards the fields below
	// queue has whole messages that are not from the exchange.
	queue     []byte
	keepalive bool // one is due after what is being written
	woken     bool // the exchange has something
	writing   bool
	closed    bool   // nothing but final is written any more
	final     []byte // the last message
	broken    bool   // a write failed: the stream ends in the middle
	// done is closed when a writer that was there at the end has left.
	done chan struct{}

	// stuck is when the socket took something last, in Unix nanoseconds; 0:
	// nothing waits for it.
	stuck atomic.Int64

	// The writer's own; nil while there is none.
	pen *pen
}

// send queues a message, which does not change any more, and writes what the
// socket takes.
func (s *session) send(kind bgp.Type, message []byte) {
	o := &s.out
	o.mu.Lock()
	if o.closed || o.broken {
		o.mu.Unlock()
		return
	}
	if o.queue == nil {
		o.queue = message[:len(message):len(message)] // appending copies
	} else {
		o.queue = append(o.queue, message...)
	}
	s.sent.count(kind, len(message))
	start := !o.writing
	o.writing = true
	o.mu.Unlock()
	if start {
		s.pump(false)
	}
}

// wake has a goroutine take what the exchange has; it does not wait.
func (s *session) wake() {
	o := &s.out
	o.mu.Lock()
	defer o.mu.Unlock()
	o.woken = true
	if o.closed || o.broken || o.writing || s.exchange.Load() == nil {
		return
	}
	o.writing = true
	s.sp.writers.Go(func() { s.pump(true) })
}

// begin writes what the exchange has for a session that has just joined, as
// much as the socket takes: most have little to be sent, and the goroutine that
// is there has the stack for it.
func (s *session) begin() {
	o := &s.out
	o.mu.Lock()
	o.woken = true
	if o.closed || o.broken || o.writing {
		o.mu.Unlock()
		return
	}
	o.writing = true
	o.mu.Unlock()
	s.takePen()
	o.pen.batch, o.pen.block = s.take(), false
	if s.put() {
		s.pump(false)
	}
}

// pump is the writer: it writes until there is nothing left. Unless it may
// block it hands over to a goroutine when the socket is full.
func (s *session) pump(block bool) {
	s.takePen()
	for {
		batch, more := s.collect()
		if len(batch) == 0 {
			if !more {
				return
			}
			if !block {
				s.sp.writers.Go(func() { s.pump(true) })
				return
			}
			batch = s.take()
		}
		s.out.pen.batch, s.out.pen.block = batch, block
		if !s.put() {
			return
		}
	}
}

// put writes the batch. It fails when the writer has to leave: to a goroutine
// that may block, or because there is nothing to write to any more.
func (s *session) put() bool {
	full, err := s.write()
	if err != nil {
		s.broke(err)
		return false
	}
	if full {
		s.sp.writers.Go(func() { s.resume() })
	}
	return !full
}

// resume writes the rest of a batch and goes on.
func (s *session) resume() {
	s.out.pen.block = true
	if _, err := s.write(); err != nil {
		s.broke(err)
		return
	}
	s.pump(true)
}

// collect takes what is queued. more tells that the exchange has something.
// Without either the writer's role is given back.
func (s *session) collect() (batch [][]byte, more bool) {
	o := &s.out
	o.mu.Lock()
	defer o.mu.Unlock()
	batch = o.pen.batch[:0]
	if o.keepalive && !o.closed {
		o.queue = append(o.queue, s.sp.keepalive...)
		s.sent.count(bgp.TypeKeepalive, len(s.sp.keepalive))
	}
	o.keepalive = false
	if len(o.queue) > 0 {
		batch = append(batch, o.queue)
		o.queue = nil
	}
	if len(o.final) > 0 {
		batch = append(batch, o.final)
		o.final = nil
	}
	if len(batch) > 0 {
		return batch, false
	}
	if o.woken && !o.closed && s.exchange.Load() != nil {
		return nil, true
	}
	s.givePen()
	o.writing = false
	if o.done != nil {
		close(o.done)
		o.done = nil
	}
	return nil, false
}

// take gets a batch from the exchange.
func (s *session) take() [][]byte {
	o := &s.out
	o.mu.Lock()
	o.woken = false
	o.mu.Unlock()
	messages, more := s.exchange.Load().Next(maxBatch)
	if more {
		o.mu.Lock()
		o.woken = true
		o.mu.Unlock()
	}
	for _, m := range messages {
		s.count(m)
	}
	// The exchange owns the slice of slices; writing cuts it up.
	return append(o.pen.batch[:0], messages...)
}

// count counts the messages of one buffer.
func (s *session) count(b []byte) {
	var updates, refreshes, n int64
	for rest := b; len(rest) >= bgp.HeaderLen; {
		switch bgp.Type(rest[18]) {
		case bgp.TypeUpdate:
			updates++
		case bgp.TypeRouteRefresh:
			refreshes++
		}
		length := int(binary.BigEndian.Uint16(rest[16:]))
		if length < bgp.HeaderLen || length > len(rest) {
			break
		}
		n += int64(length)
		rest = rest[length:]
	}
	s.sent.updates.Add(updates)
	s.sent.refreshes.Add(refreshes)
	s.sent.bytes.Add(n)
}

// write writes the batch. full tells that some of it is left.
func (s *session) write() (full bool, err error) {
	p := s.out.pen
	p.err = nil
	err = errors.Join(s.raw.Write(p.ready), p.err)
	s.out.stuck.Store(0)
	return len(p.batch) > 0 && err == nil, err
}

// writeReady writes what the socket takes. False makes the poller wait.
func (s *session) writeReady(fd uintptr) bool {
	p := s.out.pen
	for len(p.batch) > 0 {
		var n int
		var err error
		if len(p.batch) == 1 {
			n, err = unix.Write(int(fd), p.batch[0])
		} else {
			n, err = unix.Writev(int(fd), p.batch[:min(len(p.batch), maxVectors)])
		}
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN && p.block:
			s.stick()
			return false
		case err == unix.EAGAIN:
			return true
		case err != nil:
			p.err = err
			return true
		}
		if s.out.stuck.Load() != 0 {
			s.out.stuck.Store(time.Now().UnixNano())
		}
		p.advance(n)
	}
	return true
}

// stick starts the Send Hold Timer when the socket is full.
func (s *session) stick() {
	if s.out.stuck.Load() == 0 {
		now := time.Now()
		s.out.stuck.Store(now.UnixNano())
		s.sp.wheel.set(&s.timer, now.Add(s.sendHold()))
	}
}

// advance drops n bytes from the batch.
func (p *pen) advance(n int) {
	for n > 0 && n >= len(p.batch[0]) {
		n -= len(p.batch[0])
		p.batch[0] = nil
		p.batch = p.batch[1:]
	}
	if n > 0 {
		p.batch[0] = p.batch[0][n:]
	}
}

// broke ends a session whose connection takes nothing any more.
func (s *session) broke(err error) {
	o := &s.out
	o.mu.Lock()
	s.givePen()
	o.broken, o.writing, o.queue, o.final = true, false, nil, nil
	if o.done != nil {
		close(o.done)
		o.done = nil
	}
	o.mu.Unlock()
	s.stop(fmt.Errorf("write: %w", err))
}

// finish writes a last message, after the one that is under way, and waits for
// that for a bounded time. Nothing is written after it.
func (s *session) finish(final []byte) {
	o := &s.out
	o.mu.Lock()
	o.closed, o.final = true, final
	if o.broken {
		o.mu.Unlock()
		return
	}
	if len(final) > 0 {
		s.sent.count(bgp.TypeNotification, len(final))
	}
	wait := make(chan struct{})
	started := o.writing
	o.writing, o.done = true, wait
	o.mu.Unlock()
	// An error means that the connection is gone, and so is the writer.
	_ = s.conn.SetWriteDeadline(time.Now().Add(farewell))
	if !started {
		s.pump(true)
	}
	<-wait
}
