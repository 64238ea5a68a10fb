// Command peerage-speaker holds a real server's BGP sessions.
package main

import "github.com/peerage/peerage/api/node"

const program = "peerage-speaker"

func main() { node.Main(program, run) }
