package node

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Version is the program's version; the linker sets it (-X).
var Version = "dev"

// VersionLine says what runs: the program, its version, the commit that it
// was built from when that is known, and the compiler.
func VersionLine(program string) string {
	commit := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		commit = commitOf(info.Settings)
	}
	return fmt.Sprintf("%s %s%s %s %s/%s", program, Version, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

func commitOf(settings []debug.BuildSetting) string {
	var revision, dirty string
	for _, s := range settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = ", modified"
		}
	}
	if revision == "" {
		return ""
	}
	return " (" + revision + dirty + ")"
}
