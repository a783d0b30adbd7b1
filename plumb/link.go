package plumb

import (
	"errors"
	"slices"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// ErrGone says that there is no such interface in this network namespace (any more).
var ErrGone = errors.New("no such network interface")

// Link is a network interface of this network namespace, by name or, once it was seen, by index.
type Link struct {
	Name  string
	Index int // 0 until the interface was seen
	// Changing, unless it is nil, is told before each change that Reconcile makes: how the kernel is, how it is to be,
	// and what is about to be done.
	Changing func(have Snapshot, want State, plan Plan)

	scope   Scope // see Cover
	written int
	rt      *socket
	packets *socket // nil until nftables is asked
	unable  bool    // the kernel has refused a table as more than it can do
	// onlyMetric leaves IFA_PROTO out, as a kernel before 5.18 does.
	onlyMetric bool
	noAltNames bool // the kernel knows none (before 5.5)
	spare      bool // the interface goes by a number that needs no metadata
	rivalry    bool // the interface's default route is another program's, and there are other cloud interfaces
	identity   atomic.Pointer[identity]
}

// identity is what Watch, in a goroutine of its own, has to know of the interface.
type identity struct {
	name    string
	index   int
	numbers []int
	peers   bool
	forward bool
	spare   bool // the interface has a spare number, and may be waiting for a table
	marks   bool // the interface may have a mark, which another interface's may be the same as
	rivalry bool
}

// Open prepares to look at the interface called name, in the network namespace of the calling thread.
// The interface need not exist yet. Close frees the socket.
func Open(name string) (*Link, error) {
	rt, err := dial()
	if err != nil {
		return nil, err
	}
	return &Link{Name: name, rt: rt}, nil
}

// Close frees the sockets. The kernel's state stays as it is.
func (l *Link) Close() {
	l.rt.close()
	l.closePackets()
}

// Written counts the changes that l made to the kernel.
func (l *Link) Written() int { return l.written }

// Cover has l read and watch what a scope says, from its next Read on. The last scope counts, but for Numbers and Packets:
// they are added to those of earlier ones, and to those of what Reconcile writes, so that nothing of the interface is lost
// sight of.
func (l *Link) Cover(s Scope) {
	s.Numbers = union(l.scope.Numbers, s.Numbers)
	s.Packets = s.Packets || l.scope.Packets
	l.scope = s
}

// adopt covers what is about to be written, so that it is found again.
func (l *Link) adopt(s State) {
	l.scope.Numbers = union(l.scope.Numbers, s.Numbers())
	l.scope.Packets = l.scope.Packets || len(s.Packets) > 0
	l.spare = slices.ContainsFunc(s.Numbers(), func(n int) bool { return n >= degradedN })
}

// publish tells a running Watch what Reconcile has learned.
func (l *Link) publish() {
	l.identity.Store(&identity{l.Name, l.Index, slices.Clone(l.scope.Numbers), l.scope.Others, l.scope.Forwarding, l.spare, l.scope.Packets, l.rivalry})
}

// nft is the socket for nftables, opened when it is first needed: on a host that does without, the
// kernel need not even load the module.
func (l *Link) nft() (*socket, error) {
	if l.packets == nil {
		s, err := dialProto(unix.NETLINK_NETFILTER, transact)
		if err != nil {
			return nil, err
		}
		l.packets = s
	}
	return l.packets, nil
}

func (l *Link) closePackets() {
	if l.packets != nil {
		l.packets.close()
	}
}
