package bird

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/go-hclog"

	"github.com/peerage/peerage/api/node"
	"github.com/peerage/peerage/api/node/birdc"
	"github.com/peerage/peerage/realserver"
	"github.com/peerage/peerage/realserver/tcpmd5"
)

// Options say where BIRD is.
type Options struct {
	// Binary runs and checks BIRD; "bird" when empty.
	Binary string
	// Config, Socket and PID are the files of the BIRD process that is ours.
	Config, Socket, PID string
	// Unit is a systemd unit that runs BIRD with Config and Socket. Empty: the
	// driver starts Binary, which then detaches itself.
	Unit string
	// Log is a file that BIRD writes its log to; empty: syslog.
	Log string
	// Secrets holds the TCP-MD5 keys.
	Secrets *node.Secrets
	Logger  hclog.Logger
}

// Driver is a realserver.Speaker.
type Driver struct {
	opts   Options
	client *birdc.Client
	log    hclog.Logger
	optmem int

	set sync.Mutex // serialises Set; guards keeper
	keeper

	mu       sync.Mutex // guards the fields below
	groups   map[string]*group
	sessions map[string]bool // established or not, by protocol; nil before the first Status
}

// New makes a driver. It neither starts nor asks BIRD.
func New(o Options) *Driver {
	o.Binary = binaryPath(cmp.Or(o.Binary, "bird"))
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	if o.Secrets == nil {
		o.Secrets = node.OpenSecrets("")
	}
	return &Driver{opts: o, client: &birdc.Client{Socket: o.Socket}, log: o.Logger, optmem: tcpmd5.OptionMemory()}
}

var _ realserver.Speaker = (*Driver)(nil)

// Close implements realserver.Speaker: BIRD goes on.
func (d *Driver) Close() error { return nil }

// Set implements realserver.Speaker. A neighbour that cannot be configured,
// such as one whose key is missing, is an error. It is left out when it is new;
// when BIRD has it already, nothing is changed, for its sessions would end.
func (d *Driver) Set(ctx context.Context, cfg realserver.SpeakerConfig) (changed bool, err error) {
	d.set.Lock()
	defer d.set.Unlock()
	r, err := render(cfg, d.opts.Log, d.secret, d.optmem)
	if err != nil {
		return false, fmt.Errorf("bird: %w", err)
	}
	d.mu.Lock()
	d.groups = r.groups
	d.mu.Unlock()

	revision, err := d.running(ctx)
	switch {
	case errors.Is(err, errNotRunning) && len(cfg.Services) == 0:
		return false, nil // there is nothing to accept, and nobody who does
	case errors.Is(err, errNotRunning):
		changed, err = true, d.start(ctx, r)
		d.keeper = keeper{adopted: err == nil}
	case err != nil:
		return false, err
	case revision != r.revision:
		changed, err = d.change(ctx, r, cfg.Additive)
	default:
		err = d.repairFile(r)
	}
	if err == nil {
		err = d.keep(ctx, r)
	}
	return changed, errors.Join(clean(err, r.secrets), r.problems())
}

func (d *Driver) secret(name string) (string, error) {
	s, err := d.opts.Secrets.Get(name)
	return s.Reveal(), err
}

// maxProblems bounds an error's length: one missing file may be many
// neighbours' key.
const maxProblems = 5

func (r *rendered) problems() error {
	var all []string
	for _, err := range r.skipped {
		all = append(all, err.Error())
	}
	if r.routes > 0 {
		all = append(all, fmt.Sprintf("%d announced routes are not sent: BIRD as hosted here originates none; run the real server with --speaker=native", r.routes))
	}
	if len(all) == 0 {
		return nil
	}
	slices.Sort(all)
	all = slices.Compact(all) // of a customer with several neighbours
	more := ""
	if n := len(all) - maxProblems; n > 0 {
		all, more = all[:maxProblems], fmt.Sprintf("; and %d more", n)
	}
	return errors.New("bird: " + strings.Join(all, "; ") + more)
}

// clean takes keys out of an error's text.
func clean(err error, secrets []string) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	for _, s := range secrets {
		text = strings.ReplaceAll(text, s, "[secret]")
	}
	if text == err.Error() {
		return err
	}
	return errors.New(text)
}
