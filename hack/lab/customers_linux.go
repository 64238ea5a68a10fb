package lab

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/peerage/peerage/hack/lab/router"
)

// customer finds a customer's node by name.
func (l *Lab) customer(name string) (Node, error) {
	n, err := l.Topology.Node(name)
	if err == nil && n.Role != RoleCustomer {
		err = fmt.Errorf("%s is no customer's router", name)
	}
	return n, err
}

// Tell tells a customer's router something, in the words of its own control
// program, and returns what it answers.
func (l *Lab) Tell(ctx context.Context, customer string, words ...string) (string, error) {
	n, err := l.customer(customer)
	if err != nil {
		return "", err
	}
	r, p := l.Topology.router(n, l.Bin)
	argv := r.Tell(p, words...)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil { // the socket is a file: no matter in which namespace
		return stdout.String(), fmt.Errorf("%s: %s: %w: %s%s", customer, strings.Join(argv, " "), err, stdout.String(), stderr.String())
	}
	return stdout.String(), nil
}

// Reset makes a customer's router connect anew.
func (l *Lab) Reset(ctx context.Context, customer string) error {
	n, err := l.customer(customer)
	if err != nil {
		return err
	}
	r, p := l.Topology.router(n, l.Bin)
	_, err = l.Tell(ctx, customer, r.Restart(p)...)
	return err
}

// Capabilities are those that both ends of a customer's session offered, by
// the word of its router.
func (l *Lab) Capabilities(ctx context.Context, customer string) ([]string, error) {
	return ask(ctx, l, customer, router.Router.Capabilities)
}

// Learned are the prefixes that a customer's router heard over its session.
func (l *Lab) Learned(ctx context.Context, customer string) ([]netip.Prefix, error) {
	return ask(ctx, l, customer, router.Router.Learned)
}

func ask[T any](ctx context.Context, l *Lab, customer string, question func(router.Router, router.Peering) router.Question[T]) (none T, err error) {
	n, err := l.customer(customer)
	if err != nil {
		return none, err
	}
	q := question(l.Topology.router(n, l.Bin))
	var answers []string
	for _, words := range q.Tell {
		answer, err := l.Tell(ctx, customer, words...)
		if err != nil {
			return none, err
		}
		answers = append(answers, answer)
	}
	return q.Read(answers)
}

// RouterLog is the log of a customer's router.
func (l *Lab) RouterLog(n Node) string { return n.File(n.Router.Router().LogFile()) }

// Rekey gives a customer's router another TCP-MD5 key, or with an empty one
// its own again. BIRD restarts a session whose key changes; others are
// restarted.
func (l *Lab) Rekey(ctx context.Context, customer, key string) error {
	n, err := l.customer(customer)
	if err != nil {
		return err
	}
	if !n.MD5 {
		return fmt.Errorf("%s does not sign its session", customer)
	}
	f := l.Topology.Files(n)[0]
	if key != "" {
		f.Text = strings.ReplaceAll(f.Text, MD5Key, key)
	}
	if old, err := os.ReadFile(n.File(f.Name)); err == nil && string(old) == f.Text {
		return nil
	}
	if err := writeFile(n.File(f.Name), f); err != nil {
		return err
	}
	if n.Router == router.BIRD {
		_, err = l.Tell(ctx, customer, "configure")
		return err
	}
	name := n.Name + "/" + string(n.Router)
	if err := l.Signal(ctx, name, unix.SIGTERM); err != nil {
		return err
	}
	return l.Start(ctx, name)
}
