// Package probe measures, from one load balancer, whether each real server of
// each pool answers. It reports what it sees; what that means is decided by the
// controller.
package probe
