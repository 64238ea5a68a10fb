// Package controller is the leader's loop: it watches the store's mirror,
// computes a plan for every pool, and writes what changed under the fence of
// its election. Any number of controllers run; one leads. Losing leadership,
// or every controller, changes nothing on any load balancer.
package controller
