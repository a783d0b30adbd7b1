package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// compare says what a run of releases that are not on the page shows beside the newest one that is.
func compare(known, seen results) string {
	last := columns[len(columns)-1].suite
	var out []string
	for _, suite := range slices.Sorted(maps.Keys(seen)) {
		for _, name := range slices.Sorted(maps.Keys(seen[suite])) {
			now := seen[suite][name]
			before, ran := known[last][name]
			for _, change := range changes(before, now, ran) {
				out = append(out, fmt.Sprintf("%s on %s: %s", name, suite, change))
			}
		}
	}
	if len(out) == 0 {
		return "Nothing is otherwise than on " + last + "."
	}
	return "Otherwise than on " + last + ":\n  " + strings.Join(out, "\n  ")
}

// changes are what one test says otherwise than before.
func changes(before, now result, ran bool) (list []string) {
	switch {
	case !ran:
		list = append(list, words()[now.Outcome]+"; it has not been run there")
	case before.Outcome != now.Outcome:
		list = append(list, fmt.Sprintf("%s; there it %s", words()[now.Outcome], words()[before.Outcome]))
	}
	for _, key := range slices.Sorted(maps.Keys(now.Said)) {
		a, b := before.Said[key], now.Said[key]
		if ran && a != b && !alike(a, b) {
			list = append(list, fmt.Sprintf("%s %s, was %s", key, b, a))
		}
	}
	return list
}

// alike are two durations that differ by no more than a busy machine makes of one.
func alike(a, b string) bool {
	x, errX := time.ParseDuration(a)
	y, errY := time.ParseDuration(b)
	if errX != nil || errY != nil {
		return false
	}
	return max(x, y) < 3*min(x, y)+time.Second
}
