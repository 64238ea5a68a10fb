package speaker

// pen is what a writer needs while it writes: sessions that rest have none.
type pen struct {
	batch [][]byte
	err   error
	block bool
	of    *session
	ready func(fd uintptr) bool // calls of.writeReady
}

func newPen() any {
	p := &pen{}
	p.ready = func(fd uintptr) bool { return p.of.writeReady(fd) }
	return p
}

// takePen is for who has become the writer.
func (s *session) takePen() {
	if s.out.pen == nil {
		s.out.pen = s.sp.pens.Get().(*pen)
		s.out.pen.of = s
	}
}

// givePen is for the writer when it leaves.
func (s *session) givePen() {
	p := s.out.pen
	s.out.pen = nil
	*p = pen{ready: p.ready}
	s.sp.pens.Put(p)
}
