// Package process runs the programs that benchmarks measure: each in a process
// group of its own, ended with the benchmark, and weighed by what /proc says of
// it and of all that it started.
package process
