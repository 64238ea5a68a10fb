package tcpmd5

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

const (
	// keySize is sizeof(struct tcp_md5sig_key): what one key takes of a
	// listener's option memory. Measured: 963 keys fit into 131072 bytes.
	keySize = 136

	optmemFile = "/proc/sys/net/core/optmem_max"
)

// Source is one prefix of sources at one listener.
type Source struct {
	Listener netip.AddrPort
	Prefix   netip.Prefix
	// Signed tells that the source has a key.
	Signed bool
	// Name is whose prefix it is, for messages.
	Name string
}

// at identifies a source: a listener has one key for a prefix.
type at struct {
	listener netip.AddrPort
	prefix   netip.Prefix
}

// Check finds the sources that the kernel cannot serve beside the others: one
// reason for each, nil where there is none. optmem is the kernel's limit, 0
// when it is unknown; then is what else to do when the limit was raised.
func Check(sources []Source, optmem int, then string) []error {
	problems := make([]error, len(sources))
	unsigned(sources, problems)
	tooMany(sources, problems, optmem, then)
	return problems
}

// unsigned finds sources without a key inside of one with a key: the kernel
// takes the key of the longest prefix that has one, so that their sessions
// would be refused.
func unsigned(sources []Source, problems []error) {
	signed := map[at]string{}
	for _, s := range sources {
		if s.Signed {
			signed[at{s.Listener, s.Prefix.Masked()}] = s.Name
		}
	}
	if len(signed) == 0 {
		return
	}
	for i, s := range sources {
		for bits := s.Prefix.Bits() - 1; bits >= 0 && !s.Signed && problems[i] == nil; bits-- {
			around := netip.PrefixFrom(s.Prefix.Addr(), bits).Masked()
			if name, ok := signed[at{s.Listener, around}]; ok {
				problems[i] = fmt.Errorf("no md5Secret, but the source lies in %s of %s, which has one: the kernel would ask for that key; give it an md5Secret, or split the longer list",
					around, name)
			}
		}
	}
}

// tooMany finds the keys that do not fit into a listener's option memory.
func tooMany(sources []Source, problems []error, optmem int, then string) {
	if optmem == 0 {
		return
	}
	keys := map[netip.AddrPort]int{}
	for _, s := range sources {
		if s.Signed {
			keys[s.Listener]++
		}
	}
	fit := map[netip.AddrPort]int{}
	for i, s := range sources {
		if !s.Signed {
			continue
		}
		fit[s.Listener]++
		if fit[s.Listener]*keySize >= optmem {
			problems[i] = fmt.Errorf("%d TCP-MD5 keys at one address do not fit into the kernel's option memory of %d bytes; run sysctl -w net.core.optmem_max=%d%s",
				keys[s.Listener], optmem, (keys[s.Listener]+1)*keySize*2, then)
		}
	}
}

// OptionMemory reads the kernel's limit of a socket's option memory; 0 where
// the namespace does not show it.
func OptionMemory() int {
	raw, err := os.ReadFile(optmemFile)
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		return 0
	}
	return n
}
