// Command peerage-agent makes a load balancer equal to the controller's plans.
package main

import "github.com/peerage/peerage/api/node"

const program = "peerage-agent"

func main() { node.Main(program, run) }
