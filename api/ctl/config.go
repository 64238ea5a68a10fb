package ctl

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/peerage/peerage/api"
	"github.com/peerage/peerage/api/client"
	"github.com/peerage/peerage/api/node"
)

// defaultServer is a controller on this machine.
const defaultServer = "http://127.0.0.1:8179"

// config is the config file: defaults for the flags of the same name.
type config struct {
	Server stringList `yaml:"server"`
	CA     string     `yaml:"ca"`
	Cert   string     `yaml:"cert"`
	Key    string     `yaml:"key"`
	Output string     `yaml:"output"`
}

// stringList is one string, or a list of them.
type stringList []string

// UnmarshalYAML implements yaml.Unmarshaler.
func (l *stringList) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*l = splitList(n.Value)
		return nil
	}
	var list []string
	if err := n.Decode(&list); err != nil {
		return err
	}
	*l = list
	return nil
}

func splitList(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}

// load reads the config file and settles the format of the output.
func (a *app) load() error {
	path := cmp.Or(a.flags.config, a.home())
	if path != "" {
		data, err := os.ReadFile(path)
		switch {
		case errors.Is(err, fs.ErrNotExist) && a.flags.config == "":
		case err != nil:
			return fmt.Errorf("config file: %w", err)
		default:
			if err := a.config.parse(path, data); err != nil {
				return err
			}
		}
	}
	p, err := newPrinter(a.env, cmp.Or(a.flags.output, a.config.Output, "table"))
	a.printer = p
	return err
}

func (c *config) parse(path string, data []byte) error {
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(c); err != nil && !errors.Is(err, io.EOF) {
		text := strings.TrimPrefix(err.Error(), "yaml: unmarshal errors:\n  ")
		text = strings.ReplaceAll(text, " in type ctl.config", "")
		return fmt.Errorf("%s: %s; the keys are server, ca, cert, key and output", path, text)
	}
	return nil
}

// api connects to the controllers: by flag, else environment, else config
// file, else this machine.
func (a *app) api() (*client.Client, error) {
	if a.client != nil {
		return a.client, nil
	}
	servers := a.flags.servers
	if len(servers) == 0 {
		servers = splitList(a.env.Getenv("PEERAGE_SERVER"))
	}
	if len(servers) == 0 {
		servers = a.config.Server
	}
	if len(servers) == 0 {
		servers = []string{defaultServer}
	}
	cfg := client.Config{Servers: servers, Actor: a.env.Actor, OnRetry: func(err error) {
		fmt.Fprintf(a.env.Stderr, "%s: %v; trying again\n", a.path, err)
	}}
	ca, cert, key := cmp.Or(a.flags.ca, a.config.CA), cmp.Or(a.flags.cert, a.config.Cert), cmp.Or(a.flags.key, a.config.Key)
	if ca != "" || cert != "" || key != "" {
		tls, err := node.ClientTLS(ca, cert, key)
		if err != nil {
			return nil, api.WithExit(api.ExitUsage, err)
		}
		cfg.TLS = tls
	}
	c, err := client.New(cfg)
	if err != nil {
		return nil, api.WithExit(api.ExitUsage, err)
	}
	a.client = c
	return c, nil
}
