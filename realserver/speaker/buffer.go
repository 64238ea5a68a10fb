package speaker

import (
	"runtime"
	"sync"

	"github.com/peerage/peerage/realserver/bgp"
)

const (
	// bufferSize holds the longest message (RFC 8654), and half as much of the
	// next ones.
	bufferSize = bgp.MaxExtendedMessage + 1 + 32<<10
	// smallBuffer is what sessions get by with that have little to say.
	smallBuffer = 8 << 10
)

// buffer is what a session needs while it reads: sessions that wait have none.
type buffer struct {
	data []byte
	r, w int  // what is not read yet
	full bool // the last read took all there was room for
	// decoder and routes are scratch of the one who has the buffer.
	decoder bgp.Decoder
	owner   *session // whom the decoder knows
	routes  bgp.Routes
}

// compact makes room for the rest of the message at r.
func (b *buffer) compact() {
	if b.r > 0 {
		b.w = copy(b.data, b.data[b.r:b.w])
		b.r = 0
	}
}

// grow gives the buffer its full size, when there is more to read than fits.
func (b *buffer) grow(need int) {
	if len(b.data) < bufferSize && (b.full || need > len(b.data)/2) {
		data := make([]byte, bufferSize)
		b.w = copy(data, b.data[b.r:b.w])
		b.r, b.data = 0, data
	}
	b.full = false
}

// buffers are all buffers that there are: however many sessions have something
// to read, the memory for it is bounded. One that finds none waits. The buffer
// that was given back last is used first, so that no more are made than were
// ever needed at the same time.
type buffers struct {
	turns chan struct{} // has an entry for each buffer that is lent

	mu   sync.Mutex // guards the field below
	free []*buffer
}

func newBuffers() *buffers {
	return &buffers{turns: make(chan struct{}, max(16, 4*runtime.GOMAXPROCS(0)))}
}

func (b *buffers) get() *buffer {
	b.turns <- struct{}{}
	var buf *buffer
	b.mu.Lock()
	if last := len(b.free) - 1; last >= 0 {
		buf, b.free = b.free[last], b.free[:last]
	}
	b.mu.Unlock()
	if buf == nil {
		buf = &buffer{data: make([]byte, smallBuffer)}
	}
	return buf
}

func (b *buffers) put(buf *buffer) {
	buf.r, buf.w, buf.full, buf.owner = 0, 0, false, nil
	b.mu.Lock()
	b.free = append(b.free, buf)
	b.mu.Unlock()
	<-b.turns
}
