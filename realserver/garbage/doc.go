// Package garbage decides how much memory a speaker leaves to garbage before
// Go's collector runs.
//
// The one idea: a collection costs what there is with pointers, which is the
// sessions; millions of routes have none. While much is going on, the garbage
// may therefore take memory in proportion to the sessions, so that collections
// are as many fewer as each is dearer; when it is quiet again the memory is
// given back.
package garbage
