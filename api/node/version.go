package node

// Version is the program's version; the linker sets it (-X).
var Version = "dev"
