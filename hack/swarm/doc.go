// Package swarm plays thousands of customers' routers from one process. Each
// has a source address, an AS number and a BGP session of its own to the
// target, reconnects the way routers do, and records what happened to it:
// every change of state with its cause, every outage, the longest silence,
// and which real server it talked to.
//
// A session is one goroutine. While it is idle it owns no buffer: bytes are
// read into a shared pool when the kernel says that there are some. Routes are
// encoded once and shared; a second goroutine exists only while a session has
// something to send.
package swarm
