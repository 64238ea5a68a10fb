// Package ctl is peeragectl: the operators' commands over the HTTP API. It is
// a package of its own so that tests run it in process.
//
// A command prints its result to standard output, in the format of -o, and
// everything else to standard error. Its exit code is one of api.ExitCodes.
package ctl
