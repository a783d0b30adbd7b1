package lab

import (
	"errors"
	"fmt"
	"slices"
)

// Reboot ends everything on the instance and starts it again: a new kernel's network with the same interfaces, the
// first one as installed and the others down and bare, an empty /run, and /etc as it was left. Instance is another
// Node from then on; the old one, and sockets and captures on it, are dead. VFs are gone. Nobody else may use the
// cloud meanwhile.
func (c *Cloud) Reboot() error {
	old := c.Instance()
	ifaces := c.Interfaces()
	if err := killProcesses(old); err != nil {
		return fmt.Errorf("reboot: %w", err)
	}
	for _, k := range slices.Backward(ifaces) {
		if err := c.Detach(k.Name); err != nil {
			return fmt.Errorf("reboot: %w", err)
		}
	}
	n, err := newNodeFrom(old)
	if err != nil {
		return fmt.Errorf("reboot: %w", err)
	}
	c.mu.Lock()
	c.instance = n
	c.mu.Unlock()
	err = errors.Join(old.close(), c.makeHost(n, c.cfg.RPFilter, c.cfg.DAD))
	for i, k := range ifaces {
		k.Late = 0 // the metadata know it by now
		err = errors.Join(err, c.plug(n, k, i == 0))
	}
	if err != nil {
		return fmt.Errorf("reboot: %w", err)
	}
	return nil
}

// newNodeFrom makes a host with the files of another, in a network of its own.
func newNodeFrom(old *Node) (*Node, error) {
	n := &Node{Name: old.Name, cloud: old.cloud}
	if err := n.begin(old.enter, isolateMounts); err != nil {
		return nil, err
	}
	return n, nil
}
