package bird

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

const (
	// keySize is sizeof(struct tcp_md5sig_key): what one key takes of a
	// listener's option memory. Measured: 963 keys fit into 131072 bytes.
	keySize = 136

	optmemFile = "/proc/sys/net/core/optmem_max"
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
	unsigned(groups, problems)
	tooMany(groups, problems, optmem)
	return problems
}

// unsigned finds groups without a key inside of one with a key: the kernel
// takes the key of the longest prefix that has one, so that their sessions
// would be refused.
func unsigned(groups []*group, problems map[*group]error) {
	sorted := slices.SortedFunc(slices.Values(groups), func(a, b *group) int {
		return cmp.Or(a.listener.Compare(b.listener), a.prefix.Compare(b.prefix))
	})
	for listener := range byListener(sorted) {
		for g, around := range nested(listener) {
			if g.secret != "" {
				continue
			}
			for _, o := range around {
				if o.secret == "" {
					continue
				}
				problems[g] = fmt.Errorf("%s: no md5Secret, but the source lies in %s of neighbor %s, which has one: the kernel would ask for that key; give it an md5Secret, or split the longer list",
					g, o.prefix, o.neighbor)
			}
		}
	}
}

// byListener cuts a slice that is sorted by listener.
func byListener(sorted []*group) func(yield func([]*group) bool) {
	return func(yield func([]*group) bool) {
		for len(sorted) > 0 {
			n := 1
			for n < len(sorted) && sorted[n].listener == sorted[0].listener {
				n++
			}
			if !yield(sorted[:n]) {
				return
			}
			sorted = sorted[n:]
		}
	}
}

// tooMany finds the keys that do not fit into a listener's option memory;
// optmem 0 is unknown.
func tooMany(groups []*group, problems map[*group]error, optmem int) {
	if optmem == 0 {
		return
	}
	keys := map[netip.AddrPort]int{}
	for _, g := range groups {
		if g.key != "" {
			keys[g.listener]++
		}
	}
	fit := map[netip.AddrPort]int{}
	for _, g := range groups {
		if g.key == "" {
			continue
		}
		fit[g.listener]++
		if fit[g.listener]*keySize >= optmem {
			problems[g] = fmt.Errorf("%s: %d TCP-MD5 keys at one address do not fit into the kernel's option memory of %d bytes; run sysctl -w net.core.optmem_max=%d, and restart BIRD if it runs",
				g, keys[g.listener], optmem, (keys[g.listener]+1)*keySize*2)
		}
	}
}

// optmemMax reads the kernel's limit; 0 where the namespace does not show it.
func optmemMax(file string) int {
	raw, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		return 0
	}
	return n
}
