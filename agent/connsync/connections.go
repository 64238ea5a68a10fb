package connsync

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
)

// connectionTable lists the entries of the network namespace of the calling
// thread, where /proc/net is that of the first thread.
const connectionTable = "/proc/thread-self/net/ip_vs_conn"

// checkEvery is how many lines are read between two looks at the context.
const checkEvery = 1024

// Connections counts the TCP entries of the kernel's connection table whose
// service is one of the VIPs. Entries that came by synchronisation count.
func Connections(ctx context.Context, vips ...netip.AddrPort) (int, error) {
	f, err := os.Open(connectionTable)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("connection table: %w; is the module ip_vs loaded?", err)
	}
	if err != nil {
		return 0, fmt.Errorf("connection table: %w", err)
	}
	defer f.Close()
	n, err := count(ctx, f, vips)
	if err != nil {
		return n, fmt.Errorf("connection table: %w", err)
	}
	return n, nil
}

// count reads lines such as
//
//	Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
//	TCP 0A000001 9C40 C0000201 00B3 0A000101 00B3 ESTABLISHED     893
//
// An IPv6 address is written in full, in eight groups.
func count(ctx context.Context, r io.Reader, vips []netip.AddrPort) (int, error) {
	wanted := make(map[string]bool, len(vips))
	for _, v := range vips {
		wanted[service(v)] = true
	}
	n := 0
	lines := bufio.NewScanner(r)
	for i := 0; lines.Scan(); i++ {
		if i%checkEvery == 0 && ctx.Err() != nil {
			return n, ctx.Err()
		}
		line, ok := bytes.CutPrefix(lines.Bytes(), []byte("TCP "))
		if !ok {
			continue
		}
		_, line, _ = bytes.Cut(line, []byte(" ")) // from
		_, line, _ = bytes.Cut(line, []byte(" ")) // its port
		addr, rest, _ := bytes.Cut(line, []byte(" "))
		port, _, _ := bytes.Cut(rest, []byte(" "))
		if to := line[:min(len(addr)+1+len(port), len(line))]; wanted[string(to)] { // no allocation
			n++
		}
	}
	return n, lines.Err()
}

// service writes an address and port as the table does.
func service(v netip.AddrPort) string {
	a := v.Addr()
	if a.Is4() {
		b := a.As4()
		return fmt.Sprintf("%X %04X", b[:], v.Port())
	}
	return fmt.Sprintf("%s %04X", a.StringExpanded(), v.Port())
}
