// Package ipvs makes the kernel's IPVS table equal to what plans ask for.
//
// It is level triggered. Set takes the whole desired state, reads the kernel,
// computes the difference with a pure function and applies only that. It is
// safe to be killed between any two steps: the next Set finishes the work.
//
// Only services of our own are touched: those that Set was asked for, now or,
// by the record on disk, before. Everything else in the kernel is invisible.
package ipvs
