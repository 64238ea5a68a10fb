// Package control is what a speaker and those who host it say to each other,
// over a Unix socket that carries HTTP with JSON. The whole desired state goes
// in with one request; what the speaker knows comes out.
package control
