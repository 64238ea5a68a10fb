package ipvs

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/hkwi/nlgo"
	"github.com/mqliang/libipvs"
	"golang.org/x/sys/unix"
)

// stubHandle is a handle of the library that misbehaves on demand.
type stubHandle struct {
	libipvs.IPVSHandle
	delDestination func() error
}

func (h *stubHandle) DelDestination(*libipvs.Service, *libipvs.Destination) error {
	return h.delDestination()
}

func newTestWriter(t *testing.T, timeout time.Duration, del func() error) (w *writer, opened *atomic.Int32) {
	opened = new(atomic.Int32)
	w = &writer{timeout: timeout, open: func() (libipvs.IPVSHandle, error) {
		opened.Add(1)
		return &stubHandle{delDestination: del}, nil
	}}
	t.Cleanup(w.close)
	return w, opened
}

func del(h libipvs.IPVSHandle) error { return h.DelDestination(nil, nil) }

func TestWriterMapsErrors(t *testing.T) {
	refusal := func(e unix.Errno) error {
		data := make([]byte, unsafe.Sizeof(syscall.NlMsgerr{}))
		*(*int32)(unsafe.Pointer(&data[0])) = -int32(e)
		return nlgo.NlMsgerr(syscall.NetlinkMessage{Data: data})
	}
	for _, want := range []unix.Errno{unix.EEXIST, unix.ENOENT, unix.ESRCH, unix.EPERM} {
		w, _ := newTestWriter(t, time.Minute, func() error { return refusal(want) })
		if err := w.do(t.Context(), del); !errors.Is(err, want) {
			t.Errorf("error %v, want %v", err, want)
		}
	}
}

func TestWriterAbandonsAHandleThatHangs(t *testing.T) {
	hang := make(chan struct{})
	// The call ends when it is seen to hang, however slow the machine is.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var hanging atomic.Bool
	hanging.Store(true)
	w, opened := newTestWriter(t, time.Minute, func() error {
		if hanging.Load() {
			cancel()
			<-hang
		}
		return nil
	})
	if err := w.do(ctx, del); !errors.Is(err, ErrTimeout) {
		t.Fatalf("error %v, want %v", err, ErrTimeout)
	}
	hanging.Store(false)
	for range 2 {
		if err := w.do(t.Context(), del); err != nil {
			t.Fatal(err)
		}
	}
	close(hang)
	if opened.Load() != 2 || w.abandonedHandles() != 1 {
		t.Errorf("%d handles opened, %d abandoned; want 2 and 1", opened.Load(), w.abandonedHandles())
	}
}

func TestWriterGivesUpAfterManyHandles(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	w, opened := newTestWriter(t, time.Microsecond, func() error { <-hang; return nil })
	var err error
	for range maxAbandoned + 3 {
		err = w.do(context.Background(), del)
	}
	if err == nil || !strings.Contains(err.Error(), "restart this process") {
		t.Errorf("error %v does not say the way out", err)
	}
	if opened.Load() > maxAbandoned {
		t.Errorf("%d handles were opened", opened.Load())
	}
}

func TestWriterSurvivesPanics(t *testing.T) {
	w, opened := newTestWriter(t, time.Minute, func() error { panic("Incomplete service id fields") })
	for range 2 {
		if err := w.do(t.Context(), del); err == nil || !strings.Contains(err.Error(), "Incomplete service id") {
			t.Errorf("error %v does not tell the panic", err)
		}
	}
	if opened.Load() != 2 || w.abandonedHandles() != 0 {
		t.Errorf("%d handles opened, %d abandoned; want 2 and 0", opened.Load(), w.abandonedHandles())
	}
}

func TestWriterHonoursContextAndClose(t *testing.T) {
	w, opened := newTestWriter(t, time.Minute, func() error { return nil })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.do(ctx, del); !errors.Is(err, context.Canceled) || opened.Load() != 0 {
		t.Errorf("error %v, %d handles; want canceled, 0", err, opened.Load())
	}
	w.close()
	if err := w.do(t.Context(), del); err == nil {
		t.Error("a closed writer works")
	}
}

func TestKernelRefusesWhatMakesTheLibraryPanic(t *testing.T) {
	k := openKernel(KernelOptions{})
	k.write.open = func() (libipvs.IPVSHandle, error) { t.Error("the library was reached"); return nil, errBroken }
	for _, s := range []Service{{}, {Key: Key{Protocol: 6}}, {Key: tcp(key(bigTables(1, 0)[0]))}} {
		s.IPv6 = true
		if err := k.NewService(t.Context(), s); err == nil {
			t.Errorf("%v is accepted", s.Key)
		}
	}
	if err := k.NewDestination(t.Context(), tcp(key(bigTables(1, 0)[0])), Destination{}); err == nil {
		t.Error("an empty destination is accepted")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte{8, 0, 1, 0, 2, 0, 0, 0})
	f.Add([]byte{4, 0, 3, 0})
	f.Add([]byte{255, 255, 2, 128, 1})
	f.Fuzz(func(_ *testing.T, b []byte) {
		for _, body := range attributes(b) {
			parseService(body)
			parseDestination(body, false)
		}
		parseService(b)
		parseDestination(b, true)
	})
}
