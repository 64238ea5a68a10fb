package ipvs

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/hkwi/nlgo"
	"github.com/mqliang/libipvs"
	"golang.org/x/sys/unix"
)

// maxAbandoned bounds the handles given up in the life of the process: each
// keeps a descriptor and a goroutine for ever, for the library has no Close.
const maxAbandoned = 32

// writer changes the kernel's table through libipvs, one message at a time.
//
// The library may block for ever and may panic. Each handle therefore belongs
// to one goroutine, its session; a call that is not answered in time abandons
// both, and the next call starts over.
type writer struct {
	timeout time.Duration
	open    func() (libipvs.IPVSHandle, error)

	mu        sync.Mutex // one call at a time; guards the fields below
	current   *session
	abandoned int
	closed    bool
}

// session owns one handle.
type session struct {
	calls chan call     // closed to end the session
	ended chan struct{} // closed when the goroutine is gone
}

type call struct {
	fn func(h libipvs.IPVSHandle) error
	// done takes the result; it has room, so that a session whose caller has
	// gone can end.
	done chan error
}

// errBroken marks results after which a handle is not used again.
var errBroken = errors.New("IPVS handle is broken")

func openLibrary() (libipvs.IPVSHandle, error) {
	h, err := libipvs.NewIPVSHandle(libipvs.IPVSHandleParams{})
	if err != nil {
		return nil, fmt.Errorf("open IPVS: %w; is the module ip_vs loaded?", err)
	}
	return h, nil
}

// do runs fn with a handle, in the session's goroutine.
func (w *writer) do(ctx context.Context, fn func(h libipvs.IPVSHandle) error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return errors.New("kernel was closed")
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if w.current == nil {
		if w.abandoned >= maxAbandoned {
			return fmt.Errorf("%d IPVS handles were abandoned, and no more are made: restart this process", w.abandoned)
		}
		w.current = newSession(w.open)
	}
	ctx, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	c := call{fn, make(chan error, 1)}
	w.current.calls <- c // has room: there is one call at a time
	select {
	case err := <-c.done:
		if errors.Is(err, errBroken) {
			w.drop()
		}
		return errno(err)
	case <-ctx.Done():
		w.drop()
		w.abandoned++
		return ErrTimeout
	}
}

// drop gives up the current session; it ends when its call does, if ever.
func (w *writer) drop() {
	close(w.current.calls)
	w.current = nil
}

func (w *writer) abandonedHandles() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.abandoned
}

// close ends the session and waits for it.
func (w *writer) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	if s := w.current; s != nil {
		w.drop()
		<-s.ended // idle, so it ends at once
	}
}

func newSession(open func() (libipvs.IPVSHandle, error)) *session {
	s := &session{make(chan call, 1), make(chan struct{})}
	go s.run(open)
	return s
}

// run opens the handle with the first call, so that this too is bounded by a
// deadline.
func (s *session) run(open func() (libipvs.IPVSHandle, error)) {
	defer close(s.ended)
	var handle libipvs.IPVSHandle
	for c := range s.calls {
		c.done <- guarded(func() (err error) {
			if handle == nil {
				if handle, err = open(); err != nil {
					return errors.Join(err, errBroken)
				}
			}
			return c.fn(handle)
		})
	}
}

// guarded turns a panic of the library into an error.
func guarded(fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.Join(fmt.Errorf("libipvs panicked: %v", p), errBroken)
		}
	}()
	return fn()
}

// errno makes the kernel's answer an errno that errors.Is knows; the library's
// own type hides it.
func errno(err error) error {
	var refused nlgo.NlMsgerr
	if errors.As(err, &refused) && len(refused.Data) >= 4 {
		return unix.Errno(-refused.Payload().Error)
	}
	return err
}

// libService is the library's form of a service. It needs the full attributes:
// what an update leaves out becomes zero.
func libService(s Service) *libipvs.Service {
	l := libKey(s.Key)
	l.SchedName = s.Scheduler
	l.Flags = libipvs.Flags{Flags: s.Flags, Mask: ^uint32(0)}
	l.Timeout = s.Timeout
	l.Netmask = 128
	if !s.IPv6 {
		l.Netmask = ^uint32(0) // a mask for IPv4, a length for IPv6
	}
	return l
}

func libKey(k Key) *libipvs.Service {
	l := &libipvs.Service{FWMark: k.Mark, AddressFamily: family(k.IPv6)}
	if k.Mark == 0 {
		l.Protocol = libipvs.Protocol(k.Protocol)
		l.Address = net.IP(k.Addr.Addr().AsSlice())
		l.Port = k.Addr.Port()
	}
	return l
}

func libDestination(d Destination) *libipvs.Destination {
	return &libipvs.Destination{
		AddressFamily: family(d.Addr.Addr().Is6()),
		Address:       net.IP(d.Addr.Addr().AsSlice()),
		Port:          d.Addr.Port(),
		FwdMethod:     libipvs.FwdMethod(d.Forward),
		Weight:        uint32(d.Weight),
		UThresh:       d.Upper,
		LThresh:       d.Lower,
	}
}

func family(ipv6 bool) libipvs.AddressFamily {
	if ipv6 {
		return syscall.AF_INET6
	}
	return syscall.AF_INET
}

// checkKey and checkAddress refuse what makes the library panic.
func checkKey(k Key) error {
	if k.Mark != 0 {
		return nil
	}
	if k.Protocol == 0 || k.IPv6 != k.Addr.Addr().Is6() {
		return fmt.Errorf("service %s: not a service's address", k)
	}
	return checkAddress(k.Addr)
}

func checkAddress(a netip.AddrPort) error {
	if !a.IsValid() || a.Port() == 0 || a.Addr().Is4In6() || a.Addr().Zone() != "" {
		return fmt.Errorf("address %s: not usable in IPVS", a)
	}
	return nil
}
