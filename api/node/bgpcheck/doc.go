// Package bgpcheck tells whether a BGP speaker answers: it connects as a
// customer's router would, waits for the speaker's OPEN, and takes its leave
// with a NOTIFICATION, so that the speaker sees a clean end.
package bgpcheck
