package main

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"ec2net/test/lab"
)

// writes counts what changes of a host's links, addresses, routes and rules: the kernel announces every
// write that had an effect.
type writes struct {
	node *lab.Node
	fd   int
}

// watchWrites begins to count. Close it.
func watchWrites(n *lab.Node) (*writes, error) {
	w := &writes{n, -1}
	err := n.Do(func() (err error) {
		if w.fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE); err != nil {
			return err
		}
		if err := unix.Bind(w.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			return err
		}
		for _, group := range []int{
			unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV4_ROUTE,
			unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE,
		} {
			if err := unix.SetsockoptInt(w.fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, group); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		w.close()
		return nil, fmt.Errorf("watch the kernel's changes: %w", err)
	}
	return w, nil
}

func (w *writes) close() {
	if w.fd >= 0 {
		unix.Close(w.fd)
	}
}

// reset forgets what was so far, and what the kernel has yet to say of it: a change of carrier is announced
// up to a second late (net/core/link_watch.c), or at once when the link is looked at. An IPv6 address that it
// brings is announced again when nobody else has it (RFC 4862 section 5.4), which is waited for.
func (w *writes) reset() error {
	links, err := w.node.Netlink().LinkList()
	for _, l := range links {
		if _, one := w.node.Netlink().LinkByIndex(l.Attrs().Index); one != nil {
			err = errors.Join(err, one)
		}
	}
	if err != nil {
		return fmt.Errorf("look at the links of %s: %w", w.node.Name, err)
	}
	if err := w.settled(); err != nil {
		return err
	}
	_, err = w.count()
	return err
}

// settled returns when no IPv6 address is tentative any more.
func (w *writes) settled() error {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		list, err := w.node.Netlink().AddrList(nil, netlink.FAMILY_V6)
		if err != nil {
			return fmt.Errorf("look at the addresses of %s: %w", w.node.Name, err)
		}
		if !slices.ContainsFunc(list, func(a netlink.Addr) bool { return a.Flags&unix.IFA_F_TENTATIVE != 0 }) {
			return nil
		}
	}
	return fmt.Errorf("an IPv6 address of %s stays tentative", w.node.Name)
}

// count is the number of changes since the last count or reset.
func (w *writes) count() (n int, err error) {
	buf := make([]byte, 64<<10)
	for {
		size, _, err := unix.Recvfrom(w.fd, buf, 0)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return n, nil
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil: // ENOBUFS too: some were lost
			return n, fmt.Errorf("count the kernel's changes: %w", err)
		}
		msgs, err := syscall.ParseNetlinkMessage(buf[:size])
		if err != nil {
			return n, fmt.Errorf("count the kernel's changes: %w", err)
		}
		n += len(msgs)
	}
}
