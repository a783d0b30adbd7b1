package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestParseStatus(t *testing.T) {
	p, err := parseStatus("Name:\tec2net\nVmHWM:\t   13312 kB\nVmRSS:\t   12800 kB\nThreads:\t8\n")
	if err != nil || p.peak != 13 || p.rss != 12.5 || p.threads != 8 {
		t.Errorf("got %+v, %v", p, err)
	}
	for text, want := range map[string]string{
		"VmHWM:\t1 kB\nThreads:\t8\n":               "no VmRSS", // a kernel thread, or a process that has ended
		"VmHWM:\t1 kB\nVmRSS:\tx kB\nThreads:\t8\n": "VmRSS",
		"": "no ",
	} {
		if _, err := parseStatus(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error with %q", text, err, want)
		}
	}
}

func TestParseForked(t *testing.T) {
	const head = "12 (a) b (c) S 1 12 12 0 -1 4194304 500 "
	for stat, want := range map[string]bool{head + "0 3 0": false, head + "77 3 0": true} {
		if got, err := parseForked(strings.ReplaceAll(stat, "a) b (c", "ec2net")); got != want || err != nil {
			t.Errorf("%q: got %v, %v", stat, got, err)
		}
	}
	for _, stat := range []string{"", "12 (ec2net) S 1", "12 (ec2net) S 1 12 12 0 -1 4194304 500 x"} {
		if _, err := parseForked(stat); err == nil {
			t.Errorf("%q is taken", stat)
		}
	}
}

// The kernel's own files, of a process whose life is known.
func TestInspect(t *testing.T) {
	cmd := exec.Command("sh", "-c", "true | true; echo; read x")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil { // its children have ended
		t.Fatal(err)
	}
	p, err := inspect(cmd.Process.Pid)
	if err != nil || !p.forked || p.children != 0 || p.threads != 1 || p.rss <= 0 || p.peak < p.rss || p.files < 3 {
		t.Errorf("a shell that has had children: %+v, %v", p, err)
	}
	cpu, err := settledCPU(cmd.Process.Pid)
	if err != nil || cpu <= 0 {
		t.Errorf("its CPU time: %v, %v", cpu, err)
	}
	own, err := inspect(os.Getpid())
	if err != nil || own.children == 0 {
		t.Errorf("this process, which has a child: %+v, %v", own, err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // `read` fails at the end of its input
	if _, err := inspect(cmd.Process.Pid); err == nil {
		t.Error("a process that has ended can be inspected")
	}
	if _, err := cpuOf(cmd.Process.Pid); err == nil {
		t.Error("a process that has ended has CPU time")
	}
}
