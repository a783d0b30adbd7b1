package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// process is what /proc tells of a running process.
type process struct {
	rss, peak float64 // MiB
	threads   int
	files     int
	children  int  // that run now
	forked    bool // a child of its has run and ended
}

func inspect(pid int) (process, error) {
	p, err := readStatus(filepath.Join("/proc", strconv.Itoa(pid)))
	if err != nil {
		return p, fmt.Errorf("look at process %d: %w", pid, err)
	}
	return p, nil
}

func readStatus(dir string) (p process, err error) {
	text, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return p, err
	}
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return p, err
	}
	if p, err = parseStatus(string(text)); err != nil {
		return p, err
	}
	if p.forked, err = parseForked(string(stat)); err != nil {
		return p, err
	}
	files, err := os.ReadDir(filepath.Join(dir, "fd"))
	p.files = len(files)
	lists, _ := filepath.Glob(filepath.Join(dir, "task/*/children"))
	for _, l := range lists {
		ids, _ := os.ReadFile(l) // a thread may have ended
		p.children += len(strings.Fields(string(ids)))
	}
	return p, err
}

// parseStatus reads /proc/PID/status, whose "kB" are KiB (proc(5)).
func parseStatus(text string) (p process, err error) {
	need := map[string]func(int){
		"VmRSS":   func(v int) { p.rss = float64(v) / 1024 },
		"VmHWM":   func(v int) { p.peak = float64(v) / 1024 },
		"Threads": func(v int) { p.threads = v },
	}
	for line := range strings.Lines(text) {
		key, rest, _ := strings.Cut(line, ":")
		set, words := need[key], strings.Fields(rest)
		if set == nil || len(words) == 0 {
			continue
		}
		v, err := strconv.Atoi(words[0])
		if err != nil {
			return p, fmt.Errorf("status line %q: %w", strings.TrimSpace(line), err)
		}
		set(v)
		delete(need, key)
	}
	for key := range need {
		return p, fmt.Errorf("its status has no %s", key)
	}
	return p, nil
}

// parseForked looks in /proc/PID/stat at the page faults of children that were waited for (cminflt, field
// 11; proc(5)): no process lives without one.
func parseForked(stat string) (bool, error) {
	_, rest, ok := strings.Cut(stat, ") ") // the name may hold anything else
	fields := strings.Fields(rest)
	if !ok || len(fields) < 9 {
		return false, fmt.Errorf("stat line %.60q is too short", stat)
	}
	faults, err := strconv.ParseUint(fields[11-3], 10, 64)
	if err != nil {
		return false, fmt.Errorf("page faults of children: %w", err)
	}
	return faults > 0, nil
}

// cpuOf is the CPU time of all threads of a process, to the nanosecond (Documentation/scheduler/sched-stats).
func cpuOf(pid int) (total time.Duration, err error) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if len(files) == 0 {
		return 0, fmt.Errorf("process %d has no threads", pid)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue // the thread has just ended
		}
		words := strings.Fields(string(text))
		if len(words) == 0 {
			return 0, fmt.Errorf("%s is empty", f)
		}
		ns, err := strconv.ParseInt(words[0], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", f, err)
		}
		total += time.Duration(ns)
	}
	return total, nil
}

// settledCPU is cpuOf once the process has come to rest: there is no event for that.
func settledCPU(pid int) (time.Duration, error) {
	last := time.Duration(-1)
	for range 500 {
		now, err := cpuOf(pid)
		if err != nil || now == last {
			return now, err
		}
		last = now
		time.Sleep(4 * time.Millisecond)
	}
	return 0, fmt.Errorf("process %d does not come to rest", pid)
}
