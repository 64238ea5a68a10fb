// Package bench brings up and holds BGP sessions against one passive BIRD on
// loopback with peerage-swarm and with the emulators that people use besides,
// GoBGP and ExaBGP, one after the other, and compares what each needs.
package bench
