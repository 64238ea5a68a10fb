package birdc

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// codeNotFound is BIRD's answer when a table does not hold a prefix.
const codeNotFound = 8001

// Status asks who answers.
func (c *Client) Status(ctx context.Context) (Status, error) {
	lines, err := c.Do(ctx, "show status")
	if err != nil {
		return Status{}, err
	}
	return parseStatus(lines), nil
}

// EachProtocol streams "show protocols all": 5,000 sessions need not be held
// in memory at once. The value is fn's to keep.
func (c *Client) EachProtocol(ctx context.Context, fn func(*Protocol) error) error {
	return c.eachProtocol(ctx, "show protocols all", fn)
}

// EachSummary streams "show protocols", a tenth of the bytes: what has a
// column there is filled in, of BGP the state and the last error.
func (c *Client) EachSummary(ctx context.Context, fn func(*Protocol) error) error {
	return c.eachProtocol(ctx, "show protocols", fn)
}

func (c *Client) eachProtocol(ctx context.Context, command string, fn func(*Protocol) error) error {
	p := &protocols{emit: fn}
	if err := c.Stream(ctx, command, p.line); err != nil {
		return err
	}
	return p.flush()
}

// Protocols lists all protocols with their details.
func (c *Client) Protocols(ctx context.Context) ([]Protocol, error) {
	var all []Protocol
	err := c.EachProtocol(ctx, func(p *Protocol) error {
		all = append(all, *p)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// Protocol tells one protocol with its details.
func (c *Client) Protocol(ctx context.Context, name string) (Protocol, error) {
	var found Protocol
	err := c.eachProtocol(ctx, "show protocols all "+quote(name), func(p *Protocol) error {
		found = *p
		return nil
	})
	return found, err
}

// BFDSessions lists the BFD sessions of all BFD protocols; none when BIRD
// runs no BFD.
func (c *Client) BFDSessions(ctx context.Context) ([]BFDSession, error) {
	lines, err := c.Do(ctx, "show bfd sessions")
	if refusal, ok := errors.AsType[*Error](err); ok && strings.Contains(refusal.Message, "no BFD protocol") {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseBFD(lines), nil
}

// Routes lists the routes of a table.
func (c *Client) Routes(ctx context.Context, table string) ([]Route, error) {
	return c.routes(ctx, "show route all table "+table)
}

// RoutesFor lists the routes of exactly one prefix of a table.
func (c *Client) RoutesFor(ctx context.Context, table string, prefix netip.Prefix) ([]Route, error) {
	found, err := c.routes(ctx, fmt.Sprintf("show route all table %s %s", table, prefix))
	if refusal, ok := errors.AsType[*Error](err); ok && refusal.Code == codeNotFound {
		return nil, nil
	}
	return found, err
}

// Exported lists the routes that a protocol of the table has sent. While its
// session is down there are none.
func (c *Client) Exported(ctx context.Context, table, protocol string) ([]Route, error) {
	return c.routes(ctx, fmt.Sprintf("show route all table %s export %s", table, protocol))
}

func (c *Client) routes(ctx context.Context, command string) ([]Route, error) {
	r := &routes{}
	if err := c.Stream(ctx, command, r.line); err != nil {
		return nil, err
	}
	return r.found, nil
}

// Eval evaluates an expression in BIRD, such as the name of a constant.
func (c *Client) Eval(ctx context.Context, expression string) (string, error) {
	lines, err := c.Do(ctx, "eval "+expression)
	if err != nil {
		return "", err
	}
	if len(lines) == 0 {
		return "", nil
	}
	return strings.TrimSpace(lines[len(lines)-1].Text), nil
}

// Enable starts protocols that were disabled: a name, or a pattern such as
// "peer*".
func (c *Client) Enable(ctx context.Context, protocols string) error {
	_, err := c.Do(ctx, "enable "+quote(protocols))
	return err
}

// Disable stops protocols until Enable. BIRD forgets it with its process.
func (c *Client) Disable(ctx context.Context, protocols string) error {
	_, err := c.Do(ctx, "disable "+quote(protocols))
	return err
}

// Restart stops and starts protocols.
func (c *Client) Restart(ctx context.Context, protocols string) error {
	_, err := c.Do(ctx, "restart "+quote(protocols))
	return err
}

// Down shuts BIRD itself down, withdrawing everything and ending all sessions.
func (c *Client) Down(ctx context.Context) error {
	_, err := c.Do(ctx, "down")
	return err
}

// quote makes a pattern of a name: BIRD has names that are its keywords too.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, "") + `"` }
