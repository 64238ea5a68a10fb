// Command peerage-controller serves the HTTP API of a site and, while it is
// the elected leader, plans it. Any number of them run side by side.
package main

import "github.com/peerage/peerage/api/node"

const program = "peerage-controller"

func main() { node.Main(program, run) }
