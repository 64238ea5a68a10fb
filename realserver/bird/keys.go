package bird

import (
	"errors"
	"fmt"
	"strings"

	"github.com/peerage/peerage/realserver/tcpmd5"
)

// readKeys fills in the keys, and lists the groups that cannot be configured,
// with the reason.
func readKeys(groups []*group, secret func(name string) (string, error), optmem int) map[*group]error {
	problems := map[*group]error{}
	for _, g := range groups {
		if g.secret == "" {
			continue
		}
		key, err := secret(g.secret)
		if err == nil && strings.ContainsFunc(key, func(r rune) bool { return r == '"' || r < ' ' || r > '~' }) {
			err = errors.New(`the key holds a character that BIRD's configuration cannot: use printable ASCII without "; choose another key`)
		}
		if err != nil {
			problems[g] = fmt.Errorf("%s: md5Secret %q: %w", g, g.secret, err)
			continue
		}
		g.key = key
	}
	sources := make([]tcpmd5.Source, len(groups))
	for i, g := range groups {
		// One whose key is missing counts as signed: it will be.
		sources[i] = tcpmd5.Source{Listener: g.listener, Prefix: g.prefix, Signed: g.secret != "", Name: "neighbor " + g.neighbor}
	}
	for i, err := range tcpmd5.Check(sources, optmem, ", and restart BIRD if it runs") {
		if g := groups[i]; err != nil && problems[g] == nil {
			problems[g] = fmt.Errorf("%s: %w", g, err)
		}
	}
	return problems
}
