// Package netfilter keeps a few rules for the VIPs in chains of its own.
//
//   - PEERAGE-RAW takes the sessions out of connection tracking. IPVS in direct
//     return sees one direction only, which a stateful firewall takes for
//     broken; a firewall on an LB has to accept what is UNTRACKED. The chain is
//     kept only while connection tracking is loaded, for the rule would load it.
//   - PEERAGE-OUT drops resets that the LB's own stack sends from a VIP: should
//     a packet ever slip past IPVS, the customer must not lose the session.
//   - PEERAGE-IN drops what comes to a VIP but is neither for a service nor
//     ICMP: a VIP is a local address of the LB, so every daemon that listens on
//     all addresses would answer on it.
//
// Nothing else of the host's rules is touched. Packets that IPVS forwards have
// the customer as source and pass all three.
package netfilter
