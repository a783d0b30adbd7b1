package dhcp

import (
	"os"
	"os/exec"
	"testing"
)

func TestRunning(t *testing.T) {
	t.Parallel()
	const name = "ec2net-test-daemon"
	root := os.DirFS("/")
	if Running(root, name) {
		t.Fatal("it runs before it was started")
	}
	cmd := exec.Command("sleep", "60")
	cmd.Args[0] = "/usr/lib/" + name
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	if !Running(root, name) {
		t.Error("it runs, and is not seen")
	}
}
