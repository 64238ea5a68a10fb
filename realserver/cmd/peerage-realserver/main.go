// Command peerage-realserver makes a machine a real server: VIPs, a BGP speaker
// and its health.
package main

import "github.com/peerage/peerage/api/node"

const program = "peerage-realserver"

func main() { node.Main(program, run) }
