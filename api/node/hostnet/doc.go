// Package hostnet owns what a node changes in its host's network settings: the
// local addresses on a dummy device of its own, and kernel parameters.
//
// Everything is level triggered: the caller hands over the whole desired
// state, the package compares it with what the kernel says and repairs the
// difference only. What it finds already right it adopts; what it did not make
// it never touches. Nothing is undone when the process ends: sessions of
// customers depend on it. Remove and Restore are the explicit ways out.
package hostnet
