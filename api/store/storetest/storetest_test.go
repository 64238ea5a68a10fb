package storetest

import (
	"testing"
	"time"

	"github.com/peerage/peerage/api/store"
)

func TestStart(t *testing.T) {
	begin := time.Now()
	s := StartServer(t)
	t.Log("started in", time.Since(begin))
	st, err := store.Open(store.Config{Endpoints: s.Endpoints()})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if err := st.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Log("pinged after", time.Since(begin))
	begin = time.Now()
	s.Stop()
	t.Log("stopped in", time.Since(begin))
	begin = time.Now()
	s.Start()
	t.Log("restarted in", time.Since(begin))
	if err := st.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Log("pinged after", time.Since(begin))
}
