package swarm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// controlVariable names the control socket for the commands that a scenario
// runs, and for anybody who does not want to repeat --control.
const controlVariable = "PEERAGE_SWARM_CONTROL"

// Client asks a swarm that runs, over its control socket.
type Client struct{ socket string }

// NewClient makes a client of the socket that --control names.
func NewClient(socket string) *Client { return &Client{socket} }

// Status is the summary since the last Mark, or since the beginning.
func (c *Client) Status(ctx context.Context) (s Summary, err error) {
	return s, c.get(ctx, http.MethodGet, "/status", &s)
}

// Mark begins a new period for Status.
func (c *Client) Mark(ctx context.Context) (m Marked, err error) {
	return m, c.get(ctx, http.MethodPost, "/mark", &m)
}

// Reset makes sessions connect anew: all of them, or numbers and ranges.
func (c *Client) Reset(ctx context.Context, sessions string) (r HasReset, err error) {
	return r, c.get(ctx, http.MethodPost, "/reset?sessions="+url.QueryEscape(sessions), &r)
}

func (c *Client) get(ctx context.Context, method, path string, into any) error {
	var b bytes.Buffer
	if err := c.copy(ctx, method, path, &b); err != nil {
		return err
	}
	return json.Unmarshal(b.Bytes(), into)
}

// copy copies an answer.
func (c *Client) copy(ctx context.Context, method, path string, w io.Writer) error {
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", c.socket)
	}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, method, "http://swarm"+path, nil)
	if err != nil {
		return err
	}
	res, err := (&http.Client{Transport: transport, Timeout: controlTimeout}).Do(req)
	if err != nil {
		return fmt.Errorf("the swarm at %s does not answer: %w", c.socket, errors.Unwrap(err))
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 1000))
		return errors.New(strings.TrimSpace(string(text)))
	}
	_, err = io.Copy(w, res.Body)
	return err
}

// askCommands are those that talk to a swarm that runs.
func askCommands() []*cobra.Command {
	var socket, output string
	var beginning bool
	command := func(use, short string, args cobra.PositionalArgs, run func(c *cobra.Command, args []string, client *Client) error) *cobra.Command {
		c := &cobra.Command{
			Use: use, Short: short, Args: usageArgs(args),
			RunE: func(c *cobra.Command, args []string) error {
				if socket == "" {
					return usage(errors.New("which swarm? name the socket that it was started with: --control, or " + controlVariable))
				}
				return run(c, args, NewClient(socket))
			},
		}
		c.Flags().StringVar(&socket, "control", os.Getenv(controlVariable), "socket of the swarm; by default $"+controlVariable)
		return c
	}
	status := command("status", "What a swarm that runs went through since the last mark", cobra.NoArgs, func(c *cobra.Command, _ []string, client *Client) error {
		path := "/status"
		if beginning {
			path += "?since=beginning"
		}
		if output == "json" {
			return client.copy(c.Context(), http.MethodGet, path, c.OutOrStdout())
		}
		var s Summary
		if err := client.get(c.Context(), http.MethodGet, path, &s); err != nil {
			return err
		}
		return s.WriteTable(c.OutOrStdout())
	})
	statusFlags(status.Flags(), &output, &beginning)
	ask := func(method, path string) func(*cobra.Command, []string, *Client) error {
		return func(c *cobra.Command, args []string, client *Client) error {
			which := ""
			if len(args) > 0 {
				which = "?sessions=" + url.QueryEscape(args[0])
			}
			return client.copy(c.Context(), method, path+which, c.OutOrStdout())
		}
	}
	return []*cobra.Command{
		status,
		command("sessions [0-9,12]", "The sessions of a swarm that runs, a JSON line each", cobra.MaximumNArgs(1), ask(http.MethodGet, "/sessions")),
		command("mark", "Let the status of a swarm that runs count from now", cobra.NoArgs, ask(http.MethodPost, "/mark")),
		command("reset all|0-9,12", "Let sessions of a swarm that runs connect anew; no flap to it", cobra.ExactArgs(1), ask(http.MethodPost, "/reset")),
	}
}

func statusFlags(f *pflag.FlagSet, output *string, beginning *bool) {
	f.StringVarP(output, "output", "o", "table", "table or json")
	f.BoolVar(beginning, "since-beginning", false, "count from the beginning, not from the last mark")
}
