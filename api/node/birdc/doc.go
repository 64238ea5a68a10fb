// Package birdc speaks to BIRD over its control socket, as birdc(8) does: it
// asks for status and reads answers into types, and asks BIRD to read its
// configuration again. It was written against BIRD 2.0.12 and passes over what
// it does not know, so that newer versions work as far as they agree.
//
// Everything read is bounded in size and in time. BIRD serves its clients from
// the same loop as its sessions: one that asks for much and reads slowly costs
// nothing but memory there, and one that asks often costs keepalives.
package birdc
