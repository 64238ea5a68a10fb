//go:build !linux

package rib

// advise does nothing where there is no way to ask for huge pages.
func advise[T any]([]T) {}
