package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/peerage/peerage/api"
)

// ApplyOptions refine apply and delete.
type ApplyOptions struct {
	// DryRun changes nothing and says what would be done.
	DryRun bool
	// AcceptRisk names the guards to override.
	AcceptRisk []api.Risk
	// Reason is for the audit trail.
	Reason string
	// Prune removes the objects of these kinds that are not applied.
	Prune []api.Kind
	// Generation, if not 0, refuses to delete another one.
	Generation int64
}

func (o ApplyOptions) query() url.Values {
	q := url.Values{}
	if o.DryRun {
		q.Set("dryRun", "1")
	}
	for _, r := range o.AcceptRisk {
		q.Add("acceptRisk", string(r))
	}
	for _, kind := range o.Prune {
		q.Add("prune", string(kind))
	}
	if o.Reason != "" {
		q.Set("reason", o.Reason)
	}
	if o.Generation != 0 {
		q.Set("generation", strconv.FormatInt(o.Generation, 10))
	}
	return q
}

// Apply makes the site's objects equal to those in body: YAML or JSON with
// any number of documents.
func (c *Client) Apply(ctx context.Context, body []byte, o ApplyOptions) (*api.ApplyResult, error) {
	out := new(api.ApplyResult)
	r := request{http.MethodPost, "/v1/apply", o.query(), body, "application/yaml"}
	if err := c.do(ctx, r, out); err != nil {
		return nil, err
	}
	return out, nil
}

// ApplyObjects is Apply of decoded objects.
func (c *Client) ApplyObjects(ctx context.Context, objects []api.Object, o ApplyOptions) (*api.ApplyResult, error) {
	list := make([]json.RawMessage, 0, len(objects))
	for _, object := range objects {
		data, err := api.Marshal(object)
		if err != nil {
			return nil, err
		}
		list = append(list, data)
	}
	body, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	out := new(api.ApplyResult)
	r := request{http.MethodPost, "/v1/apply", o.query(), body, "application/json"}
	if err := c.do(ctx, r, out); err != nil {
		return nil, err
	}
	return out, nil
}

// Delete removes one object.
func (c *Client) Delete(ctx context.Context, kind api.Kind, name string, o ApplyOptions) (*api.ApplyResult, error) {
	path, err := objectPath(kind, name)
	if err != nil {
		return nil, err
	}
	out := new(api.ApplyResult)
	if err := c.do(ctx, request{method: http.MethodDelete, path: path, query: o.query()}, out); err != nil {
		return nil, err
	}
	return out, nil
}

// Depool takes a real server out. Its sessions stay.
func (c *Client) Depool(ctx context.Context, server string, r api.VerbRequest) (*api.VerbResult, error) {
	return c.verb(ctx, server, "depool", r)
}

// Pool puts a real server back.
func (c *Client) Pool(ctx context.Context, server string, r api.VerbRequest) (*api.VerbResult, error) {
	return c.verb(ctx, server, "pool", r)
}

// Weight overrides the nominal weight of a real server, or takes that back.
func (c *Client) Weight(ctx context.Context, server string, r api.VerbRequest) (*api.VerbResult, error) {
	return c.verb(ctx, server, "weight", r)
}

func (c *Client) verb(ctx context.Context, server, verb string, v api.VerbRequest) (*api.VerbResult, error) {
	path, err := objectPath(api.KindRealServer, server)
	if err != nil {
		return nil, err
	}
	out := new(api.VerbResult)
	if err := c.post(ctx, path+"/"+verb, v, out); err != nil {
		return nil, err
	}
	return out, nil
}

// AcceptStore makes every node trust the store as it is now.
func (c *Client) AcceptStore(ctx context.Context, r api.StoreAcceptRequest) (*api.StoreAcceptResult, error) {
	out := new(api.StoreAcceptResult)
	if err := c.post(ctx, "/v1/store/accept", r, out); err != nil {
		return nil, err
	}
	return out, nil
}

func (c *Client) post(ctx context.Context, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	return c.do(ctx, request{http.MethodPost, path, nil, body, "application/json"}, out)
}

// Objects lists the objects of a kind, sorted by name.
func (c *Client) Objects(ctx context.Context, kind api.Kind) ([]api.Object, error) {
	collection, err := api.Collection(kind)
	if err != nil {
		return nil, err
	}
	var list api.List[json.RawMessage]
	if err := c.do(ctx, request{method: http.MethodGet, path: "/v1/" + collection}, &list); err != nil {
		return nil, err
	}
	objects := make([]api.Object, 0, len(list.Items))
	for _, data := range list.Items {
		o, err := api.Unmarshal(data)
		if err != nil {
			return nil, err
		}
		objects = append(objects, o)
	}
	return objects, nil
}

// Object reads one object.
func (c *Client) Object(ctx context.Context, kind api.Kind, name string) (api.Object, error) {
	path, err := objectPath(kind, name)
	if err != nil {
		return nil, err
	}
	var data json.RawMessage
	if err := c.do(ctx, request{method: http.MethodGet, path: path}, &data); err != nil {
		return nil, err
	}
	return api.Unmarshal(data)
}

// Plans lists the plans, sorted by pool.
func (c *Client) Plans(ctx context.Context) ([]*api.Plan, error) {
	var list api.List[*api.Plan]
	err := c.do(ctx, request{method: http.MethodGet, path: "/v1/plans"}, &list)
	return list.Items, err
}

// Plan reads the plan of one pool.
func (c *Client) Plan(ctx context.Context, pool string) (*api.Plan, error) {
	out := new(api.Plan)
	err := c.do(ctx, request{method: http.MethodGet, path: "/v1/plans/" + url.PathEscape(pool)}, out)
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Status reads the state of the whole site.
func (c *Client) Status(ctx context.Context) (*api.Status, error) {
	out := new(api.Status)
	if err := c.do(ctx, request{method: http.MethodGet, path: "/v1/status"}, out); err != nil {
		return nil, err
	}
	return out, nil
}

// Events lists the newest events, oldest first.
func (c *Client) Events(ctx context.Context, limit int) ([]api.Event, error) {
	q := url.Values{}
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	var list api.List[api.Event]
	err := c.do(ctx, request{method: http.MethodGet, path: "/v1/events", query: q}, &list)
	return list.Items, err
}

// Version says which controller answers.
func (c *Client) Version(ctx context.Context) (*api.VersionInfo, error) {
	out := new(api.VersionInfo)
	if err := c.do(ctx, request{method: http.MethodGet, path: "/v1/version"}, out); err != nil {
		return nil, err
	}
	return out, nil
}

func objectPath(kind api.Kind, name string) (string, error) {
	collection, err := api.Collection(kind)
	if err != nil {
		return "", err
	}
	if name == "" || name == "." || name == ".." {
		return "", fmt.Errorf("%s: %q is not a name; names are DNS labels such as rs-1", kind, name)
	}
	return "/v1/" + collection + "/" + url.PathEscape(name), nil
}
