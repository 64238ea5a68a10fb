package node

import (
	"net"
	"os"
	"testing"
)

func TestAdvertisedURL(t *testing.T) {
	addr := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 8179}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		api     API
		addr    *net.TCPAddr
		want    string
		exposed bool
	}{
		{API{}, addr, "http://10.0.0.1:8179", true},
		{API{TLSCert: "x"}, addr, "https://10.0.0.1:8179", true},
		{API{TLSCert: "x", ClientCA: "y"}, addr, "https://10.0.0.1:8179", false},
		{API{Advertise: "https://ctl.example/"}, addr, "https://ctl.example", true},
		{API{}, &net.TCPAddr{IP: net.IPv6zero, Port: 1}, "http://" + host + ":1", true},
		{API{}, &net.TCPAddr{IP: net.IPv6loopback, Port: 1}, "http://[::1]:1", false},
	} {
		if got := tc.api.URL(tc.addr, "ctl-1"); got != tc.want {
			t.Errorf("advertises %s, want %s", got, tc.want)
		}
		if got := tc.api.Exposed(tc.addr); got != tc.exposed {
			t.Errorf("%v at %v: exposed %v", tc.api, tc.addr, got)
		}
	}
}
