package main

import (
	"cmp"
	"slices"
	"time"
)

// Sample sums up the runs of one measurement, in the unit of its row.
type Sample struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	Runs   int     `json:"runs"` // 0: it was not measured
}

// series are the runs themselves, in the order in which they were made.
type series []float64

func (s *series) add(v float64) { *s = append(*s, v) }

func (s *series) time(d time.Duration) { s.add(float64(d) / float64(time.Millisecond)) }

// sample is the median of s, of an even number of runs the mean of the two in the middle.
func (s series) sample() Sample {
	if len(s) == 0 {
		return Sample{}
	}
	sorted := slices.Sorted(slices.Values(s))
	mid := len(sorted) / 2
	median := sorted[mid]
	if len(sorted)%2 == 0 {
		median = (sorted[mid-1] + sorted[mid]) / 2
	}
	return Sample{Median: median, Min: sorted[0], Max: sorted[len(sorted)-1], Runs: len(sorted)}
}

// atMost says whether v keeps a limit, at the precision that the table shows: 1.501 is 1.50.
func atMost(v, limit float64) bool { return cmp.Compare(round(v), round(limit)) <= 0 }
