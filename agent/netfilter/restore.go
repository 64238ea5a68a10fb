package netfilter

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"

	"github.com/coreos/go-iptables/iptables"
)

// kernel is the iptables of one family. Edits of a chain go to iptables-restore,
// which go-iptables has not: one process for all of them instead of one each,
// and the kernel takes them as a whole or not at all.
type kernel struct {
	*iptables.IPTables
	restore string // path of the program
}

func openKernel(name string, protocol iptables.Protocol) (*kernel, error) {
	restore, err := exec.LookPath(name + "-restore")
	if err != nil {
		return nil, err
	}
	t, err := iptables.New(iptables.IPFamily(protocol), iptables.Timeout(lockSeconds))
	if err != nil {
		return nil, err
	}
	return &kernel{t, restore}, nil
}

// edit implements Tables.
func (k *kernel) edit(ctx context.Context, table, chain string, edits []edit) error {
	cmd := exec.CommandContext(ctx, k.restore, "--noflush", "--wait", strconv.Itoa(lockSeconds))
	cmd.Stdin = strings.NewReader(script(table, chain, edits))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %.300s", k.restore, err, bytes.TrimSpace(out.Bytes()))
	}
	return nil
}

// script writes edits as iptables-restore(8) reads them.
func script(table, chain string, edits []edit) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%s\n", table)
	for _, e := range edits {
		if e.insert != "" {
			fmt.Fprintf(&b, "-I %s %d %s\n", chain, e.at, e.insert)
		} else {
			fmt.Fprintf(&b, "-D %s %d\n", chain, e.at)
		}
	}
	b.WriteString("COMMIT\n")
	return b.String()
}
