package rib

import "unsafe"

// arena holds values by number, in chunks, so that growing never moves or
// doubles what is there. Only the first chunk grows by copying: a table of a
// few prefixes shall cost little.
type arena[T any] struct {
	chunks [][]T
	spare  []T // of the latest block, for the next chunks
	n      uint32
}

const (
	arenaShift = 10
	arenaChunk = 1 << arenaShift
	// blockBytes is how much memory is taken at once by who has as much
	// already. It can have huge pages then.
	blockBytes = 4 << 20
)

func (a *arena[T]) at(i uint32) *T { return &a.chunks[i>>arenaShift][i&(arenaChunk-1)] }

// add makes room for one more and returns its number. Pointers into the first
// chunk are not valid any more.
func (a *arena[T]) add() uint32 {
	i := a.n
	c := int(i >> arenaShift)
	switch {
	case c == len(a.chunks) && c > 0:
		a.chunks = append(a.chunks, cut(&a.spare, c, arenaChunk))
	case c == len(a.chunks):
		a.chunks = append(a.chunks, make([]T, 8))
	case int(i&(arenaChunk-1)) == len(a.chunks[c]):
		grown := make([]T, 2*len(a.chunks[c]))
		copy(grown, a.chunks[c])
		a.chunks[c] = grown
	}
	a.n++
	return i
}

// cut takes a piece of n values off a block, of which spare is what is left,
// for one who has so many pieces already: with few of them, it is made alone.
func cut[T any](spare *[]T, pieces, n int) []T {
	var v T
	fit := blockBytes / (n * int(unsafe.Sizeof(v)))
	if pieces < fit {
		return make([]T, n)
	}
	if len(*spare) == 0 {
		*spare = make([]T, fit*n)
		advise(*spare)
	}
	piece := (*spare)[:n:n]
	*spare = (*spare)[n:]
	return piece
}
