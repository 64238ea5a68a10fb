package nodetest

import (
	"fmt"
	"net"
	"testing"
)

func TestFreePort(t *testing.T) {
	port := FreePort(t)
	if fd, err := reserve(int(port)); err == nil {
		t.Errorf("port %d is given twice (descriptor %d)", port, fd)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	if c, err := net.Dial("tcp", addr); err == nil {
		c.Close()
		t.Error("somebody listens")
	}
	for range 2 { // as a daemon that is started again
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := net.Listen("tcp", addr); err == nil {
			t.Error("two listen on one port")
		}
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		l.Close()
	}
	if _, err := reserve(int(port)); err == nil {
		t.Errorf("port %d is given again after somebody listened", port)
	}
}
