package node

import (
	"os"
	"runtime/debug"
)

// gcPercent is how far a small heap grows before it is collected.
const gcPercent = 300

// CollectLater lets the heap grow to four times of what is in use before it is
// collected, unless GOGC says otherwise. It is for daemons whose heap is some
// MB and that rest most of the time: with Go's default they would collect right
// in the middle of every change.
func CollectLater() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}
