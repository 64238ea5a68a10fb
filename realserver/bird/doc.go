// Package bird hosts a real server's BGP sessions in BIRD 2. It owns the whole
// configuration of one BIRD process and talks to its control socket. It starts
// that process when there is none and never stops, kills or restarts it: the
// process belongs to nobody, and its sessions outlive the agent.
//
// Every customer's prefix becomes a passive protocol at every VIP: a plain one
// for a single router, a dynamic one ("neighbor range") for a longer list. What
// follows from BIRD's code, measured with 2.0.12 and the same in 3.3:
//
//   - Of the dynamic protocols that match a source, the last in the order of
//     the configuration wins, and a reconfiguration inserts new ones where they
//     stand in the file. So they are written by the length of their prefix:
//     the longest decides.
//   - A dynamic protocol spawns a protocol for each router, which stays when
//     the session ends, and takes the router's next session whatever the
//     configuration says by then. Those that a better prefix waits for are
//     disabled while they are idle; the next reconfiguration then drops them.
//   - A spawned protocol that is dropped takes the TCP-MD5 key of its whole
//     prefix off the listening socket: signed sessions are refused from then
//     on, and unsigned ones accepted. The protocol that it came from is then
//     restarted, which touches no session and sets the key again.
//   - Two protocols with the same address and port of the neighbour wait for
//     each other, even at different VIPs. Nothing ever connects to that port,
//     so each gets one of its own.
package bird
