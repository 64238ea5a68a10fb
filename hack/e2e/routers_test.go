//go:build linux

package e2e

import (
	"strings"
	"testing"

	"github.com/peerage/peerage/hack/lab"
)

func TestInOrder(t *testing.T) {
	log := []byte("up\nroute 192.0.2.1/32\nEnd-of-RIB\nroute 192.0.2.2/32\n")
	for name, test := range map[string]struct {
		expressions []string
		want        string // of the error; empty: none
	}{
		"one":             {[]string{`192\.0\.2\.2`}, ""},
		"in order":        {[]string{"up", "192.0.2.1/32", "End-of-RIB"}, ""},
		"over lines":      {[]string{`End-of-RIB(.*\n)+.*192.0.2.2`}, ""},
		"after the end":   {[]string{"192.0.2.2/32", "End-of-RIB"}, `has "End-of-RIB" before "192.0.2.2/32"`},
		"not there":       {[]string{"up", "down"}, `no "down" since the mark`},
		"not understood":  {[]string{"("}, "missing closing )"},
		"nothing to find": {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := inOrder(log, test.expressions)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestRoutersOf(t *testing.T) {
	topology, err := lab.Parse([]byte("customers: {v4: 2, v6: 2, routers: [bird, frr]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	story := NewSite(&lab.Lab{Topology: topology}).Begin(nil)
	for which, want := range map[string]string{
		"all": "c-001 c-002 c-003 c-004", "frr": "c-002 c-004", "c-003": "c-003", "gobgp": "", "rs-1": "",
		"bird,c-002": "c-001 c-002 c-003", "bird,rs-1": "", "c-001,c-001": "",
	} {
		nodes, err := story.routers(which)
		var names []string
		for _, n := range nodes {
			names = append(names, n.Name)
		}
		if got := strings.Join(names, " "); got != want || (err != nil) != (want == "") {
			t.Errorf("%s: %q, %v; want %q", which, got, err, want)
		}
	}
}

// Own routes are those of the configuration, each with all of its communities.
func TestCompareOwn(t *testing.T) {
	topology, err := lab.Parse([]byte("customers: {v4: 1}\n"))
	if err != nil {
		t.Fatal(err)
	}
	n := topology.CustomerNodes()[0]
	var all strings.Builder
	for _, a := range lab.Announcements(n) {
		all.WriteString(`{"prefix":"` + a.Prefix.String() + `","asPath":"64601","origin":"igp","largeCommunities":["` + strings.Join(a.LargeCommunities, `","`) + "\"]}\n")
	}
	text := strings.ReplaceAll(all.String(), `[""]`, "[]")
	for name, test := range map[string]struct {
		text string
		same bool
	}{
		"all":                      {text, true},
		"one is missing":           {text[strings.Index(text, "\n"):], false},
		"a community less":         {strings.Replace(text, `"64601:1:7",`, "", 1), false},
		"of another AS":            {strings.Replace(text, "64601\"", "64602\"", 1), false},
		"nothing":                  {"", false},
		"the same in another text": {strings.ReplaceAll(text, ",", " ,"), true},
	} {
		t.Run(name, func(t *testing.T) {
			routes, err := decodeRoutes([]byte(test.text))
			if err != nil {
				t.Fatal(err)
			}
			if err := compareOwn(n, routes); (err == nil) != test.same {
				t.Errorf("got %v", err)
			}
		})
	}
	if _, err := decodeRoutes([]byte("no route")); err == nil {
		t.Error("what is no JSON was read")
	}
}

func TestLetList(t *testing.T) {
	story := NewSite(&lab.Lab{}).Begin(nil)
	if err := story.letList("many", []string{"3", "65001:%d"}); err != nil {
		t.Fatal(err)
	}
	if got, want := story.vars["many"], "65001:1,65001:2,65001:3"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if err := story.letList("many", []string{"3"}); err == nil {
		t.Error("a list without a format was made")
	}
}
