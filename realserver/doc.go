// Package realserver makes a machine a real server: it puts the VIPs of the
// server's plans on a device of their own without answering for them on the
// wire, has a BGP speaker accept sessions on them, and reports how the speaker
// does.
//
// The order is a safety property. Coming up: kernel parameters (so that no VIP
// is ever answered for), addresses (a speaker cannot listen on an address that
// is not there), speaker. The load balancers send nothing before the speaker's
// health was seen. Going down: speaker, addresses; and only when a plan that is
// believed no longer names the server.
//
// The agent of a real server is nobody's parent: it stops and starts without a
// session noticing.
package realserver
