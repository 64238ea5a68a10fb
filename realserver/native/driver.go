package native

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/go-hclog"

	"github.com/peerage/peerage/realserver"
	"github.com/peerage/peerage/realserver/speaker/control"
)

// Options say where the speaker is.
type Options struct {
	// Binary runs the speaker; peerage-speaker when empty.
	Binary string
	// Socket is the speaker's control socket.
	Socket string
	// StateDir is where the speaker keeps its last configuration.
	StateDir string
	// SecretsDir holds the TCP-MD5 keys, which only the speaker reads.
	SecretsDir string
	// Unit is a systemd unit that runs the speaker with these options. Empty:
	// the driver starts Binary, detached from itself.
	Unit string
	// Log is a file for the log of a speaker that the driver starts; empty:
	// speaker.log in StateDir.
	Log    string
	Logger hclog.Logger
}

// Driver is a realserver.Speaker.
type Driver struct {
	opts   Options
	client *control.Client
	log    hclog.Logger
}

var _ realserver.Speaker = (*Driver)(nil)

// New makes a driver. It neither starts nor asks the speaker.
func New(o Options) *Driver {
	o.Binary = cmp.Or(o.Binary, "peerage-speaker")
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	return &Driver{opts: o, client: control.NewClient(o.Socket), log: o.Logger}
}

// Close implements realserver.Speaker: the speaker goes on.
func (d *Driver) Close() error {
	d.client.Close()
	return nil
}

// Set implements realserver.Speaker. It hands over the configuration every
// time, because the speaker reads the keys then: a key that changed on disk
// takes effect without a change of the configuration.
func (d *Driver) Set(ctx context.Context, cfg realserver.SpeakerConfig) (changed bool, err error) {
	started := false
	if _, err := d.client.Status(ctx); control.NotRunning(err) {
		if len(cfg.Services) == 0 {
			return false, nil // there is nothing to accept, and nobody who does
		}
		if err := d.start(ctx); err != nil {
			return false, err
		}
		started = true
	} else if err != nil {
		return false, fmt.Errorf("peerage-speaker at %s: %w", d.opts.Socket, err)
	}
	result, err := d.client.Configure(ctx, Config(cfg))
	if err != nil {
		return started, fmt.Errorf("peerage-speaker keeps its configuration: %w", err)
	}
	if result.Changed {
		d.log.Info("speaker took a new configuration", "services", len(cfg.Services), "customers", len(cfg.Customers), "routes", len(cfg.Routes))
	}
	return started || result.Changed, problems(result.Problems)
}

// maxProblems bounds an error's length: one missing file may be many
// neighbours' key.
const maxProblems = 5

func problems(all []string) error {
	if len(all) == 0 {
		return nil
	}
	text := strings.Join(all[:min(len(all), maxProblems)], "; ")
	if more := len(all) - maxProblems; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return errors.New(text)
}

// Status implements realserver.Speaker.
func (d *Driver) Status(ctx context.Context) (realserver.SpeakerStatus, error) {
	s, err := d.client.Status(ctx)
	if err != nil {
		return realserver.SpeakerStatus{}, fmt.Errorf("peerage-speaker at %s: %w", d.opts.Socket, err)
	}
	out := realserver.SpeakerStatus{Engine: "peerage " + s.Version, Pools: map[string]realserver.SessionCount{}}
	for pool, count := range s.Pools {
		out.Pools[pool] = realserver.SessionCount{Sessions: count.Sessions, Established: count.Established}
	}
	return out, nil
}
