package lab

import (
	"errors"
	"fmt"
	"sync"

	"ec2net/metadata"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// settle makes the kernel finish, now, what it defers when a cable's other end was set up: until then it
// drops what is sent on the cable, which costs the host's first ARP request a second. Reading one link does it.
func settle(n *Node, index int) error {
	if _, err := n.nl.LinkByIndex(index); err != nil {
		return fmt.Errorf("look at link %d of %s: %w", index, n.Name, err)
	}
	return nil
}

// Settle returns when both ends of an interface's cable are ready, after the interface was set up. The cloud does
// this by itself within a fraction of a millisecond; a test that sends one packet and no second wants to be sure.
func (c *Cloud) Settle(key string) error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	k, err := c.find(key)
	if err != nil {
		return err
	}
	return k.settle(c.fabric)
}

// settle is for callers that hold the lock.
func (k *iface) settle(fabric *Node) error {
	near, err := fabric.nl.LinkByIndex(k.port.index)
	if err != nil {
		return fmt.Errorf("look at port %s: %w", k.port.name, err)
	}
	return settle(k.node, near.Attrs().ParentIndex) // of a veth, the other end
}

// watchCarriers settles the interfaces of a node whenever one of them changes, until the cloud is closed.
func (c *Cloud) watchCarriers(n *Node) error {
	ns := netns.NsHandle(n.net.Fd())
	updates, stop := make(chan netlink.LinkUpdate, 64), make(chan struct{})
	err := netlink.LinkSubscribeWithOptions(updates, stop, netlink.LinkSubscribeOptions{
		Namespace: &ns, ErrorCallback: func(error) {}, // it ends with the cloud, or the kernel's own pace is kept
	})
	if err != nil {
		return fmt.Errorf("watch the links of %s: %w", n.Name, err)
	}
	var done sync.WaitGroup
	done.Add(1)
	go func() {
		defer done.Done()
		for u := range updates {
			if hw := u.Attrs().HardwareAddr; u.IfInfomsg.Flags&unix.IFF_UP != 0 && len(hw) == 6 {
				_ = c.settleMAC(metadata.MAC(hw)) // an interface that has just gone needs nothing
			}
		}
	}()
	var once sync.Once
	c.own(func() error {
		once.Do(func() { close(stop) })
		done.Wait()
		return nil
	})
	return nil
}

func (c *Cloud) settleMAC(m metadata.MAC) error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, k := range c.ifaces {
		if k.MAC == m {
			// When a port loses its carrier the kernel forgets what it answers for others, and does so late.
			return errors.Join(k.settle(c.fabric), c.net.listen(k, c.neighbours(k)))
		}
	}
	return errors.New("no such interface")
}
