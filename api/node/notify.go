package node

import (
	"fmt"
	"net"
	"os"
)

// Notify tells systemd the state of the service, such as "READY=1",
// "STOPPING=1" or "STATUS=text" (sd_notify(3)). Without systemd it does
// nothing.
func Notify(state string) error {
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return nil
	}
	// A leading @ is an abstract socket, in Go as in systemd.
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("notify systemd: %w", err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(state)); err != nil {
		return fmt.Errorf("notify systemd: %w", err)
	}
	return nil
}
