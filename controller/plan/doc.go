// Package plan turns what a site wants and what its nodes see into one plan
// per pool: which real servers, in which order, with which weights, and which
// load balancer announces which VIP. All policy of the project lives here.
//
// It is pure: no clock, no I/O, no logging, and it imports the nouns and the
// standard library alone. Equal inputs give equal plans on every replica,
// whatever the order in which maps and lists were filled.
//
// # The order of destinations
//
// A running load balancer can only add a destination at the head of the
// kernel's list; one that boots adds all of them anew. The scheduler mh fills
// its table in list order, and another order sends about one customer in a
// hundred to another real server. Both hold the same table only when the order
// in the plan is the order in which a running load balancer got them. So the
// order is append-only: the previous plan's is kept, newcomers are appended,
// sorted by name among themselves, and those that left are dropped. A server
// whose address was replaced is a newcomer, since to the kernel it is one. A
// depooled or dead server keeps its place and its nominal weight, because mh
// remembers the last weight that was not 0.
//
// # From measurements to a state
//
// A server is healthy when its own report and the majority of the reporting
// load balancers say so. Both are three-valued: a no from either is a no, a
// silent server is judged by the load balancers alone, and with no load
// balancer reporting nothing is known, which keeps the state as it was. Debounce is
// the business of the probes (fall, rise): here a report is taken at its word.
//
// A newcomer to a running pool is "joining", at weight 0 until it was seen
// healthy. The members of a pool's first plan are taken as serving at once: if
// they came in one by one, the first would catch every customer, and sessions
// of BGP do not move by themselves afterwards.
//
// # Thresholds of rule 7, correlated failure fails open
//
// A load balancer is sick when it reports dead more than half of the servers
// that the majority of the others (and the servers themselves) report alive;
// it stays sick until that is a quarter or less. Its votes do not count. Once
// that has lasted for half a wave, in which the others would have noticed the same
// failure, its VIPs are withdrawn, as long as another load balancer announces them.
//
// The members that are unhealthy at the same time may be at most maxShrink
// (rounded down) of those that have joined, and at least one must be left. Beyond that
// the failure is taken to be one of measuring: the servers that would have to go,
// and those that went within the same wave (see wave), are kept in service as
// "suspect", and the plan says so in Held. This bounds what health can do in
// total, not per step, because a mass death arrives one report at a time.
//
// # What is held back
//
// A change of configuration that removes more than maxShrink of the members,
// all VIPs, all load balancers, or whatever serves, or that names an object
// which is not there, is held: the plan keeps the members, VIPs and
// announcements that it had, and Held says why. Health and intents go on to be
// applied to what is kept, so that a poisoned configuration takes away nobody's
// ability to depool. An operator's explicit intent passes every guard here,
// because it was checked when it was given (see Preview); only a plan without
// any weight needs a mark that accepts api.RiskEmptyPool.
package plan
