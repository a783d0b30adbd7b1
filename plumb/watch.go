package plumb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Change is a hint that the kernel's state of an interface may have changed: read it again. What it says
// is for the log only.
type Change struct {
	Removed string // the object of ours that somebody removed, in ip(8) syntax; or empty
	// By is the netlink port of the program that did it. The kernel's default port of a program's
	// first socket is its process id. 0: the kernel itself.
	By uint32
}

// Watch reports every change of the interface's addresses and routes, of our rules and of any link that
// did not come from l itself, until ctx ends; then the channel is closed. For a change of a link the
// kernel names nobody, so that l's own are reported too. Changes that come faster than they are
// taken are dropped: one that is waiting says already that there is something to read.
func (l *Link) Watch(ctx context.Context) (<-chan Change, error) {
	l.publish()
	return listen(ctx, l.rt, l.concerns, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV4_ROUTE,
		unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE, unix.RTNLGRP_IPV4_NETCONF)
}

// listen reports what concerns finds in notifications, but for those that our own socket caused.
func listen(ctx context.Context, self *socket, concerns func(syscall.NetlinkMessage) (Change, bool), groups ...uint) (<-chan Change, error) {
	s, err := nl.SubscribeAt(netns.None(), netns.None(), self.proto, groups...)
	if err != nil {
		return nil, fmt.Errorf("watch the kernel: %w", err)
	}
	// Only a wish: the limit of unprivileged users is enough too, an overrun is noticed.
	_ = s.SetReceiveBufferSize(1<<20, true)
	own, err := self.port()
	if err != nil {
		s.Close()
		return nil, err
	}
	changes := make(chan Change, 32)
	stop := context.AfterFunc(ctx, s.Close)
	go func() {
		defer close(changes)
		defer s.Close()
		defer stop()
		for receive(ctx, s, own, concerns, changes) {
		}
	}()
	return changes, nil
}

func (l *Link) concerns(m syscall.NetlinkMessage) (Change, bool) {
	return l.identity.Load().concerns(m)
}

func receive(ctx context.Context, s *nl.NetlinkSocket, own uint32, concerns func(syscall.NetlinkMessage) (Change, bool), changes chan<- Change) bool {
	msgs, _, err := s.Receive()
	if ctx.Err() != nil {
		return false
	}
	if err != nil && !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EINTR) {
		return false
	}
	if err != nil { // an overrun: something was lost, so everything may have changed
		msgs = []syscall.NetlinkMessage{{}}
	}
	for _, m := range msgs {
		c, ok := concerns(m)
		if !ok || (m.Header.Pid == own && own != 0) {
			continue
		}
		select {
		case changes <- c:
		default:
		}
	}
	return true
}

// concerns tells whether a notification is about the interface, and what of ours it removed.
func (l identity) concerns(m syscall.NetlinkMessage) (Change, bool) {
	c := Change{By: m.Header.Pid}
	switch m.Header.Type {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		// Any interface: the primary's interface group is ours to keep too, and links change seldom.
		return c, true
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		a, ok, err := parseAddr(m.Data, l.index)
		if m.Header.Type == unix.RTM_DELADDR && a.Ours {
			c.Removed = a.text(l.name)
		}
		return c, ok && err == nil
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		return l.concernsRoute(m)
	case unix.RTM_DELRULE:
		return l.concernsLostRule(m)
	case unix.RTM_NEWNETCONF:
		index, _, ok := parseNetconf(m.Data)
		return c, ok && l.forward && index == l.index
	case unix.RTM_NEWRULE:
		r, ok, err := parseRule(m.Data)
		_, foreign := parseForeign(m.Data)
		// Iif: what arrives here may be passed on now.
		about := l.peers || r.Iif == l.name || (l.marks && r.Kind().Marked())
		return c, foreign || (ok && err == nil && about)
	}
	return c, true // an overrun
}

// concernsRoute is concerns for a route that came or went.
func (l identity) concernsRoute(m syscall.NetlinkMessage) (Change, bool) {
	c := Change{By: m.Header.Pid}
	r, ok, err := parseRoute(m.Data, l.index)
	deleted := m.Header.Type == unix.RTM_DELROUTE
	if deleted && r.Ours {
		c.Removed = r.text(l.name)
	}
	if err != nil {
		return c, false
	}
	freed := l.spare && deleted && nl.DeserializeRtMsg(m.Data).Protocol == Protocol
	return c, ok || freed || (l.rivalry && rivals(m.Data))
}

// concernsLostRule is concerns for a rule that went.
func (l identity) concernsLostRule(m syscall.NetlinkMessage) (Change, bool) {
	c := Change{By: m.Header.Pid}
	r, ok, err := parseRule(m.Data)
	n, shaped := r.n()
	mine := slices.Contains(l.numbers, n)
	if mine {
		c.Removed = r.text()
	}
	// Of another interface's block this one may be waiting to take it over.
	block := !r.Kind().guards() && !r.From.IsSingleIP()
	about := mine || l.peers || block
	return c, ok && err == nil && shaped && about
}

func (s *socket) port() (uint32, error) {
	pid, err := s.byProto[s.proto].Socket.GetPid()
	if err != nil {
		return 0, fmt.Errorf("port of the netlink socket: %w", err)
	}
	return pid, nil
}
