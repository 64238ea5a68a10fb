package storetest

import (
	"testing"
	"time"

	"github.com/peerage/peerage/api/store"
)

func TestCluster(t *testing.T) {
	begin := time.Now()
	c := StartCluster(t, 0)
	t.Log("started in", time.Since(begin))
	st, err := store.Open(store.Config{Endpoints: c.Endpoints(), TLS: c.TLS()})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	for _, step := range []struct {
		name string
		do   func(m *Member)
	}{
		{"a crash", func(m *Member) { m.Stop(); c.Leader(); m.Start() }},
		{"an isolation", func(m *Member) { m.Isolate(); c.deposed(m); m.Rejoin() }},
		{"a replacement", (*Member).Replace},
	} {
		begin = time.Now()
		step.do(c.Leader())
		c.Leader()
		if err := st.Ping(t.Context()); err != nil {
			t.Errorf("after %s: %v", step.name, err)
		}
		t.Log(step.name, "took", time.Since(begin))
	}
}

// deposed waits until the others have another leader.
func (c *Cluster) deposed(old *Member) {
	c.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(tick) {
		led := 0
		for _, m := range c.Others(old) {
			if id := m.server.Server.Leader(); id != 0 && id != old.server.Server.MemberID() {
				led++
			}
		}
		if led == members-1 {
			return
		}
	}
	c.t.Fatal("the others elected nobody")
}
