package lab

import (
	"cmp"
	"math"
	"slices"
)

// Quantile is the value that a share p of a sample does not exceed, by the
// nearest rank: one that was measured. Of an empty sample it is the zero value.
func Quantile[T cmp.Ordered](sample []T, p float64) T {
	if len(sample) == 0 {
		var zero T
		return zero
	}
	sorted := slices.Sorted(slices.Values(sample))
	return sorted[max(0, int(math.Ceil(p*float64(len(sorted))))-1)]
}
