package main

import (
	"testing"
	"time"
)

func TestSample(t *testing.T) {
	tests := []struct {
		name string
		runs series
		want Sample
	}{
		{"not measured", nil, Sample{}},
		{"one", series{7}, Sample{7, 7, 7, 1}},
		{"odd", series{9, 1, 5}, Sample{5, 1, 9, 3}},
		{"even: the mean of the middle two", series{4, 1, 3, 2}, Sample{2.5, 1, 4, 4}},
		{"an outlier moves the maximum only", series{1, 1, 1, 1, 1000}, Sample{1, 1, 1000, 5}},
		{"zeros are runs", series{0, 0}, Sample{0, 0, 0, 2}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := append(series{}, tt.runs...)
			if got := tt.runs.sample(); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			for i := range before {
				if tt.runs[i] != before[i] {
					t.Fatalf("the runs were reordered: %v", tt.runs)
				}
			}
		})
	}
}

func TestSeriesTime(t *testing.T) {
	var s series
	s.time(1500 * time.Microsecond)
	if s[0] != 1.5 {
		t.Errorf("1500 µs are %v ms", s[0])
	}
}

func TestRound(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 0.0012345: "0.00123", 0.6784: "0.678", 1.005: "1", 1.2345: "1.23", 12.34: "12.3", 99.96: "100",
		123.4: "123", 1071.6: "1072", -3.14159: "-3.14", 2: "2",
	} {
		if got := number(v); got != want {
			t.Errorf("%v: got %s, want %s", v, got, want)
		}
	}
}

// What the table shows as equal must not be judged as more.
func TestAtMost(t *testing.T) {
	tests := []struct {
		v, limit float64
		want     bool
	}{{1.5, 1.5, true}, {1.5004, 1.5, true}, {1.51, 1.5, false}, {0, 0, true}, {0.5, 0, false}, {9.99, 10, true}, {10.1, 10, false}}
	for _, tt := range tests {
		if got := atMost(tt.v, tt.limit); got != tt.want {
			t.Errorf("%v ≤ %v: got %v", tt.v, tt.limit, got)
		}
	}
}
