package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ec2net/test/lab"
)

// programEnv names the ec2net that the tests measure. It is built before the sandbox, which has no network
// for modules that are not there yet.
const programEnv = "EC2NET_BENCH_PROGRAM"

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if os.Getenv(programEnv) != "" {
		return lab.Main(m)
	}
	dir, err := os.MkdirTemp("", "ec2net-bench-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "ec2net")
	build := exec.Command("go", "build", "-o", program, "ec2net/cmd/ec2net")
	build.Stdout, build.Stderr = os.Stdout, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build ec2net:", err)
		return 1
	}
	if err := os.Setenv(programEnv, program); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return lab.Main(m)
}

func TestParse(t *testing.T) {
	program := os.Getenv(programEnv)
	folder := t.TempDir()
	tests := []struct {
		args []string
		want string // part of the complaint; empty: none
	}{
		{[]string{"-bin", program}, ""},
		{[]string{"-bin", program, "-json", "", "-runs", "1"}, ""},
		{[]string{"-bin", folder + "/none"}, "make build"},
		{[]string{"-bin", folder}, "no such program"},
		{[]string{"-bin", program, "-runs", "0"}, "at least 1"},
		{[]string{"-bin", program, "-runs", "many"}, "invalid value"},
		{[]string{"-bin", program, "-json", "/run/bench.json"}, "outside of /run"},
		{[]string{"-bin", program, "apply"}, "flags only"},
		{[]string{"-fast"}, "not defined"},
	}
	for _, tt := range tests {
		var out bytes.Buffer
		o, err := parse(tt.args, &out)
		if tt.want == "" {
			if err != nil || out.Len() > 0 || !filepath.IsAbs(o.bin) || (o.json != "" && !filepath.IsAbs(o.json)) {
				t.Errorf("%q: %+v, %v, said %q", tt.args, o, err, &out)
			}
			continue
		}
		if err == nil || !strings.Contains(out.String(), tt.want) {
			t.Errorf("%q: %v, said %q, want %q", tt.args, err, &out, tt.want)
		}
	}
}

// The whole bench, once. No time is judged here: only that everything was measured, and what is no time.
func TestBench(t *testing.T) {
	o := options{bin: os.Getenv(programEnv), json: filepath.Join(t.TempDir(), "bench.json"), runs: 1}
	var table bytes.Buffer
	if err := o.measure(t.Context(), &table, io.Discard); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(o.json)
	if err != nil {
		t.Fatal(err)
	}
	var r Report
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Parts) != 6 || r.Kernel == "" || r.CPUs < 1 || r.Version == "" || r.Time.IsZero() {
		t.Errorf("the report's head: %+v", r)
	}
	counted := 0
	for _, p := range r.Parts {
		for _, row := range p.Rows {
			counted += measured(t, p.Title, row, table.String())
		}
	}
	if counted != 7 {
		t.Errorf("%d counts have an aim, want 7:\n%s", counted, &table)
	}
	if t.Failed() {
		t.Logf("\n%s", &table)
	}
}

// measured checks one row. It returns 1 for a count with an aim: counts hold on every machine.
func measured(t *testing.T, part string, row Row, table string) int {
	t.Helper()
	if row.EC2net.Runs == 0 || (row.Unit != "" && row.EC2net.Min <= 0) {
		t.Errorf("%s: %s was not measured: %+v", part, row.What, row.EC2net)
	}
	if row.Floor != nil && (row.Floor.Runs == 0 || row.Floor.Min <= 0 || row.Ratio <= 0) {
		t.Errorf("%s: the floor of %s was not measured: %+v", part, row.What, row.Floor)
	}
	if !strings.Contains(table, "  "+row.What+"  ") {
		t.Errorf("%s: %s is not in the table", part, row.What)
	}
	if row.Unit != "" || row.Aim == nil {
		return 0
	}
	if row.Verdict != Within {
		t.Errorf("%s: %s: %v, wanted at most %v", part, row.What, row.EC2net, row.Aim.Most)
	}
	return 1
}

// A program that does not do its work is an error, not a fast one.
func TestBenchFails(t *testing.T) {
	for name, script := range map[string]string{
		"does nothing":   "#!/bin/sh\necho version 1\n",
		"fails":          "#!/bin/sh\n[ \"$1\" = --version ] && { echo version 1; exit; }\necho broken >&2; exit 1\n",
		"has no version": "#!/bin/sh\nexit 0\n",
	} {
		t.Run(name, func(t *testing.T) {
			program := filepath.Join(t.TempDir(), "ec2net")
			if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
			var table bytes.Buffer
			err := options{bin: program, runs: 1}.measure(t.Context(), &table, io.Discard)
			if err == nil || table.Len() > 0 {
				t.Errorf("%v, and a table of %d bytes", err, table.Len())
			}
		})
	}
}

// The counter of kernel writes sees each of them, and nothing when nothing is written.
func TestWrites(t *testing.T) {
	b, err := options{}.newBed(lab.Eth0())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.close(); err != nil {
			t.Error(err)
		}
	}()
	w, err := watchWrites(b.Instance())
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	if err := w.reset(); err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		batch string
		want  int
	}{
		{"rule show\nroute show\n", 0},
		{"rule add from 192.0.2.1 lookup 100 pref 100\nrule add from 192.0.2.2 lookup 100 pref 100\n", 2},
		{"route add blackhole 192.0.2.0/24 table 100\n", 1},
		{"route replace blackhole 192.0.2.0/24 table 100\n", 0}, // it had no effect
		{"addr add 192.0.2.1/32 dev lo\n", 2},                   // the address, and its route in table local
		{"link set dev lo mtu 9000\n", 1},
		{"", 0},
	}
	for _, s := range steps {
		if s.batch != "" {
			if _, err := b.batch(t.Context(), s.batch); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := w.count(); got != s.want || err != nil {
			t.Errorf("%q: %d writes, %v, want %d", s.batch, got, err, s.want)
		}
	}
}
