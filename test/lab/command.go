package lab

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
)

// Cmd is an exec.Cmd that starts in a node's namespaces. What still runs when the cloud is closed is killed.
type Cmd struct {
	*exec.Cmd
	node *Node
}

// Command prepares a program to run on the node, in the caller's working directory. The name is looked
// up in the caller's PATH.
func (n *Node) Command(ctx context.Context, name string, args ...string) *Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	if dir, err := os.Getwd(); err == nil {
		cmd.Dir = dir // entering a mount namespace resets it
	}
	return &Cmd{Cmd: cmd, node: n}
}

// Start is exec.Cmd's Start, on the node.
func (c *Cmd) Start() error { return c.node.Do(c.Cmd.Start) }

// Run is exec.Cmd's Run, on the node.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Output is exec.Cmd's Output, on the node. An *exec.ExitError carries what the program wrote to stderr.
func (c *Cmd) Output() ([]byte, error) {
	if c.Stdout != nil {
		return nil, errors.New("lab: Stdout already set")
	}
	var stdout, stderr bytes.Buffer
	c.Stdout = &stdout
	if c.Stderr == nil {
		c.Stderr = &stderr
	}
	err := c.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		exit.Stderr = stderr.Bytes()
	}
	return stdout.Bytes(), err
}

// CombinedOutput is exec.Cmd's CombinedOutput, on the node.
func (c *Cmd) CombinedOutput() ([]byte, error) {
	if c.Stdout != nil || c.Stderr != nil {
		return nil, errors.New("lab: Stdout or Stderr already set")
	}
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	return out.Bytes(), err
}
