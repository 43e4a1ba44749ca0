package conf

import (
	"slices"
	"strings"
)

// didYouMean gives " (did you mean …?)" with the known full key, or the name of the same level, that is nearest to
// name, or, when none is near, the names of the level when they are few, or nothing.
func didYouMean(name string, known, level []string) string {
	best, least := "", 2+len(name)/5
	try := func(k string) {
		if d := distance(name, k, least); d < least && k != name {
			best, least = k, d
		}
	}
	for _, k := range known {
		try(strings.TrimSuffix(k, ".*"))
	}
	for _, k := range level {
		try(join(parent(name), k))
	}
	if best != "" {
		return " (did you mean " + best + "?)"
	}
	if len(level) == 0 || len(level) > 12 {
		return ""
	}
	return " (known here: " + strings.Join(slices.Sorted(slices.Values(level)), ", ") + ")"
}

// distance is the number of edits (insert, delete, replace, swap of neighbours) between a and b, or most when it
// is not smaller than that.
func distance(a, b string, most int) int {
	if len(a)-len(b) >= most || len(b)-len(a) >= most {
		return most
	}
	prev2, prev, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], prev2[j-2]+1)
			}
		}
		prev2, prev, row = prev, row, prev2
	}
	return min(prev[len(b)], most)
}
