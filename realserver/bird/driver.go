package bird

import (
	"cmp"
	"context"
	"errors"
	"sync"

	"github.com/hashicorp/go-hclog"

	"github.com/peerage/peerage/api/node"
	"github.com/peerage/peerage/api/node/birdc"
	"github.com/peerage/peerage/realserver"
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

	mu sync.Mutex // guards the fields below
}

// New makes a driver. It neither starts nor asks BIRD.
func New(o Options) *Driver {
	o.Binary = cmp.Or(o.Binary, "bird")
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	if o.Secrets == nil {
		o.Secrets = node.OpenSecrets("")
	}
	return &Driver{opts: o, client: &birdc.Client{Socket: o.Socket}, log: o.Logger}
}

var _ realserver.Speaker = (*Driver)(nil)

// Set implements realserver.Speaker.
func (d *Driver) Set(ctx context.Context, cfg realserver.SpeakerConfig) (changed bool, err error) {
	return false, errors.ErrUnsupported
}

// Status implements realserver.Speaker.
func (d *Driver) Status(ctx context.Context) (realserver.SpeakerStatus, error) {
	return realserver.SpeakerStatus{}, errors.ErrUnsupported
}

// Close implements realserver.Speaker: BIRD goes on.
func (d *Driver) Close() error { return nil }
