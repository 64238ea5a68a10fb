// Package native hosts a real server's BGP sessions in peerage-speaker. It
// starts that process when there is none, hands the whole configuration over
// its socket, and never stops, kills or restarts it: the process belongs to
// nobody, and its sessions outlive the agent.
package native
