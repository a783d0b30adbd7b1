package main

import (
	"context"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"ec2net/test/lab"
)

// TestMain moves the tests into namespaces of their own, and makes this binary answer to the
// program's names, so that the tests run the real command line in processes of its own.
func TestMain(m *testing.M) {
	testscript.Main(lab.Sandbox{Tests: m}, map[string]func(){"ec2net": main, "ec2ifup": main, "ec2ifdown": main, "ec2ifscan": main})
}

// cloud is seed 002's, or the one that cfg describes.
func cloud(t *testing.T, cfg lab.Config) *lab.Cloud {
	t.Helper()
	c, err := lab.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close the lab: %v", err)
		}
	})
	return c
}

// on runs a command on the instance and returns what it printed and its exit status.
func on(t *testing.T, c *lab.Cloud, name string, args ...string) (string, int) {
	t.Helper()
	cmd := c.Instance().Command(context.Background(), name, args...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatalf("%s: %v", name, err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// ec2net runs the program on the instance and wants an exit status.
func ec2net(t *testing.T, c *lab.Cloud, status int, args ...string) string {
	t.Helper()
	out, got := on(t, c, "ec2net", append([]string{"--cloud", "ec2"}, args...)...)
	if got != status {
		t.Fatalf("ec2net %q: exit status %d, want %d\n%s", args, got, status, out)
	}
	return out
}

