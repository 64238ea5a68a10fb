// Package speaker holds a real server's BGP sessions. It is passive: it listens
// on the VIPs, answers the routers whose prefixes it was told, and never
// connects.
//
// A session is one goroutine that runs the state machine of RFC 4271 section 8
// as far as a passive side has one: a state is a method that returns the next.
// It waits in the runtime's poller and holds no buffer while it does. What a
// session sends is written by whoever has it at hand (the session, the timer
// wheel) as long as the socket takes it, and by a goroutine that lives while
// the socket does not. One wheel has the timers of all sessions. So a session
// that says nothing costs its stack of 2 KiB, what Go keeps of a goroutine and
// of a connection, and what is known of the router: some 6 KiB in all.
//
// The configuration comes as a whole and is diffed: sessions whose own settings
// did not change are not touched.
package speaker
