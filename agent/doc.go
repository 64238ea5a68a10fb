// Package agent makes one load balancer equal to the controller's plans: the
// kernel's IPVS table, the addresses, the connection sync, the packet filter,
// and the routes that BIRD announces.
//
// One goroutine owns the host. It compares the whole desired state with what
// it finds and repairs the difference, in an order that is a safety property:
// a VIP is withdrawn before anything under it is taken down, and announced
// after everything under it is up and was read back. Weights alone, which break
// no order, reach the kernel at once and past that goroutine. Stopping the agent
// changes nothing on the host.
package agent
