package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/peerage/peerage/api/node"
)

// cache keeps the last good copy on disk, so that a node can start without
// etcd. The file is one line of header with the SHA-256 of the rest, and JSON.
// It is replaced as a whole or not at all; a damaged one is ignored as a whole.
type cache struct {
	path    string
	log     hclog.Logger
	metrics *Metrics
	wake    chan struct{} // one slot

	mu      sync.Mutex
	pending *cacheFile // to be written; nil: nothing to do
	asked   time.Time  // when the last one was asked for
	failed  bool       // the last one was not written
}

// cacheFile is what is on disk.
type cacheFile struct {
	Identity identity `json:"identity"`
	// Values are the last good ones; Marks are of the newest, good or not.
	Values map[string][]byte `json:"values"`
	Marks  map[string]mark   `json:"marks"`
}

const (
	cacheMagic = "peerage-cache-1 "
	maxCache   = 256 << 20
	// identityEvery bounds how often a cache is written only because the
	// revision moved on.
	identityEvery = 30 * time.Second
	// gather is how long a change waits for others before the copy is written.
	// A change seldom comes alone (an intent, the plan that follows, what nodes
	// made of it), rendering the copy takes longer than planning, and whoever
	// acts on the change is at work at the very same time.
	gather = 500 * time.Millisecond
)

func newCache(path string, log hclog.Logger, metrics *Metrics) *cache {
	return &cache{path: path, log: log, metrics: metrics, wake: make(chan struct{}, 1)}
}

// load fills the builder and the identity, and tells whether there was a good
// cache. What is wrong with a bad one is logged.
func (c *cache) load(b *builder, id *identity) bool {
	if c.path == "" {
		return false
	}
	f, err := readCache(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	if err != nil {
		c.metrics.cache.Inc()
		c.log.Error("cache ignored, the state is unknown until etcd answers", "file", c.path, "error", err)
		return false
	}
	b.load(f)
	*id = f.Identity
	return true
}

// load takes what a cache kept.
func (b *builder) load(f *cacheFile) {
	for key, value := range f.Values {
		b.put(&mvccpb.KeyValue{Key: []byte(key), Value: value})
	}
	b.marks, b.dirty = f.Marks, false
}

func readCache(path string) (*cacheFile, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxCache+1))
	if err != nil {
		return nil, err
	}
	return decodeCache(data)
}

// decodeCache accepts what encodeCache made, and nothing else.
func decodeCache(data []byte) (*cacheFile, error) {
	if len(data) > maxCache {
		return nil, fmt.Errorf("larger than %d MiB", maxCache>>20)
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
	if f.Identity.ClusterID == 0 || f.Identity.Revision <= 0 || f.Values == nil || f.Marks == nil {
		return nil, errors.New("it does not say of which store it is")
	}
	return f, nil
}

func encodeCache(f *cacheFile) ([]byte, error) {
	body, err := json.Marshal(f)
	if err != nil {
		return nil, err
	}
	return seal(body), nil
}

// seal puts the header before the body.
func seal(body []byte) []byte {
	digest := sha256.Sum256(body)
	return append([]byte(cacheMagic+hex.EncodeToString(digest[:])+"\n"), body...)
}

// save asks for the newest copy to be written: at once when the cache's part
// of it changed, otherwise now and then, for its revision.
func (c *cache) save(b *builder, id identity) {
	if c.path == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	due := b.dirty || time.Since(c.asked) >= identityEvery
	again := c.failed && c.pending == nil
	if !due && !again {
		return
	}
	b.dirty = false
	f := &cacheFile{Identity: id, Values: maps.Clone(b.raw), Marks: maps.Clone(b.marks)}
	maps.DeleteFunc(f.Marks, func(key string, _ mark) bool { return !cached(key) })
	c.pending, c.asked = f, time.Now()
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
			sleep(ctx, gather)
		}
		c.write()
	}
}

func (c *cache) write() {
	c.mu.Lock()
	f := c.pending
	c.pending = nil
	c.mu.Unlock()
	if f == nil {
		return
	}
	data, err := encodeCache(f)
	if err == nil {
		err = node.WriteFileAtomic(c.path, data, 0o600)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.metrics.cache.Inc()
		if !c.failed {
			c.log.Error("cache not written, a start without etcd would know an older state", "file", c.path, "error", err)
		}
	}
	c.failed = err != nil
}
