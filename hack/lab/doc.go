// Package lab builds a small site out of network namespaces on one kernel: a
// fabric router, load balancers, real servers, customers' routers, controllers
// and a store, each a node of its own, all of them running the real programs.
//
// What a site looks like follows from a Topology alone: names, addresses,
// configuration files and command lines are pure functions of it. The state of
// a running lab is on disk (namespaces under /run/netns, process ids and
// sockets under /run/peerage), so that any process can take part: the scenario
// engine, the demo, and the commands typed in a shell inside the lab.
package lab
