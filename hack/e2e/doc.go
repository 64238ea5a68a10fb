// Package e2e runs scenarios: text files that say what is done to a site of
// the lab and what must then be true of it, in its kernels, its BIRDs and its
// sessions.
//
// A scenario is a txtar archive. Its comment is a script, one step a line; its
// files are what steps refer to, such as golden tables. docs/lab.md lists the
// steps.
package e2e
