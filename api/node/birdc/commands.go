package birdc

import (
	"context"
	"errors"
	"net/netip"
)

// Status asks who answers.
func (c *Client) Status(ctx context.Context) (Status, error) { return Status{}, errors.ErrUnsupported }

// EachProtocol streams "show protocols all": 5,000 sessions need not be held
// in memory at once. The value is fn's to keep.
func (c *Client) EachProtocol(ctx context.Context, fn func(*Protocol) error) error {
	return errors.ErrUnsupported
}

// Protocols lists all protocols with their details.
func (c *Client) Protocols(ctx context.Context) ([]Protocol, error) {
	return nil, errors.ErrUnsupported
}

// BFDSessions lists the BFD sessions of all BFD protocols; none when BIRD
// runs no BFD.
func (c *Client) BFDSessions(ctx context.Context) ([]BFDSession, error) {
	return nil, errors.ErrUnsupported
}

// Routes lists the routes of a table.
func (c *Client) Routes(ctx context.Context, table string) ([]Route, error) {
	return nil, errors.ErrUnsupported
}

// RoutesFor lists the routes of exactly one prefix of a table.
func (c *Client) RoutesFor(ctx context.Context, table string, prefix netip.Prefix) ([]Route, error) {
	return nil, errors.ErrUnsupported
}

// Exported lists the routes that a protocol of the table has sent. While its
// session is down there are none.
func (c *Client) Exported(ctx context.Context, table, protocol string) ([]Route, error) {
	return nil, errors.ErrUnsupported
}

// Eval evaluates an expression in BIRD, such as the name of a constant.
func (c *Client) Eval(ctx context.Context, expression string) (string, error) {
	return "", errors.ErrUnsupported
}

// Configure makes BIRD read its configuration file again, and waits for its
// word that the new one is in force or scheduled. While an earlier
// reconfiguration is under way it tries again, until ctx or the timeout ends.
// A refused configuration is an *Error with file, line and column; the old one
// stays in force.
func (c *Client) Configure(ctx context.Context) error { return errors.ErrUnsupported }

// ConfigureSoft is Configure without a reload of routes when only filters
// changed.
func (c *Client) ConfigureSoft(ctx context.Context) error { return errors.ErrUnsupported }

// Enable starts a protocol that was disabled. All of "all" or a pattern in
// double quotes are possible as well.
func (c *Client) Enable(ctx context.Context, protocol string) error { return errors.ErrUnsupported }

// Disable stops a protocol until Enable.
func (c *Client) Disable(ctx context.Context, protocol string) error { return errors.ErrUnsupported }

// Down shuts BIRD itself down, withdrawing everything and ending all sessions.
func (c *Client) Down(ctx context.Context) error { return errors.ErrUnsupported }

// Check lets a BIRD binary parse a configuration file without running it
// ("bird -p -c file"). The error holds BIRD's message with file and line.
func Check(ctx context.Context, binary, file string) error { return errors.ErrUnsupported }
