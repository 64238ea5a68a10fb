//go:build linux

package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// etcd writes or deletes a key behind the API's back.
func (r *Story) etcd(ctx context.Context, _ Step, args []string) error {
	in := map[string]string{"key": base64.StdEncoding.EncodeToString([]byte(args[1]))}
	call := "put"
	switch {
	case args[0] == "put" && len(args) == 3:
		in["value"] = base64.StdEncoding.EncodeToString(bytes.TrimSpace([]byte(r.scenario.Files[args[2]])))
	case args[0] == "del" && len(args) == 2:
		call = "deleterange"
	default:
		return errors.New("want: put KEY FILE | del KEY")
	}
	return r.gateway(ctx, call, in, nil)
}

// etcdGet reads the JSON value of a key.
func (s *Site) etcdGet(ctx context.Context, key string, into any) error {
	var out struct {
		KVs []struct {
			Value []byte `json:"value"`
		} `json:"kvs"`
	}
	if err := s.gateway(ctx, "range", map[string]string{"key": base64.StdEncoding.EncodeToString([]byte(key))}, &out); err != nil {
		return err
	}
	if len(out.KVs) == 0 {
		return fmt.Errorf("etcd has no key %s", key)
	}
	return json.Unmarshal(out.KVs[0].Value, into)
}

// maxAnswer bounds what etcd may answer.
const maxAnswer = 4 << 20

// gateway makes one call to etcd's JSON gateway.
func (s *Site) gateway(ctx context.Context, call string, in map[string]string, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.Lab.Topology.EtcdEndpoint()+"/v3/kv/"+call, bytes.NewReader(body))
	if err != nil {
		return err
	}
	res, err := (&http.Client{Timeout: 10 * time.Second}).Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("etcd: %s: %s", res.Status, text[:min(len(text), 1000)])
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}
