package rib

// arena holds values by number, in chunks, so that growing never moves or
// doubles what is there. Only the first chunk grows by copying: a table of a
// few prefixes shall cost little.
type arena[T any] struct {
	chunks [][]T
	n      uint32
}

const (
	arenaShift = 10
	arenaChunk = 1 << arenaShift
)

func (a *arena[T]) at(i uint32) *T { return &a.chunks[i>>arenaShift][i&(arenaChunk-1)] }

// add makes room for one more and returns its number. Pointers into the first
// chunk are not valid any more.
func (a *arena[T]) add() uint32 {
	i := a.n
	c := int(i >> arenaShift)
	switch {
	case c == len(a.chunks) && c > 0:
		a.chunks = append(a.chunks, make([]T, arenaChunk))
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
