package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/server"
	"github.com/peerage/peerage/api/server/servertest"
)

const site = `
apiVersion: peerage/v1
kind: LoadBalancer
metadata: {name: lb-1}
spec: {addresses: [198.51.100.11], interface: eth0}
---
apiVersion: peerage/v1
kind: RealServer
metadata: {name: rs-1}
spec: {addresses: [198.51.100.21]}
---
apiVersion: peerage/v1
kind: RealServer
metadata: {name: rs-2}
spec: {addresses: [198.51.100.22]}
---
apiVersion: peerage/v1
kind: Pool
metadata: {name: edge}
spec:
  vips: [203.0.113.1]
  realServers: [rs-1, rs-2]
  guards: {maxDepooled: 1}
  speaker:
    localAS: 64700
    neighbors: [{name: customers, prefix: 192.0.2.0/24}]
`

// caller makes requests, and holds every answer against the document.
type caller struct {
	t    testing.TB
	url  string
	doc  document
	head http.Header
}

func newCaller(t testing.TB, s *servertest.Site) *caller {
	return &caller{t: t, url: s.HTTP.URL, doc: readDocument(t), head: http.Header{}}
}

// call makes a request and returns status and body.
func (c *caller) call(method, path, body string) (int, []byte) {
	c.t.Helper()
	return c.send(method, path, strings.NewReader(body))
}

func (c *caller) send(method, path string, body io.Reader) (int, []byte) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, body)
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header = c.head.Clone()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	contentType, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	bare, _, _ := strings.Cut(path, "?")
	// Answers to what is no operation are not in the document.
	if resp.StatusCode != http.StatusMethodNotAllowed && !strings.HasPrefix(bare, "/nowhere") {
		c.doc.checkAnswer(c.t, method, bare, resp.StatusCode, contentType, data)
	}
	return resp.StatusCode, data
}

// do is call for an answer that must be 200, decoded.
func do[T any](c *caller, method, path, body string) T {
	c.t.Helper()
	status, data := c.call(method, path, body)
	var v T
	if status != http.StatusOK {
		c.t.Fatalf("%s %s: %d %s", method, path, status, data)
	}
	if err := json.Unmarshal(data, &v); err != nil {
		c.t.Fatalf("%s %s: %v: %s", method, path, err, data)
	}
	return v
}

// refused is call for an answer that must be an error of the code.
func (c *caller) refused(method, path, body string, status int, code api.ErrorCode, texts ...string) *api.Error {
	c.t.Helper()
	got, data := c.call(method, path, body)
	var e api.ErrorBody
	if err := json.Unmarshal(data, &e); err != nil || e.Error == nil {
		c.t.Fatalf("%s %s: %d %s: %v", method, path, got, data, err)
	}
	if got != status || e.Error.Code != code {
		c.t.Errorf("%s %s: %d %s, want %d %s: %s", method, path, got, e.Error.Code, status, code, data)
	}
	for _, text := range texts {
		if !strings.Contains(string(data), text) {
			c.t.Errorf("%s %s: %q is not in %s", method, path, text, data)
		}
	}
	return e.Error
}

func TestEveryAnswerIsAsDocumented(t *testing.T) {
	s := servertest.New(t)
	c := newCaller(t, s)
	do[api.ApplyResult](c, "POST", "/v1/apply?dryRun=1", site)
	do[api.ApplyResult](c, "POST", "/v1/apply", site)
	s.Join(api.RoleLB, "lb-1")
	s.Join(api.RoleRealServer, "rs-1")
	s.Join(api.RoleController, "ctl-1")
	s.Lead()
	s.Run("lb-1")
	s.Observe("edge", "rs-1", 7, "lb-1")
	do[api.VerbResult](c, "POST", "/v1/realservers/rs-2/depool", `{"reason":"fan","for":"2h"}`)
	do[api.VerbResult](c, "POST", "/v1/realservers/rs-1/weight", `{"weight":4}`)
	do[api.VerbResult](c, "POST", "/v1/realservers/rs-1/weight", `{"weight":"reset"}`)
	do[api.StoreAcceptResult](c, "POST", "/v1/store/accept", `{"acceptRisk":["restored-store"]}`)
	do[api.ApplyResult](c, "POST", "/v1/apply?prune=Customer", tenants)
	const acme = `"target":{"customer":"acme"},"prefix":"192.0.2.1/32"`
	do[api.RouteResult](c, "POST", "/v1/routes/announce", `{`+acme+`,"nextHop":"198.51.100.1","communities":["blackhole"],"med":0,"reason":"attack","for":"1h"}`)
	s.Speak("rs-2", held("acme", "198.51.100.129", "established", time.Now(), 1))
	for _, path := range []string{"/v1/customers", "/v1/customers/acme", "/v1/routes", "/v1/sessions", "/v1/sessions/198.51.100.129",
		"/v1/routes/lookup?addr=192.0.2.1", "/v1/sessions/198.51.100.129/routes", "/v1/pools", "/v1/pools/edge", "/v1/loadbalancers", "/v1/loadbalancers/lb-1", "/v1/realservers", "/v1/realservers/rs-1",
		"/v1/settings", "/v1/plans", "/v1/plans/edge", "/v1/events", "/v1/status", "/v1/version", "/healthz", "/readyz", "/metrics", "/openapi.yaml"} {
		if status, data := c.call("GET", path, ""); status != http.StatusOK {
			t.Errorf("GET %s: %d %s", path, status, data)
		}
	}
	do[api.VerbResult](c, "POST", "/v1/realservers/rs-2/pool", "")
	do[api.RouteResult](c, "POST", "/v1/routes/withdraw", `{`+acme+`}`)
	do[api.ApplyResult](c, "POST", "/v1/apply?prune=Customer&acceptRisk=many-customers", site)
	if out := do[api.ApplyResult](c, "DELETE", "/v1/pools/edge?acceptRisk=empty-pool", ""); len(out.Before) != 1 || len(out.After) != 0 {
		t.Errorf("a deletion has %d before and %d after", len(out.Before), len(out.After))
	}
}

func TestErrorsNameObjectCauseAndWayOut(t *testing.T) {
	s := servertest.New(t)
	c := newCaller(t, s)
	do[api.ApplyResult](c, "POST", "/v1/apply", site)
	e := c.refused("POST", "/v1/apply", "apiVersion: peerage/v1\nkind: RealServer\nmetadata: {name: rs-9}\nspec:\n  addresses: [198.51.100.29]\n  wieght: 2\n",
		400, api.ErrorInvalid, "wieght")
	if len(e.Details) != 1 || e.Details[0].Line != 6 || e.Object != "RealServer/rs-9" {
		t.Errorf("the unknown key is not located: %+v", e)
	}
	c.refused("POST", "/v1/apply", "[]x", 400, api.ErrorInvalid)
	c.refused("POST", "/v1/apply", "", 400, api.ErrorInvalid, "no object")
	c.refused("POST", "/v1/apply?dryRun=maybe", site, 400, api.ErrorInvalid, "dryRun")
	c.refused("POST", "/v1/apply?acceptRisk=all", site, 400, api.ErrorUnknownRisk, "below-min-healthy", "restored-store")
	c.refused("POST", "/v1/realservers/rs-1/depool", `{}`, 400, api.ErrorInvalid, "needs a reason")
	c.refused("POST", "/v1/realservers/rs-1/depool", `{"raeson":"x"}`, 400, api.ErrorInvalid, "raeson")
	c.refused("POST", "/v1/realservers/rs-1/depool", `{"reason":"x"} {}`, 400, api.ErrorInvalid, "more data")
	c.refused("POST", "/v1/realservers/rs-1/depool", `{"reason":"x","for":"2h","until":"2027-01-01T00:00:00Z"}`, 400, api.ErrorInvalid, "both")
	c.refused("POST", "/v1/realservers/rs-1/depool", `{"reason":"x","until":"2020-01-01T00:00:00Z"}`, 400, api.ErrorInvalid, "after now")
	c.refused("POST", "/v1/realservers/rs-1/depool", `{"reason":"x","for":"-2h"}`, 400, api.ErrorInvalid, "for is")
	c.refused("POST", "/v1/realservers/rs-1/depool", `{"reason":"`+strings.Repeat("x", 600)+`"}`, 400, api.ErrorInvalid, "600 characters")
	c.refused("POST", "/v1/realservers/rs-1/weight", `{}`, 400, api.ErrorInvalid, "needs a weight")
	c.refused("POST", "/v1/realservers/rs-1/weight", `{"weight":9}`, 400, api.ErrorInvalid, "1..8")
	c.refused("POST", "/v1/realservers/rs-1/weight", `{"weight":0}`, 400, api.ErrorInvalid, "depool instead")
	c.refused("POST", "/v1/realservers/rs-9/pool", ``, 404, api.ErrorNotFound, "rs-9", "did you mean")
	c.refused("GET", "/v1/pools/nope", ``, 404, api.ErrorNotFound, "there is edge")
	c.refused("GET", "/v1/plans/edge", ``, 404, api.ErrorNotFound, "no plan yet")
	c.refused("GET", "/v1/plans/nope", ``, 404, api.ErrorNotFound)
	c.refused("GET", "/v1/events?limit=0", ``, 400, api.ErrorInvalid, "1..2000")
	c.refused("DELETE", "/v1/realservers/rs-1", ``, 409, api.ErrorInUse, "Pool/edge")
	c.refused("DELETE", "/v1/pools/edge?generation=4", ``, 409, api.ErrorConflict, "generation 1")
	c.refused("DELETE", "/v1/pools/edge?generation=x", ``, 400, api.ErrorInvalid)
	c.refused("GET", "/nowhere", ``, 404, api.ErrorNotFound, "/openapi.yaml")
	c.refused("PUT", "/v1/status", ``, 405, api.ErrorInvalid, "use GET")
}

func TestCompareAndSet(t *testing.T) {
	s := servertest.New(t)
	c := newCaller(t, s)
	do[api.ApplyResult](c, "POST", "/v1/apply", site)
	file := func(generation, weight int) string {
		return fmt.Sprintf("apiVersion: peerage/v1\nkind: RealServer\nmetadata: {name: rs-1, generation: %d}\nspec: {addresses: [198.51.100.21], weight: %d}\n", generation, weight)
	}
	out := do[api.ApplyResult](c, "POST", "/v1/apply", file(1, 3))
	if !out.Changed || out.Objects[0].Generation != 2 {
		t.Errorf("the change of the generation seen is not made: %+v", out)
	}
	if len(out.Before) != 1 || !strings.Contains(string(out.Before[0]), `"weight":1`) || len(out.After) != 1 || !strings.Contains(string(out.After[0]), `"weight":3`) {
		t.Errorf("before and after are %s and %s", out.Before, out.After)
	}
	c.refused("POST", "/v1/apply", file(1, 5), 409, api.ErrorConflict, "generation 1", "is at 2")
	// The same content is no change, whatever generation the file has seen: a
	// repeated request whose answer was lost must not fail.
	if out := do[api.ApplyResult](c, "POST", "/v1/apply", file(1, 3)); out.Changed {
		t.Errorf("a repeated apply is a change: %+v", out)
	}
	if out := do[api.ApplyResult](c, "POST", "/v1/apply", strings.ReplaceAll(file(1, 6), ", generation: 1", "")); !out.Changed {
		t.Error("an apply without a generation does not overwrite")
	}
	c.refused("POST", "/v1/apply", strings.ReplaceAll(file(1, 6), "rs-1", "rs-7"), 409, api.ErrorConflict, "does not exist")
}

func TestAcceptedRisksAreRecorded(t *testing.T) {
	s := servertest.New(t)
	c := newCaller(t, s)
	do[api.ApplyResult](c, "POST", "/v1/apply", site)
	s.Lead()
	edge := func() *api.Pool { return s.Mirror.State().Pools["edge"] }

	// Planner.Preview refuses nothing here; what is accepted is recorded with
	// the generation, and cleared by the next.
	do[api.ApplyResult](c, "POST", "/v1/apply?acceptRisk=over-max-shrink", strings.ReplaceAll(site, "maxDepooled: 1", "maxDepooled: 2"))
	if p := edge(); !p.Accepts(api.RiskOverMaxShrink) || p.Generation != 2 {
		t.Errorf("not recorded: %+v", p.Meta)
	}
	if rs := s.Mirror.State().RealServers["rs-1"]; len(rs.AcceptedRisks) > 0 {
		t.Errorf("recorded on an object that did not change: %+v", rs.Meta)
	}
	do[api.ApplyResult](c, "POST", "/v1/apply", site)
	if p := edge(); len(p.AcceptedRisks) > 0 || p.Generation != 3 {
		t.Errorf("not cleared: %+v", p.Meta)
	}
	// A plan that is held back is released by accepting why, with the same
	// files.
	plan := servertest.Compute(s.Mirror.State(), "edge", s.Now())
	plan.Held = &api.Held{Guard: "over-max-shrink", Reason: "too much", Since: s.Now()}
	s.Put(plan)
	if out := do[api.ApplyResult](c, "POST", "/v1/apply?acceptRisk=over-max-shrink", site); !out.Changed {
		t.Errorf("a held plan is not released: %+v", out)
	}
	if p := edge(); !p.Accepts(api.RiskOverMaxShrink) || p.Generation != 3 {
		t.Errorf("not released: %+v", p.Meta)
	}
	if out := do[api.ApplyResult](c, "POST", "/v1/apply?acceptRisk=over-max-shrink", site); out.Changed {
		t.Errorf("released twice: %+v", out)
	}
}

func TestVerbsAreIdempotentAndSayWho(t *testing.T) {
	s := servertest.New(t)
	c := newCaller(t, s)
	c.head.Set(api.HeaderActor, "bob@desk")
	do[api.ApplyResult](c, "POST", "/v1/apply", site)
	depool := func() api.VerbResult {
		return do[api.VerbResult](c, "POST", "/v1/realservers/rs-1/depool", `{"reason":"fan","for":"1h"}`)
	}
	first := depool()
	if !first.Changed || first.Before.Depooled != nil || first.After.Depooled.By != "bob@desk" || len(first.Plan.Pools) != 1 {
		t.Errorf("first: %+v", first)
	}
	s.Pass(time.Second)
	second := depool()
	if second.Changed || !second.After.Depooled.At.Equal(first.After.Depooled.At) {
		t.Errorf("second: %+v", second)
	}
	// Much later the same words ask for a longer time.
	s.Pass(30 * time.Minute)
	third := depool()
	if !third.Changed || !third.After.Depooled.At.Equal(first.After.Depooled.At) || !third.After.Depooled.Until.After(first.After.Depooled.Until) {
		t.Errorf("third: %+v", third)
	}
	// What has ended by itself is as good as not there.
	s.Pass(2 * time.Hour)
	if out := do[api.VerbResult](c, "POST", "/v1/realservers/rs-1/pool", ""); out.Changed {
		t.Errorf("pool after the end: %+v", out)
	}
	if again := depool(); !again.Changed || again.After.Depooled.At.Equal(first.After.Depooled.At) {
		t.Errorf("depool after the end: %+v", again)
	}
	events := do[api.List[api.Event]](c, "GET", "/v1/events?limit=1", "").Items
	if len(events) != 1 || events[0].By != "bob@desk" || events[0].Verb != "depool" || events[0].Object != "RealServer/rs-1" || events[0].Reason != "fan" {
		t.Errorf("the trail says %+v", events)
	}
	// The configuration is as it was.
	if rs := s.Mirror.State().RealServers["rs-1"]; rs.Generation != 1 {
		t.Errorf("a verb changed the configuration: %+v", rs)
	}
}

// TestConcurrentDepools lets many ask at once for what a guard allows once.
func TestConcurrentDepools(t *testing.T) {
	s := servertest.New(t)
	c := newCaller(t, s)
	do[api.ApplyResult](c, "POST", "/v1/apply", site)
	var wg sync.WaitGroup
	var mu sync.Mutex
	statuses := map[int]int{}
	for i := range 8 {
		wg.Go(func() {
			status, _ := c.call("POST", fmt.Sprintf("/v1/realservers/rs-%d/depool", i%2+1), fmt.Sprintf(`{"reason":"by %d"}`, i%2))
			mu.Lock()
			defer mu.Unlock()
			statuses[status]++
		})
	}
	wg.Wait()
	// One server is out; those who asked for it are told so, the others are
	// refused.
	if out := len(s.Mirror.State().Intents); out != 1 || statuses[200] != 4 || statuses[422] != 4 {
		t.Errorf("%d are out, answers %v", out, statuses)
	}
}

func TestLargeBodies(t *testing.T) {
	s := servertest.New(t)
	c := newCaller(t, s)
	status, data := c.send("POST", "/v1/apply", bytes.NewReader(bytes.Repeat([]byte("# comment\n"), 1<<20)))
	if status != http.StatusRequestEntityTooLarge || !strings.Contains(string(data), "1048576 bytes") {
		t.Errorf("10 MB: %d %s", status, data)
	}
	c.refused("POST", "/v1/realservers/rs-1/depool", `{"reason":"`+strings.Repeat("x", 2<<20)+`"}`, 413, api.ErrorTooLarge)
}

// TestBrokenBody ends a request in the middle.
func TestBrokenBody(t *testing.T) {
	s := servertest.New(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.HTTP.URL+"/v1/apply", io.MultiReader(strings.NewReader(site), iotest.ErrReader(io.ErrUnexpectedEOF)))
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := http.DefaultClient.Do(req); err == nil {
		resp.Body.Close()
		t.Errorf("answered %s", resp.Status)
	}
	if n := len(s.Mirror.State().Pools); n != 0 {
		t.Error("half a body was applied")
	}
}

func TestLists(t *testing.T) {
	s := servertest.New(t)
	c := newCaller(t, s)
	list := `[{"apiVersion":"peerage/v1","kind":"RealServer","metadata":{"name":"rs-1"},"spec":{"addresses":["198.51.100.21"]}},
	          {"apiVersion":"peerage/v1","kind":"RealServer","metadata":{"name":"rs-2"},"spec":{"addresses":["198.51.100.22"]}}]`
	if out := do[api.ApplyResult](c, "POST", "/v1/apply", list); len(out.Objects) != 2 {
		t.Errorf("%+v", out)
	}
	c.refused("POST", "/v1/apply", strings.ReplaceAll(list, "rs-2", "rs-1"), 400, api.ErrorInvalid, "twice")
	c.refused("POST", "/v1/apply", strings.ReplaceAll(list, "addresses\":[\"198.51.100.22", "addreses\":[\"198.51.100.22"), 400, api.ErrorInvalid, "item 1", "addreses")
}

func TestStoreDown(t *testing.T) {
	s := servertest.New(t, func(cfg *server.Config) { cfg.RequestTimeout = 500 * time.Millisecond })
	c := newCaller(t, s)
	do[api.ApplyResult](c, "POST", "/v1/apply", site)
	s.Lead()
	s.Speak("rs-1", held("customers", "192.0.2.7", "established", time.Now(), 1))
	s.Speak("rs-2", servertest.Known{})
	s.Etcd.Stop()
	s.Await("the mirror to know", func(st *api.State) bool { return st.Stale != nil })
	list := do[api.List[json.RawMessage]](c, "GET", "/v1/pools", "")
	if len(list.Items) != 1 || list.Stale == "" {
		t.Errorf("the list is %+v", list)
	}
	st := do[api.Status](c, "GET", "/v1/status", "")
	if st.Store.Stale == "" || len(st.Pools) != 1 || st.Warnings[0].Code != api.WarnStoreStale {
		t.Errorf("the status is %+v", st)
	}
	if status, _ := c.call("GET", "/readyz", ""); status != http.StatusOK {
		t.Errorf("a controller that can answer reads is not ready: %d", status)
	}
	c.refused("POST", "/v1/realservers/rs-1/depool", `{"reason":"x"}`, 503, api.ErrorUnavailable, "the store does not answer", "what runs on the nodes goes on")
	c.refused("POST", "/v1/apply", site, 503, api.ErrorUnavailable)
	c.refused("POST", "/v1/routes/announce", `{"target":{"session":"192.0.2.7"},"prefix":"0.0.0.0/0","nextHop":"198.51.100.1","reason":"x"}`, 503, api.ErrorUnavailable)
	// What the fleet knows does not depend on the store.
	if out := do[api.SessionList](c, "GET", "/v1/sessions", ""); len(out.Items) != 1 || out.Unreachable != nil {
		t.Errorf("the sessions are %+v", out)
	}
	c.refused("GET", "/v1/events", "", 503, api.ErrorUnavailable)
}

// TestPlanTooLarge: what the leader could not write is refused when it is
// applied, also when each object by itself is small enough.
func TestPlanTooLarge(t *testing.T) {
	s := servertest.New(t, func(c *server.Config) { c.MaxBody = 4 << 20 })
	c := newCaller(t, s)
	pool := func(neighbors int) string {
		var b strings.Builder
		for i := range neighbors {
			fmt.Fprintf(&b, "{name: a-customer-with-a-long-name-%05d,prefix: 10.%d.%d.%d/32,as: 64512},", i, i>>16, i>>8&255, i&255)
		}
		return strings.Replace(site, "{name: customers, prefix: 192.0.2.0/24}", b.String(), 1)
	}
	e := c.refused("POST", "/v1/apply", pool(13_000), 413, api.ErrorTooLarge,
		"Pool/edge with 13000 neighbors and 2 real servers is too large for the store: its plan takes", "can have 1023 KiB")
	if !strings.Contains(e.Hint, "make two pools of it") {
		t.Errorf("the way out is %q", e.Hint)
	}
	if out := do[api.ApplyResult](c, "POST", "/v1/apply", pool(11_000)); !out.Changed {
		t.Errorf("what fits is not taken: %+v", out)
	}
}
