package controller

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/server"
	"github.com/peerage/peerage/controller/plan"
)

const planKey = "/peerage/v1/plan/edge"

// raw writes past every check, as a hand on the keyboard does. An empty value
// deletes the key.
func (s *site) raw(key, value string) {
	s.t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: s.etcd.Endpoints()})
	if err != nil {
		s.t.Fatal(err)
	}
	defer client.Close()
	if value == "" {
		_, err = client.Delete(s.t.Context(), key)
	} else {
		_, err = client.Put(s.t.Context(), key, value)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) get(key string) string {
	s.t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: s.etcd.Endpoints()})
	if err != nil {
		s.t.Fatal(err)
	}
	defer client.Close()
	r, err := client.Get(s.t.Context(), key)
	if err != nil {
		s.t.Fatal(err)
	}
	if len(r.Kvs) == 0 {
		return ""
	}
	return string(r.Kvs[0].Value)
}

// A plan that cannot be read is left alone, and said to be; when it is gone
// the leader writes what it knows, with a later generation and in the old order.
func TestUnreadablePlan(t *testing.T) {
	for name, value := range map[string]string{
		"of a future schema": `{"schema":99,"pool":"edge","generation":41,"shards":[]}`,
		"truncated":          `{"schema":1,"pool":"edge","gener`,
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.start("ctl-1")
			s.configure(2)
			s.plan("the first plan", func(p *api.Plan) bool { return p.Generation == 1 })
			s.raw(planKey, value)
			s.await("the plan is bad", func(st *api.State) bool { return len(st.Bad) == 1 })
			s.depool("rs-1")
			s.events("hold")
			if got := s.get(planKey); got != value {
				t.Errorf("the plan was overwritten with %s", got)
			}
			s.raw(planKey, "")
			p := s.plan("planned again", func(p *api.Plan) bool { return state(p, "rs-1") == api.ServerDepooled })
			if p.Generation < 2 || p.Destinations[0].Server != "rs-1" {
				t.Errorf("after the repair: %s", describe(p))
			}
			s.events("release")
		})
	}
}

// A plan that a leader finds unreadable when it is elected is left alone, too.
func TestElectedToUnreadablePlan(t *testing.T) {
	s := newSite(t)
	s.configure(2)
	future := `{"schema":99,"pool":"edge","generation":41}`
	s.raw(planKey, future)
	s.start("ctl-1")
	s.events("hold")
	s.depool("rs-1")
	s.update(addPool("core"))
	s.await("another pool is planned", func(st *api.State) bool { return st.Plans["core"] != nil })
	if got := s.get(planKey); got != future {
		t.Errorf("the plan was overwritten with %s", got)
	}
}

// What nobody but the leader may write, the leader writes again.
func TestForeignPlan(t *testing.T) {
	s := newSite(t)
	s.start("ctl-1")
	s.configure(3)
	s.plan("the first plan", func(p *api.Plan) bool { return p.Generation == 1 })
	s.raw(planKey, `{"schema":1,"pool":"edge","generation":7,"vips":["192.0.2.1"],"port":179,"scheduler":"mh","forwarding":"dsr","destinations":[],"announcements":[]}`)
	p := s.plan("the plan is repaired", func(p *api.Plan) bool { return p.Generation == 8 })
	if len(p.Destinations) != 3 || p.Destinations[0].Weight != 1 || len(p.Announcements) != 2 {
		t.Errorf("repaired: %s", describe(p))
	}
	s.raw(planKey, "")
	s.plan("a removed plan is written again", func(p *api.Plan) bool { return p.Generation == 9 && len(p.Destinations) == 3 })
	s.events("repair")
}

// Configuration that cannot be read is not configuration that is gone.
func TestUnreadableConfiguration(t *testing.T) {
	s := newSite(t)
	stop := s.start("ctl-1")
	s.configure(2)
	s.plan("the first plan", func(p *api.Plan) bool { return p.Generation == 1 })
	s.raw("/peerage/v1/config/pools/edge", `{"apiVersion":"peerage/v1","kind":"Pool","meta`)
	s.plan("held", func(p *api.Plan) bool { return p.Held != nil })
	stop()
	s.start("ctl-2") // has never seen the pool
	s.leader("ctl-2")
	s.update(addPool("core"))
	s.await("another pool is planned", func(st *api.State) bool { return st.Plans["core"] != nil })
	if p := s.mirror.State().Plans["edge"]; p == nil || p.Generation != 1 {
		t.Errorf("the plan of the unreadable pool: %s", describe(p))
	}
}

func TestManyPools(t *testing.T) {
	s := newSite(t)
	s.start("ctl-1")
	s.configure(3)
	for i := range 40 {
		s.update(addPool(fmt.Sprintf("p-%d", i)))
	}
	s.await("all are planned", func(st *api.State) bool { return len(st.Plans) == 41 })
	s.depool("rs-2")
	s.await("all follow", func(st *api.State) bool {
		for _, p := range st.Plans {
			if state(p, "rs-2") != api.ServerDepooled {
				return false
			}
		}
		return true
	})
}

// A verb on a pool whose plan nobody can read is refused for that reason, not
// for what follows from it: load balancers that refuse the plan as well.
func TestVerbsOnAnUnreadablePlan(t *testing.T) {
	s := newSite(t)
	s.start("ctl-1")
	s.configure(2)
	p := s.plan("the first plan", func(p *api.Plan) bool { return len(p.Destinations) == 2 })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		_ = s.store.Register(ctx, api.Live{Schema: api.Schema, Name: "lb-1", Role: api.RoleLB, StartedAt: time.Now()}, 10*time.Second)
	}()
	s.await("lb-1", func(st *api.State) bool { return st.LiveLBs["lb-1"] != nil })
	s.raw(planKey, `{"schema":99,"pool":"edge","generation":41}`)
	if err := s.store.PutApplied(ctx, &api.Applied{Pool: "edge", LB: "lb-1", Generation: p.Generation, Error: "plan refused"}); err != nil {
		t.Fatal(err)
	}
	s.await("the unreadable plan", func(st *api.State) bool { return st.Bad[planKey] != nil && st.Applied["edge"]["lb-1"] != nil })
	handler, err := server.New(server.Config{Name: "ctl-1", Store: s.store, Mirror: s.mirror, Planner: plan.Planner{}})
	if err != nil {
		t.Fatal(err)
	}
	verb := func(verb, body string) string {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest("POST", "/v1/realservers/rs-1/"+verb, strings.NewReader(body)))
		return w.Body.String()
	}
	for _, body := range []string{`{"reason":"disk"}`, `{"reason":"disk","acceptRisk":["below-min-healthy","over-max-depooled","lbs-disagree"]}`} {
		got := verb("depool", body)
		for _, want := range []string{"plan of pool edge in the store is unreadable", "schema 99 is of the future", "upgrade the controllers"} {
			if !strings.Contains(got, want) {
				t.Errorf("depool %s answers %s, want %q in it", body, got, want)
			}
		}
		if strings.Contains(got, "lbs-disagree") {
			t.Errorf("depool names a cause that is none: %s", got)
		}
	}
	if got := verb("pool", `{}`); strings.Contains(got, "error") {
		t.Errorf("the way back is refused: %s", got)
	}
}
