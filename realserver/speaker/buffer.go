package speaker

import (
	"runtime"

	"github.com/peerage/peerage/realserver/bgp"
)

// bufferSize holds the longest message (RFC 8654), and then as much again of
// the next ones.
const bufferSize = bgp.MaxExtendedMessage + 1 + 32<<10

// buffer is what a session needs while it reads: sessions that wait have none.
type buffer struct {
	data []byte
	r, w int // what is not read yet
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

// buffers are all buffers that there are: however many sessions have something
// to read, the memory for it is bounded. One that finds none waits.
type buffers chan *buffer

func newBuffers() buffers {
	n := max(16, 4*runtime.GOMAXPROCS(0))
	b := make(buffers, n)
	for range n {
		b <- nil // made when it is needed first
	}
	return b
}

func (b buffers) get() *buffer {
	buf := <-b
	if buf == nil {
		buf = &buffer{data: make([]byte, bufferSize)}
	}
	return buf
}

func (b buffers) put(buf *buffer) {
	buf.r, buf.w, buf.owner = 0, 0, nil
	b <- buf
}
