package swarm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Command is the command line of peerage-swarm.
func Command() *cobra.Command {
	var o options
	c := &cobra.Command{
		Use:   "peerage-swarm --target ADDRESS:PORT --from PREFIX[,PREFIX] --sessions N",
		Short: "Play thousands of customers' routers against a BGP speaker",
		Long: `peerage-swarm opens N BGP sessions, each from a source address of its own, keeps
them up the way routers do, and reports what each of them went through: flaps,
outages, the longest silence, and which real server it talked to.

The sources must be local. A route is enough:

  ip route add local 192.0.2.0/24 dev lo

Traffic goes only to the targets named. Public addresses are refused unless you
say --i-own-this-network. Ctrl-C closes every session with a Cease and prints
the report so far.`,
		Example: `  peerage-swarm --target 127.0.0.1:1790 --from 127.1.0.0/16 --sessions 1000 --duration 1m
  peerage-swarm --target 203.0.113.179:179,[2001:db8:179::179]:179 --i-own-this-network \
    --from 192.0.2.0/24,2001:db8:9::/96 --sessions 400 --expect 'flapped==0' --expect 'outage.p99<3s'`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(c *cobra.Command, _ []string) error {
			return o.run(c.Context(), c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	o.flags(c.Flags())
	return c
}

// options are the flags of the command.
type options struct {
	targets, from   []string
	sessions        int
	as              string
	peerAS          uint32
	hold            time.Duration
	md5File         string
	md5Share        float64
	profile         string
	rate            int
	duration        time.Duration
	settle          time.Duration
	expect          []string
	output          string
	own             bool
	announceDefault bool
}

func (o *options) flags(f *pflag.FlagSet) {
	f.StringSliceVar(&o.targets, "target", nil, "addresses and ports to connect to; each source family needs one")
	f.StringSliceVar(&o.from, "from", nil, "prefixes of the source addresses, used in turn")
	f.IntVar(&o.sessions, "sessions", 100, fmt.Sprintf("how many sessions, 1 to %d", MaxSessions))
	f.StringVar(&o.as, "as", "65001", "AS number of the sessions, or a range such as 64512-65534 used in turn")
	f.Uint32Var(&o.peerAS, "peer-as", 0, "AS number that the target must have; 0 takes any")
	f.DurationVar(&o.hold, "hold-time", 90*time.Second, "hold time to offer: 0, or 3s to 65535s")
	f.StringVar(&o.md5File, "md5-key-file", "", "file with the TCP-MD5 key")
	f.Float64Var(&o.md5Share, "md5-share", 1, "share of the sessions that use the key, 0 to 1")
	f.StringVar(&o.profile, "profile", "cisco-like", "how sessions reconnect: cisco-like, junos-like or eager")
	f.IntVar(&o.rate, "rate", DefaultRate, "connections to open per second at most")
	f.DurationVar(&o.duration, "duration", 0, "how long to run; 0 until interrupted")
	f.DurationVar(&o.settle, "until-established", 0, "fail unless all sessions are up within this time; the expectations count from then on")
	f.StringArrayVar(&o.expect, "expect", nil, "condition at the end, such as 'flapped==0' or 'outage.p99<3s'; sets the exit code")
	f.StringVarP(&o.output, "output", "o", "table", "report as table or json")
	f.BoolVar(&o.own, "i-own-this-network", false, "allow targets with public addresses")
	f.BoolVar(&o.announceDefault, "announce-default", false, "announce a default route in each session's family")
}

// config checks the flags.
func (o *options) config() (Config, []Expectation, error) {
	cfg := Config{Sessions: o.sessions, PeerAS: o.peerAS, HoldTime: o.hold, MD5Share: o.md5Share, Rate: o.rate}
	var errs []error
	for _, t := range o.targets {
		a, err := netip.ParseAddrPort(t)
		if err != nil {
			errs = append(errs, fmt.Errorf("target %q: write ADDRESS:PORT, or [ADDRESS]:PORT for IPv6", t))
			continue
		}
		if !o.own && !rehearsal(a.Addr()) {
			errs = append(errs, fmt.Errorf("target %s is a public address; pass --i-own-this-network if it is yours to test", a))
		}
		cfg.Targets = append(cfg.Targets, a)
	}
	for _, f := range o.from {
		p, err := netip.ParsePrefix(f)
		if err != nil {
			errs = append(errs, fmt.Errorf("source %q: write a prefix such as 192.0.2.0/24", f))
			continue
		}
		cfg.From = append(cfg.From, p)
	}
	var err error
	if cfg.Profile, err = ProfileByName(o.profile); err != nil {
		errs = append(errs, err)
	}
	if cfg.FirstAS, cfg.ASes, err = parseASRange(o.as); err != nil {
		errs = append(errs, err)
	}
	if o.md5File != "" {
		key, err := os.ReadFile(o.md5File)
		errs = append(errs, err)
		cfg.MD5 = strings.TrimRight(string(key), "\r\n")
	}
	if o.output != "table" && o.output != "json" {
		errs = append(errs, fmt.Errorf("output %q: use table or json", o.output))
	}
	var expectations []Expectation
	for _, text := range o.expect {
		e, err := ParseExpectation(text)
		errs = append(errs, err)
		expectations = append(expectations, e)
	}
	if o.announceDefault {
		cfg.Table, err = NewTable([]RouteSet{{Prefixes: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}}, {Prefixes: []netip.Prefix{netip.MustParsePrefix("::/0")}}})
		errs = append(errs, err)
	}
	return cfg, expectations, errors.Join(errs...)
}

// rehearsal tells whether an address is safe to fire at unasked: loopback,
// private (RFC 1918, 4193), link-local or for documentation (RFC 5737, 3849).
func rehearsal(a netip.Addr) bool {
	if a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() {
		return true
	}
	for _, p := range []string{"192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"} {
		if netip.MustParsePrefix(p).Contains(a) {
			return true
		}
	}
	return false
}

func parseASRange(text string) (first, count uint32, err error) {
	from, to, isRange := strings.Cut(text, "-")
	var last uint32
	if _, err = fmt.Sscanf(from, "%d", &first); err == nil && isRange {
		_, err = fmt.Sscanf(to, "%d", &last)
	} else {
		last = first
	}
	if err != nil || first == 0 || last < first {
		return 0, 0, fmt.Errorf("AS %q: write a number such as 65001, or a range such as 64512-65534", text)
	}
	return first, last - first + 1, nil
}

// ErrExpectation is a run whose report did not meet its expectations.
var ErrExpectation = errors.New("expectation not met")

func (o *options) run(ctx context.Context, stdout, stderr io.Writer) error {
	cfg, expectations, err := o.config()
	if err != nil {
		return err
	}
	s, err := New(cfg)
	if err != nil {
		return err
	}
	if o.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.duration)
		defer cancel()
	}
	final, err := o.watch(ctx, s, stderr)
	if err != nil {
		return err
	}
	return o.report(stdout, final, expectations)
}

// watch runs the swarm with a line of progress, and sums it up as it stood
// before its end.
func (o *options) watch(ctx context.Context, s *Swarm, stderr io.Writer) (*Summary, error) {
	inner, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	done := make(chan error, 1)
	go func() { done <- s.Run(inner) }()
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return nil, err
		case <-tick.C:
			sum := s.Summary()
			fmt.Fprintln(stderr, sum.Line())
			if o.settle > 0 && sum.Elapsed > o.settle && sum.Established < sum.Sessions && sum.Flaps == 0 {
				stop()
				return nil, errors.Join(fmt.Errorf("%d of %d sessions established after %s", sum.Established, sum.Sessions, o.settle), <-done)
			}
		case <-ctx.Done():
			sum := s.Summary()
			stop()
			return &sum, <-done
		}
	}
}

func (o *options) report(w io.Writer, s *Summary, expectations []Expectation) error {
	var err error
	if o.output == "json" {
		err = json.NewEncoder(w).Encode(s)
	} else {
		err = s.WriteTable(w)
	}
	errs := []error{err}
	for _, e := range expectations {
		if err := e.Check(s); err != nil {
			errs = append(errs, fmt.Errorf("%w: %w", ErrExpectation, err))
		}
	}
	return errors.Join(errs...)
}
