package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/peerage/peerage/api/node"
)

// cache keeps the last good copy on disk, so that a node can start without
// etcd. The file is one line of header with the SHA-256 of the rest, and JSON.
// It is replaced as a whole or not at all; a damaged one is ignored.
type cache struct {
	path string
	log  hclog.Logger
	wake chan struct{}

	mu      sync.Mutex
	pending *cacheFile // to be written; nil: nothing to do
	written []byte     // the values of the last one, to skip equal ones
	at      time.Time  // when it was written
}

type cacheFile struct {
	Identity identity          `json:"identity"`
	Values   map[string][]byte `json:"values"`
}

const (
	cacheMagic = "peerage-cache-1 "
	maxCache   = 256 << 20
	// identityEvery bounds how often a cache is written only because the
	// revision moved on.
	identityEvery = 30 * time.Second
)

// cached tells whether a key is worth keeping: what a site is and wants, and
// what was decided. What nodes measured is worthless when it is old.
func cached(key string) bool {
	return strings.HasPrefix(key, root+"config/") || strings.HasPrefix(key, root+"intent/") || strings.HasPrefix(key, planKeys)
}

func newCache(path string, log hclog.Logger) *cache {
	return &cache{path: path, log: log, wake: make(chan struct{}, 1)}
}

// load fills the builder and the identity, and tells whether there was a good
// cache. What is wrong with a bad one is logged.
func (c *cache) load(b *builder, id *identity) bool {
	if c.path == "" {
		return false
	}
	data, err := os.ReadFile(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	var f *cacheFile
	if err == nil {
		f, err = decodeCache(data)
	}
	if err != nil {
		c.log.Error("cache ignored", "file", c.path, "error", err)
		return false
	}
	for key, value := range f.Values {
		b.put(&mvccpb.KeyValue{Key: []byte(key), Value: value})
	}
	*id = f.Identity
	return true
}

func decodeCache(data []byte) (*cacheFile, error) {
	if len(data) > maxCache {
		return nil, fmt.Errorf("%d bytes, the limit is %d", len(data), maxCache)
	}
	header, body, ok := bytes.Cut(data, []byte("\n"))
	sum, magic := bytes.CutPrefix(header, []byte(cacheMagic))
	if !ok || !magic {
		return nil, errors.New("not a cache of this version")
	}
	if digest := sha256.Sum256(body); string(sum) != hex.EncodeToString(digest[:]) {
		return nil, errors.New("the checksum does not match: truncated or damaged")
	}
	f := &cacheFile{}
	if err := json.Unmarshal(body, f); err != nil {
		return nil, err
	}
	return f, nil
}

func encodeCache(f *cacheFile) ([]byte, error) {
	body, err := json.Marshal(f)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(body)
	return append([]byte(cacheMagic+hex.EncodeToString(digest[:])+"\n"), body...), nil
}

// save asks for the newest copy to be written, soon.
func (c *cache) save(b *builder, id identity) {
	if c.path == "" {
		return
	}
	c.mu.Lock()
	c.pending = &cacheFile{id, maps.Clone(b.raw)}
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// run writes until ctx ends, and once more what is left.
func (c *cache) run(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-c.wake:
		}
		if err := c.write(); err != nil {
			c.log.Error("cache not written", "file", c.path, "error", err)
		}
	}
}

func (c *cache) write() error {
	c.mu.Lock()
	f := c.pending
	c.pending = nil
	written, at := c.written, c.at
	c.mu.Unlock()
	if f == nil {
		return nil
	}
	values, err := json.Marshal(f.Values)
	if err != nil {
		return err
	}
	if bytes.Equal(values, written) && time.Since(at) < identityEvery {
		return nil
	}
	data, err := encodeCache(f)
	if err != nil {
		return err
	}
	if err := node.WriteFileAtomic(c.path, data, 0o600); err != nil {
		return err
	}
	c.mu.Lock()
	c.written, c.at = values, time.Now()
	c.mu.Unlock()
	return nil
}
