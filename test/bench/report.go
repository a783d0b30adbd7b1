package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// Report is one run of the bench.
type Report struct {
	Time    time.Time `json:"time"`
	Kernel  string    `json:"kernel"`
	CPUs    int       `json:"cpus"`
	Version string    `json:"version"` // of ec2net
	Parts   []Part    `json:"parts"`
}

// Part is a group of rows that were measured together.
type Part struct {
	Title string `json:"title"`
	Floor string `json:"floor,omitempty"` // what the floor of its rows is
	Rows  []Row  `json:"rows"`
}

// Row is one figure, beside what the same work costs without ec2net, and what it is meant to be.
type Row struct {
	What    string  `json:"what"`
	Unit    string  `json:"unit,omitempty"` // none for a number of things
	EC2net  Sample  `json:"ec2net"`
	Floor   *Sample `json:"floor,omitempty"`
	Ratio   float64 `json:"ratio,omitempty"` // of the medians
	Aim     *Aim    `json:"aim,omitempty"`
	Verdict Verdict `json:"verdict,omitempty"`
}

// Aim is the most that a row's median, or its ratio, is meant to be.
type Aim struct {
	Most  float64 `json:"most"`
	Ratio bool    `json:"ratio"` // Most is a multiple of the floor, not in the row's unit
}

// Verdict says whether a row's aim is met.
type Verdict string

// The verdicts.
const (
	Within Verdict = "within"
	Over   Verdict = "over"
)

func row(what, unit string, runs series) Row {
	return Row{What: what, Unit: unit, EC2net: runs.sample()}
}

// beside puts the floor to a row. Of a floor of 0 there is no ratio.
func (r Row) beside(runs series) Row {
	floor := runs.sample()
	r.Floor = &floor
	if floor.Median > 0 {
		r.Ratio = r.EC2net.Median / floor.Median
	}
	return r
}

// most sets the aim in the row's unit.
func (r Row) most(limit float64) Row { return r.judge(Aim{Most: limit}, r.EC2net.Median) }

// mostTimes sets the aim as a multiple of the floor.
func (r Row) mostTimes(limit float64) Row { return r.judge(Aim{limit, true}, r.Ratio) }

func (r Row) judge(a Aim, v float64) Row {
	measured := r.EC2net.Runs > 0 && !(a.Ratio && r.Ratio == 0)
	r.Aim, r.Verdict = &a, Over
	if measured && atMost(v, a.Most) {
		r.Verdict = Within
	}
	return r
}

// round keeps three digits, which is more than these measurements are good for.
func round(v float64) float64 {
	if v == 0 {
		return 0
	}
	scale := math.Pow(10, 2-math.Floor(math.Log10(math.Abs(v))))
	if scale < 1 {
		scale = 1 // whole numbers stay as they are
	}
	return math.Round(v*scale) / scale
}

func number(v float64) string { return strconv.FormatFloat(round(v), 'f', -1, 64) }

// write puts the report into a file, and makes the folder that it lies in.
func (r Report) write(file string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the report: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("make the folder of the report: %w", err)
	}
	if err := os.WriteFile(file, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}
