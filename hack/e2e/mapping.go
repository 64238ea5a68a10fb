package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Mapping says which real server holds each customer's session.
type Mapping map[string]string

// On lists the customers on a server.
func (m Mapping) On(server string) []string {
	var customers []string
	for _, c := range slices.Sorted(maps.Keys(m)) {
		if m[c] == server {
			customers = append(customers, c)
		}
	}
	return customers
}

// Moved lists the customers that are elsewhere than before, "c-001 rs-1 to
// rs-2", leaving out those that were on one of the excepted servers.
func (m Mapping) Moved(before Mapping, except ...string) []string {
	var moves []string
	for _, c := range slices.Sorted(maps.Keys(before)) {
		if from, to := before[c], m[c]; from != to && !slices.Contains(except, from) {
			if to == "" {
				to = "nowhere"
			}
			moves = append(moves, fmt.Sprintf("%s %s to %s", c, from, to))
		}
	}
	return moves
}

// String counts the customers of each server.
func (m Mapping) String() string {
	count := make(map[string]int)
	for _, server := range m {
		count[server]++
	}
	var b strings.Builder
	for _, server := range slices.Sorted(maps.Keys(count)) {
		fmt.Fprintf(&b, "%s:%d ", server, count[server])
	}
	return strings.TrimSpace(b.String())
}
