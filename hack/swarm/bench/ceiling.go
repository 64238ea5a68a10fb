package bench

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/peerage/peerage/hack/swarm"
	"github.com/peerage/peerage/realserver/bgp"
)

// Ceiling is what the swarm does when nothing but this machine holds it back:
// its other end is a listener that only answers.
type Ceiling struct {
	Sessions int `json:"sessions"`
	// SessionsPerSecond counts both ends' work.
	SessionsPerSecond float64 `json:"sessions_per_second"`
	// Feeds full tables of Routes each were sent and thrown away at this rate.
	Feeds           int     `json:"feeds"`
	Routes          int     `json:"routes"`
	RoutesPerSecond float64 `json:"routes_per_second"`
	// TableKiB is the memory of the one table that all feeds share.
	TableKiB int `json:"table_kib"`
}

// ceiling measures the swarm against a sink in this process.
func (b *bencher) ceiling(ctx context.Context) (*Ceiling, error) {
	s, err := newSink()
	if err != nil {
		return nil, err
	}
	defer s.close()
	c := &Ceiling{Sessions: 2000, Feeds: 50, Routes: 100_000}
	took, err := s.play(ctx, c.Sessions, nil)
	if err != nil {
		return nil, err
	}
	c.SessionsPerSecond = float64(c.Sessions) / took.Seconds()
	table, err := swarm.NewSyntheticTable(c.Routes, 1, bgp.IPv4Unicast)
	if err != nil {
		return nil, err
	}
	if took, err = s.play(ctx, c.Feeds, table); err != nil {
		return nil, err
	}
	c.RoutesPerSecond = float64(c.Feeds*c.Routes) / took.Seconds()
	c.TableKiB = table.Bytes() >> 10
	return c, nil
}

// sink is a passive speaker that brings sessions up and forgets what it hears.
type sink struct {
	listener net.Listener
	served   sync.WaitGroup
	complete chan struct{} // one for each End-of-RIB
}

func newSink() (*sink, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &sink{listener: l, complete: make(chan struct{}, 1<<16)}
	s.served.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.served.Go(func() {
				defer c.Close()
				_ = s.serve(c)
			})
		}
	})
	return s, nil
}

func (s *sink) close() {
	_ = s.listener.Close()
	s.served.Wait()
}

// serve answers each KEEPALIVE until the connection ends.
func (s *sink) serve(c net.Conn) error {
	open := bgp.Open{AS: 65000, HoldTime: 90 * time.Second, Identifier: netip.MustParseAddr("10.0.0.1"), Capabilities: []bgp.Capability{bgp.Multiprotocol(bgp.IPv4Unicast)}}
	if _, err := c.Write(bgp.AppendKeepalive(open.Append(nil))); err != nil {
		return err
	}
	in := bufio.NewReaderSize(c, 32<<10)
	for {
		head, err := in.Peek(bgp.HeaderLen)
		if err != nil {
			return err
		}
		kind, length := bgp.Type(head[18]), int(head[16])<<8|int(head[17])
		if _, err := in.Discard(length); err != nil {
			return err
		}
		switch {
		case kind == bgp.TypeKeepalive:
			if _, err := c.Write(bgp.AppendKeepalive(nil)); err != nil {
				return err
			}
		case kind == bgp.TypeUpdate && length == bgp.HeaderLen+4:
			s.complete <- struct{}{}
		case kind == bgp.TypeNotification:
			return io.EOF
		}
	}
}

// play brings n sessions up, each with a table, and takes the time until the
// last one is complete.
func (s *sink) play(ctx context.Context, n int, table *swarm.Table) (time.Duration, error) {
	profile, err := swarm.ProfileByName("eager")
	if err != nil {
		return 0, err
	}
	one, err := swarm.New(swarm.Config{
		Targets: []netip.AddrPort{netip.MustParseAddrPort(s.listener.Addr().String())}, From: []netip.Prefix{netip.MustParsePrefix("127.1.0.0/16")},
		Sessions: n, FirstAS: 65001, ASes: 1, HoldTime: 90 * time.Second, Profile: profile, Rate: 1_000_000, Table: table,
	})
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	began := time.Now()
	var running sync.WaitGroup
	var failed error
	running.Go(func() { failed = one.Run(ctx) })
	got := 0
	for ; got < n && ctx.Err() == nil; got++ {
		select {
		case <-ctx.Done():
		case <-s.complete:
		}
	}
	took := time.Since(began)
	ended := ctx.Err()
	cancel()
	running.Wait()
	if failed == nil && ended != nil {
		failed = fmt.Errorf("the sink saw %d of %d sessions: %w", got, n, ended)
	}
	return took, failed
}
