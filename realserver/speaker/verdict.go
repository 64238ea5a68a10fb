package speaker

import "github.com/peerage/peerage/realserver/bgp"

// verdict tells why a session under old must end when its router is found
// under now; nil: it goes on. as is the router's, 0 when it is not known yet.
//
// A key counts from the next connection on: the kernel took the old one along
// when it accepted this one. So do hold times; limits and TTL security count
// at once.
func verdict(old, now *neighbor, as uint32) *bgp.Error {
	switch {
	case now == nil:
		return bgp.Errorf(bgp.CodeCease, bgp.SubPeerDeconfigured, nil, "the neighbor is no longer configured")
	case now.problem != nil:
		return nil // it keeps what it had; the next connection is refused
	case as != 0 && !now.allows(as):
		return changed("the AS number is not among those of the neighbor")
	case old.customer != now.customer || old.pool != now.pool:
		return changed("the router belongs to another customer")
	case old.terms != now.terms:
		return changed("the terms of the session changed")
	}
	return nil
}

func changed(why string) *bgp.Error {
	return bgp.Errorf(bgp.CodeCease, bgp.SubConfigurationChange, nil, "%s", why)
}
