package api

import (
	"strings"
)

// Nearest is the known word that a misspelt one most likely means, or empty.
func Nearest(word string, known []string) string {
	best, distance := "", len(word)/4+2
	for _, k := range known {
		if strings.EqualFold(k, word) {
			return k
		}
		if d := edits(strings.ToLower(word), strings.ToLower(k), distance); d < distance && d < len(k) {
			best, distance = k, d
		}
	}
	return best
}

// edits is the Levenshtein distance of two words, or limit when it is not
// below; words of very different length are not compared.
func edits(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return min(row[len(b)], limit)
}

func texts[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = string(s)
	}
	return out
}

func join[T ~string](list []T) string { return strings.Join(texts(list), ", ") }
