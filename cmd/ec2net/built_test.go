package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"testing"
)

// plain is the program without the race detector, where this test binary has it; else empty. What runs once and
// ends, thousands of times, is this one: the detector makes a start four times as expensive. What lives long and what
// has several interfaces at once, `run` and `scan`, is looked at for races, but where a table of tests has it do the
// same over and over: see quick.
var plain string

// quick is the program that is started cheaply.
func quick() string { return cmp.Or(plain, "ec2net") }

// built runs tests with the plain program built. The flags are those of `make build`, so that most of it is there.
type built struct{ *testing.M }

func (b built) Run() int {
	info, _ := debug.ReadBuildInfo()
	if info == nil || !slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		return b.M.Run()
	}
	dir, err := os.MkdirTemp("", "ec2net-plain")
	defer os.RemoveAll(dir)
	if err == nil {
		plain = filepath.Join(dir, "ec2net")
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", plain, ".")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		var out []byte
		out, err = cmd.CombinedOutput()
		err = errors.Join(err, os.Chmod(dir, 0o755))
		if err != nil {
			err = fmt.Errorf("build: %w\n%s", err, out)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return b.M.Run()
}

// executable is what a test runs by the name of a program.
func executable(name string, args []string) string {
	if name != "ec2net" || plain == "" || slices.Contains(args, "run") || slices.Contains(args, "scan") {
		return name
	}
	return plain
}
