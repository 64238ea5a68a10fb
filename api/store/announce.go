package store

import (
	"context"
	"time"

	"github.com/peerage/peerage/api"
)

// RegisterNode waits until the site's settings are known, and then keeps the
// node's live key there as Register does, with the site's lease TTL and the
// addresses that the configuration gives the node.
func (s *Store) RegisterNode(ctx context.Context, m *Mirror, live api.Live) error {
	changed, cancel := m.Subscribe()
	defer cancel()
	for {
		if st := m.State(); st.Synced && st.Stale == nil {
			if lb := st.LoadBalancers[live.Name]; lb != nil && live.Role == api.RoleLB {
				live.Addresses = lb.Spec.Addresses
			}
			if rs := st.RealServers[live.Name]; rs != nil && live.Role == api.RoleRealServer {
				live.Addresses = rs.Spec.Addresses
			}
			return s.Register(ctx, live, time.Duration(st.Settings.Spec.LeaseTTL))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}
