package client

import (
	"context"
	"net/http"

	"github.com/peerage/peerage/api"
)

// Announce sends a route to customers.
func (c *Client) Announce(ctx context.Context, r api.RouteRequest) (*api.RouteResult, error) {
	return c.route(ctx, "announce", r)
}

// Withdraw takes a route back.
func (c *Client) Withdraw(ctx context.Context, r api.RouteRequest) (*api.RouteResult, error) {
	return c.route(ctx, "withdraw", r)
}

func (c *Client) route(ctx context.Context, verb string, r api.RouteRequest) (*api.RouteResult, error) {
	out := new(api.RouteResult)
	if err := c.post(ctx, "/v1/routes/"+verb, r, out); err != nil {
		return nil, err
	}
	return out, nil
}

// Routes lists the routes that are announced to customers.
func (c *Client) Routes(ctx context.Context) ([]api.RouteIntent, error) {
	var list api.List[api.RouteIntent]
	err := c.do(ctx, request{method: http.MethodGet, path: "/v1/routes"}, &list)
	return list.Items, err
}
