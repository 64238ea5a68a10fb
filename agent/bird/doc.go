// Package bird makes a running BIRD 2 announce VIPs to the fabric. It owns one
// include file and talks to the control socket; it never starts, restarts or
// stops BIRD.
package bird
