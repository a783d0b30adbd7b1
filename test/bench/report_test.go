package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestVerdict(t *testing.T) {
	tests := []struct {
		name  string
		row   Row
		want  Verdict
		ratio float64
	}{
		{"no aim", row("x", "ms", series{3}), "", 0},
		{"within", row("x", "ms", series{9, 10, 30}).most(10), Within, 0},
		{"over", row("x", "ms", series{9, 11, 30}).most(10), Over, 0},
		{"none wanted", row("x", "", series{0, 0}).most(0), Within, 0},
		{"one too many", row("x", "", series{1}).most(0), Over, 0},
		{"ratio within", row("x", "ms", series{3}).beside(series{2}).mostTimes(1.5), Within, 1.5},
		{"ratio over", row("x", "ms", series{4}).beside(series{2}).mostTimes(1.5), Over, 2},
		{"a floor of nothing has no ratio", row("x", "ms", series{4}).beside(series{0}).mostTimes(1.5), Over, 0},
		{"what was not measured is not within", row("x", "ms", nil).most(10), Over, 0},
		{"an aim in the unit looks past the floor", row("x", "ms", series{4}).beside(series{1}).most(10), Within, 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.row.Verdict != tt.want || tt.row.Ratio != tt.ratio {
				t.Errorf("got %q at a ratio of %v, want %q at %v", tt.row.Verdict, tt.row.Ratio, tt.want, tt.ratio)
			}
		})
	}
}

func example() Report {
	return Report{
		Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Kernel: "6.18", CPUs: 2, Version: "1.0",
		Parts: []Part{
			{Title: "an interface is plugged in", Floor: "by hand", Rows: []Row{
				row("ping → answer", "ms", series{11.04, 12.5, 23.2}).beside(series{10}).most(10),
				row("requests", "", series{7, 7}).most(8),
			}},
			{Title: "size", Rows: []Row{
				row("file", "MiB", series{8.16}).most(12),
				row("applied", "ms", series{30, 42}).beside(series{33.6, 33.6}).mostTimes(1.5),
				row("never", "ms", nil),
			}},
		},
	}
}

func TestTable(t *testing.T) {
	var b bytes.Buffer
	if err := example().table(&b); err != nil {
		t.Fatal(err)
	}
	want := `ec2net 1.0, Linux 6.18, 2 CPUs; median (least–most) of the runs

                 ec2net             floor    ratio   aim
an interface is plugged in
  ping → answer  12.5 ms (11–23.2)  10 ms    1.25 ×  ≤ 10 ms   over
  requests       7                                   ≤ 8       within
  floor: by hand

size
  file           8.16 MiB                            ≤ 12 MiB  within
  applied        36 ms (30–42)      33.6 ms  1.07 ×  ≤ 1.5 ×   within
  never          –
`
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	aligned(t, b.String())
}

// aligned wants the aims of all rows to begin at the same place.
func aligned(t *testing.T, text string) {
	t.Helper()
	at := map[int]bool{}
	for line := range strings.Lines(text) {
		if before, _, ok := strings.Cut(line, "≤"); ok {
			at[len([]rune(before))] = true
		}
		if strings.TrimRight(line, " \n") != strings.TrimRight(line, "\n") {
			t.Errorf("a line ends in blanks: %q", line)
		}
	}
	if len(at) != 1 {
		t.Errorf("the aims stand in columns %v:\n%s", at, text)
	}
}

func TestWrite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "dist", "bench.json")
	want := example()
	for range 2 { // an old report is replaced
		if err := want.write(file); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got Report
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-written +read):\n%s", d)
	}
	// The names that scripts rely on.
	for _, key := range []string{`"parts"`, `"rows"`, `"ec2net"`, `"floor"`, `"median"`, `"ratio": 1.25`, `"verdict": "over"`, `"most": 10`} {
		if !strings.Contains(string(text), key) {
			t.Errorf("no %s in:\n%s", key, text)
		}
	}
	if err := want.write(filepath.Join(file, "below")); err == nil || !strings.Contains(err.Error(), "folder") {
		t.Errorf("a file for a folder: %v", err)
	}
}
