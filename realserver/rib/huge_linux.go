package rib

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// hugeBytes is what a huge page holds.
const hugeBytes = 2 << 20

// advise asks for huge pages under a piece of memory. Those who look something
// up in gigabytes wait longer for the address of a page than for what is in it.
// It is a wish: a kernel that has none to give does what it does otherwise.
func advise[T any](b []T) {
	if len(b) == 0 {
		return
	}
	at := uintptr(unsafe.Pointer(&b[0]))
	skip := -at & (hugeBytes - 1)
	size := uintptr(len(b)) * unsafe.Sizeof(b[0])
	if size < skip+hugeBytes {
		return
	}
	_ = unix.Madvise(unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(&b[0]), skip)), size-skip), unix.MADV_HUGEPAGE)
}
