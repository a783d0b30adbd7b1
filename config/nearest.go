package config

import "strings"

// nearest returns the known word that a misspelt one was most likely meant to be, or "" if it is
// too far from all of them: more than a third of its letters would have to change.
func nearest(word string, known []string) string {
	best, least := "", 1+max(1, min(len(word), 30)/3)
	folded := strings.ReplaceAll(strings.ToLower(word), "-", "_")
	for _, k := range known {
		if d := distance(folded, k, least); d < least {
			best, least = k, d
		}
	}
	return best
}

// distance counts the letters to insert, drop, replace or swap with their neighbour to get from a to
// b (the restricted Damerau-Levenshtein distance). What lies at or beyond the limit is the limit.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	var before []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, row = row, nextRow(a, b, i, before, row)
	}
	return min(row[len(b)], limit)
}

// nextRow computes the distances from a[:i] to every b[:j], out of those of the two rows above.
func nextRow(a, b string, i int, before, above []int) []int {
	row := make([]int, len(b)+1)
	row[0] = i
	for j := 1; j <= len(b); j++ {
		row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+differ(a[i-1], b[j-1]))
		if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
			row[j] = min(row[j], before[j-2]+1)
		}
	}
	return row
}

func differ(a, b byte) int {
	if a == b {
		return 0
	}
	return 1
}
