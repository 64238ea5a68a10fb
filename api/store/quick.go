package store

import (
	"context"
	"errors"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/peerage/peerage/api"
)

// basis is what a transaction compares to know that the store still is what a
// mirror's state shows.
type basis struct {
	// sequence is the revision of the last Update that the state shows.
	sequence int64
	// key was written last, at revision. A store that was restored from a
	// backup has it at an older one, or not at all.
	key      string
	revision int64
}

func (b *builder) basis() basis {
	at := basis{sequence: b.sequence}
	for key, m := range b.marks {
		if m.Mod > at.revision {
			at.key, at.revision = key, m.Mod
		}
	}
	return at
}

// judged are the prefixes that guards judge by and that others than Update
// write. A node's registration is put once and kept by its lease.
func judged() []string { return []string{planKeys, appliedKeys, root + "observed/", liveKeys} }

// quickUpdate is Update on the mirror's state, without reading the store first:
// the transaction itself makes sure that the state is the store's. It is not
// done when anything is different, when there is nothing to write, or when fn
// refuses: whoever is refused is refused by a fresh reading.
func (s *Store) quickUpdate(ctx context.Context, fn func(tx *Tx) error) (revision int64, done bool, err error) {
	m := s.mirror.Load()
	if m == nil {
		return 0, false, nil
	}
	st, at := m.current()
	if st == nil {
		return 0, false, nil
	}
	tx := &Tx{state: st, ops: map[string]op{}}
	if err := errors.Join(fn(tx), errors.Join(tx.errs...)); err != nil || len(tx.ops) == 0 {
		return 0, false, nil //nolint:nilerr // see above
	}
	same := []clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(at.key), ">", at.revision-1)}
	for _, prefix := range judged() {
		same = append(same, clientv3.Compare(clientv3.ModRevision(prefix).WithPrefix(), "<", st.Revision+1))
	}
	revision, err = s.commit(ctx, tx, at.sequence, st.Revision, same...)
	if errors.Is(err, errOvertaken) {
		return 0, false, nil
	}
	return revision, true, err
}

// current is the state when it may be written on: known to be up to date, as
// far as a mirror can know, and readable as a whole.
func (m *Mirror) current() (*api.State, basis) {
	m.mu.Lock()
	defer m.mu.Unlock()
	st := *m.state
	if !st.Synced || st.FromCache || st.Stale != nil || st.Held != nil || len(st.Bad) > 0 || m.basis.key == "" {
		return nil, basis{}
	}
	return &st, m.basis
}

func (m *Mirror) basisNow() basis {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.basis
}
