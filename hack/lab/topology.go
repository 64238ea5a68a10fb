package lab

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/peerage/peerage/hack/lab/router"
)

// Topology describes a site to build. Everything else is derived from it.
type Topology struct {
	// LoadBalancers, RealServers and Controllers are numbers of nodes.
	LoadBalancers int `yaml:"loadBalancers"`
	RealServers   int `yaml:"realServers"`
	Controllers   int `yaml:"controllers"`
	// Customers are routers that each hold one BGP session to a VIP.
	Customers Customers `yaml:"customers"`
	// Swarm is thousands more of them, played by one program on one node.
	Swarm  Swarm  `yaml:"swarm"`
	Pool   Pool   `yaml:"pool"`
	Timers Timers `yaml:"timers"`
}

// Customers says how many customers there are of each family.
type Customers struct {
	V4 int `yaml:"v4"`
	V6 int `yaml:"v6"`
	// MD5 is how many of them, of each family in turn, sign their session.
	MD5 int `yaml:"md5"`
	// Routers are the makes of their routers, which take turns.
	Routers []router.Make `yaml:"routers"`
}

// Swarm says how many customers peerage-swarm plays, half of each family.
type Swarm struct {
	Sessions int `yaml:"sessions"`
	// MD5 is how many of them sign their session.
	MD5 int `yaml:"md5"`
	// Rate bounds the connections that they open in a second, all together.
	Rate int `yaml:"rate"`
}

// Pool is the one pool of the site.
type Pool struct {
	Name string       `yaml:"name"`
	VIPs []netip.Addr `yaml:"vips"`
	// Check is the type of health check, bgp or tcp.
	Check string `yaml:"check"`
	// Speaker is what hosts the sessions on the real servers, native or bird.
	Speaker string `yaml:"speaker"`
}

// What may host the sessions of a pool.
const (
	SpeakerNative = "native"
	SpeakerBIRD   = "bird"
)

// Timers shorten what would make a scenario long. A lab on an emulated machine
// is slow: see docs/lab.md before shortening further.
type Timers struct {
	// BFD is the interval between the fabric and the LBs; three missed ones
	// take a path away.
	BFD time.Duration `yaml:"bfd"`
	// Hold is the hold time of the customers' sessions.
	Hold time.Duration `yaml:"hold"`
	// LeaseTTL is how long a silent node counts as alive.
	LeaseTTL time.Duration `yaml:"leaseTTL"`
	// Refresh is how often a talking session is synced again between LBs.
	Refresh time.Duration `yaml:"refresh"`
	// Warmup is how long a booted LB listens before it announces. It must
	// exceed Refresh plus the keepalive interval, which is a third of Hold.
	Warmup time.Duration `yaml:"warmup"`
	// Probe is the interval of the health checks, CheckTimeout how long one may
	// take: a speaker with many sessions on a slow machine takes its time.
	Probe        time.Duration `yaml:"probe"`
	CheckTimeout time.Duration `yaml:"checkTimeout"`
	// Observe is how often nodes write numbers that changed; changes of state
	// are written at once.
	Observe time.Duration `yaml:"observe"`
}

// DefaultTopology is what a description leaves out.
func DefaultTopology() Topology {
	return Topology{
		LoadBalancers: 2,
		RealServers:   4,
		Controllers:   2,
		Customers:     Customers{Routers: []router.Make{router.BIRD}},
		Swarm:         Swarm{Rate: 100},
		Pool: Pool{
			Name: "edge", Check: "bgp", Speaker: SpeakerNative,
			VIPs: []netip.Addr{netip.MustParseAddr("203.0.113.179"), netip.MustParseAddr("2001:db8:179::179")},
		},
		Timers: Timers{
			BFD:      400 * time.Millisecond,
			Hold:     15 * time.Second,
			LeaseTTL: 10 * time.Second,
			Refresh:  5 * time.Second,
			Warmup:   18 * time.Second,
			Probe:    2 * time.Second,
			Observe:  5 * time.Second,

			CheckTimeout: time.Second,
		},
	}
}

// Parse reads a topology from YAML. Unknown keys are refused.
func Parse(text []byte) (Topology, error) {
	t := DefaultTopology()
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&t); err != nil && !errors.Is(err, io.EOF) {
		return Topology{}, fmt.Errorf("topology: %w", err)
	}
	if err := t.Validate(); err != nil {
		return Topology{}, err
	}
	return t, nil
}

// ReadTopology reads a topology from a file.
func ReadTopology(file string) (Topology, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return Topology{}, fmt.Errorf("topology: %w", err)
	}
	t, err := Parse(text)
	if err != nil {
		return Topology{}, fmt.Errorf("%s: %w", file, err)
	}
	return t, nil
}

// Validate reports everything that cannot be built.
func (t Topology) Validate() error {
	var errs []error
	within := func(name string, n, low, high int) {
		if n < low || n > high {
			errs = append(errs, fmt.Errorf("topology: %s is %d: want %d to %d", name, n, low, high))
		}
	}
	within("loadBalancers", t.LoadBalancers, 1, 8)
	within("realServers", t.RealServers, 1, 256)
	within("controllers", t.Controllers, 1, 5)
	within("customers.v4", t.Customers.V4, 0, 200)
	within("customers.v6", t.Customers.V6, 0, 200)
	within("customers.md5", t.Customers.MD5, 0, t.Customers.V4+t.Customers.V6)
	if len(t.Customers.Routers) == 0 {
		errs = append(errs, errors.New("topology: customers.routers is empty: name at least one make of router"))
	}
	for _, m := range t.Customers.Routers {
		if err := m.Check(); err != nil {
			errs = append(errs, fmt.Errorf("topology: customers.routers: %w", err))
		}
	}
	if t.Pool.Speaker != SpeakerNative && t.Pool.Speaker != SpeakerBIRD {
		errs = append(errs, fmt.Errorf("topology: pool.speaker is %q: want %s or %s", t.Pool.Speaker, SpeakerNative, SpeakerBIRD))
	}
	within("swarm.sessions", t.Swarm.Sessions, 0, 10_000)
	within("swarm.md5", t.Swarm.MD5, 0, t.Swarm.Sessions)
	within("swarm.rate", t.Swarm.Rate, 1, 1000)
	if t.Swarm.Sessions > 0 && (!t.vip(true).IsValid() || !t.vip(false).IsValid()) {
		errs = append(errs, errors.New("topology: a swarm needs VIPs of both families in pool.vips"))
	}
	if t.Customers.V4 > 0 && !t.vip(true).IsValid() || t.Customers.V6 > 0 && !t.vip(false).IsValid() {
		errs = append(errs, errors.New("topology: pool.vips has no address of a family that customers have"))
	}
	if need := t.Timers.Refresh + t.Timers.Hold/3; t.Timers.Warmup < need {
		errs = append(errs, fmt.Errorf("topology: timers.warmup is %s: want at least refresh + hold/3 = %s", t.Timers.Warmup, need))
	}
	return errors.Join(errs...)
}

// vip is the first VIP of a family.
func (t Topology) vip(v4 bool) netip.Addr {
	for _, a := range t.Pool.VIPs {
		if a.Is4() == v4 {
			return a
		}
	}
	return netip.Addr{}
}
