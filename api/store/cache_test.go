package store

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hashicorp/go-hclog"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"pgregory.net/rapid"

	"github.com/peerage/peerage/api"
)

func keyValues(marks map[string]mark) []*mvccpb.KeyValue {
	var kvs []*mvccpb.KeyValue
	for key, m := range marks {
		kvs = append(kvs, &mvccpb.KeyValue{Key: []byte(key), CreateRevision: m.Create, ModRevision: m.Mod, Version: m.Version})
	}
	return kvs
}

// cachedSite fills a store and a cache, and stops etcd.
func cachedSite(t *testing.T) (file string, known *api.State, endpoints []string) {
	t.Helper()
	etcd, s := site(t)
	update(t, s, func(tx *Tx) {
		tx.Put(realServer(1))
		tx.Put(&api.Pool{Meta: api.Meta{Name: "edge"}})
		tx.PutIntent(depooled(1, "disk"))
	})
	if err := lead(t, s, "ctl-1").PutPlan(t.Context(), plan("edge", 7)); err != nil {
		t.Fatal(err)
	}
	// The newest value is bad: the cache keeps the one before.
	last := put(t, s, planKeys+"edge", `{"schema":1,"pool":`)
	file = filepath.Join(t.TempDir(), "cache")
	m := run(t, s.Mirror(MirrorOptions{CacheFile: file}))
	m.awaitCurrent()
	m.stop()
	if m.State().Plans["edge"] != nil {
		t.Fatal("a fresh mirror has a good value of a bad key")
	}
	if _, err := s.client.Put(t.Context(), planKeys+"edge", `{"schema":1,"pool":"edge","generation":7}`); err != nil {
		t.Fatal(err)
	}
	m = run(t, s.Mirror(MirrorOptions{CacheFile: file}))
	m.await("the plan", func(st *api.State) bool { return st.Plans["edge"] != nil })
	last = put(t, s, planKeys+"edge", `{"schema":1,"pool":`)
	known = m.await("the bad plan", func(st *api.State) bool { return st.Revision >= last })
	m.stop()
	etcd.Stop()
	return file, known, etcd.Endpoints()
}

// A node boots from its cache without etcd, and knows what was decided.
func TestBootFromCache(t *testing.T) {
	t.Parallel()
	file, known, endpoints := cachedSite(t)
	s := open(t, endpoints, func(c *Config) { c.RequestTimeout = 100 * time.Millisecond })
	m := s.Mirror(MirrorOptions{CacheFile: file})
	st := m.State()
	if !st.FromCache || st.Synced || st.Stale == nil || st.StaleSince.IsZero() {
		t.Errorf("flags of a state from the cache: %+v", st)
	}
	if st.Plans["edge"] == nil || st.Plans["edge"].Generation != 7 || st.ClusterID != known.ClusterID || st.Revision != known.Revision {
		t.Errorf("state from the cache: %+v", st)
	}
	opts := cmp.Options{cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty(),
		cmpopts.IgnoreFields(api.State{}, "FromCache", "Synced", "Stale", "StaleSince", "Bad", "Leader", "LeaderRevision")}
	if diff := cmp.Diff(known, st, opts); diff != "" {
		t.Errorf("before and from the cache (-before +cache):\n%s", diff)
	}
	// It stays so while etcd is away.
	r := run(t, m)
	r.await("a reason", func(st *api.State) bool { return !errors.Is(st.Stale, errUnread) })
	if st := r.State(); !st.FromCache || st.Synced || st.Plans["edge"] == nil {
		t.Errorf("state without etcd: %+v", st)
	}
}

// A cache is used as a whole or not at all, and the log says why not.
func TestDamagedCacheIsIgnored(t *testing.T) {
	t.Parallel()
	file, _, endpoints := cachedSite(t)
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(good)
	flipped[len(flipped)/2] ^= 1
	for name, data := range map[string][]byte{
		"empty": nil, "truncated": good[:len(good)/2], "cut by one": good[:len(good)-1], "longer": append(bytes.Clone(good), ' '),
		"one bit": flipped, "other version": append([]byte("peerage-cache-9 "), good[len(cacheMagic):]...),
		"header only": good[:bytes.IndexByte(good, '\n')+1], "no JSON": seal([]byte("nonsense")), "JSON null": seal([]byte("null")), "no identity": seal([]byte("{}")),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "cache")
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			s := open(t, endpoints, func(c *Config) { c.Logger = hclog.New(&hclog.LoggerOptions{Output: &log}) })
			st := s.Mirror(MirrorOptions{CacheFile: path}).State()
			if st.FromCache || st.Synced || st.Stale == nil || len(st.Plans)+len(st.Pools)+len(st.RealServers)+len(st.Intents) != 0 || st.Revision != 0 {
				t.Errorf("state from a damaged cache: %+v", st)
			}
			if !strings.Contains(log.String(), "[ERROR]") || !strings.Contains(log.String(), path) {
				t.Errorf("log: %s", log.String())
			}
			if measure(t, s.metrics.cache) != 1 {
				t.Error("metrics do not tell")
			}
		})
	}
}

// A cache that cannot be written harms nothing, and is written when it can be.
func TestUnwritableCache(t *testing.T) {
	t.Parallel()
	_, s := site(t)
	dir := filepath.Join(t.TempDir(), "missing")
	m := run(t, s.Mirror(MirrorOptions{CacheFile: filepath.Join(dir, "cache")}))
	m.awaitCurrent()
	eventually(t, "an error", func() bool { return measure(t, s.metrics.cache) > 0 })
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	update(t, s, func(tx *Tx) { tx.Put(realServer(1)) })
	eventually(t, "the cache", func() bool { _, err := readCache(filepath.Join(dir, "cache")); return err == nil })
}

func TestCacheRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := &cacheFile{
			Identity: identity{ClusterID: rapid.Uint64Min(1).Draw(t, "cluster"), Revision: rapid.Int64Min(1).Draw(t, "revision")},
			Values:   rapid.MapOf(rapid.String(), rapid.SliceOf(rapid.Byte())).Draw(t, "values"),
			Marks:    map[string]mark{},
		}
		for key := range f.Values {
			f.Marks[key] = mark{rapid.Int64().Draw(t, "c"), rapid.Int64().Draw(t, "m"), rapid.Int64().Draw(t, "v")}
		}
		data, err := encodeCache(f)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeCache(data)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(f, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
		cut := rapid.IntRange(0, len(data)-1).Draw(t, "cut")
		if _, err := decodeCache(data[:cut]); err == nil {
			t.Fatalf("%d of %d bytes pass for a cache", cut, len(data))
		}
		data[rapid.IntRange(0, len(data)-1).Draw(t, "at")] ^= rapid.ByteMin(1).Draw(t, "bits")
		if _, err := decodeCache(data); err == nil {
			t.Fatal("a damaged cache passes")
		}
	})
}

// FuzzDecodeCache gives bytes with a correct checksum, too: whatever is taken
// makes a state without a panic, and is written as it was read.
func FuzzDecodeCache(f *testing.F) {
	f.Add([]byte(""), false)
	f.Add([]byte("null"), true)
	f.Add([]byte(`{"identity":{"clusterID":1,"revision":2},"values":{},"marks":{}}`), true)
	f.Add([]byte(`{"identity":{"clusterID":1,"revision":2},"values":{"/peerage/v1/plan/a":"e30="},"marks":{"":{"c":-1}}}`), true)
	f.Fuzz(func(t *testing.T, data []byte, sum bool) {
		if sum {
			data = seal(data)
		}
		c, err := decodeCache(data)
		if err != nil {
			return
		}
		b := newBuilder()
		b.load(c)
		b.state()
		again, err := encodeCache(c)
		if err != nil {
			t.Fatal(err)
		}
		if d, err := decodeCache(again); err != nil || fmt.Sprint(d) != fmt.Sprint(c) {
			t.Fatalf("%v\n%v\n%v", err, c, d)
		}
	})
}

// FuzzDecode gives any value under any key.
func FuzzDecode(f *testing.F) {
	for _, key := range []string{planKeys + "edge", realServerKeys + "rs-1", intentKeys + "rs-1", routeKeys + "all,192.0.2.1-32", storeKey, liveKeys + "lbs/lb-1", pathKeys + "lb-1", appliedKeys + "edge/lb-1", leaderKeys + "/1"} {
		f.Add(key, []byte(`{"schema":1,"pool":"edge","server":"rs-1","lb":"lb-1","name":"lb-1","role":"lbs"}`))
		f.Add(key, []byte(`{"schema":1`))
	}
	f.Add(liveKeys, []byte(`{"schema":1,"role":"none"}`))
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		b := newBuilder()
		b.put(&mvccpb.KeyValue{Key: []byte(key), Value: value, ModRevision: 1, CreateRevision: 1, Version: 1})
		st := b.state()
		if b.bad[key] != nil {
			b.recall(st)
		}
		if v, good := b.values[key]; good && valueAt(st, key) != v && !strings.HasPrefix(key, liveKeys) {
			t.Fatalf("key %q holds %v, and its state %v", key, v, valueAt(st, key))
		}
	})
}
