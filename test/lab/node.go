package lab

import (
	"errors"
	"fmt"
	"os"
	"path"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"ec2net/test/stock"
)

// Node is a host of the cloud: a network namespace and a mount namespace, and threads that live in
// them. Its /run is private, its /sys shows its own network, and writes to its /etc are not seen elsewhere.
type Node struct {
	Name  string
	cloud *Cloud

	net, mnt *os.File
	nl       *netlink.Handle

	mu      sync.Mutex // guards idle and closed
	idle    []*worker
	closed  bool
	threads sync.WaitGroup
}

// maxIdle is the number of threads that a node keeps for the next Do.
const maxIdle = 2

// worker is a thread in the node's namespaces. It is never given back to the Go scheduler.
type worker struct{ tasks chan task }

type task struct {
	run  func() error
	done chan outcome
}

// outcome is how a task ended: with an error, a panic, or runtime.Goexit (t.Fatal).
type outcome struct {
	err    error
	panic  any
	exited bool
}

// newNode makes a host: new namespaces, private mounts, loopback up.
func newNode(c *Cloud, name string) (*Node, error) {
	n := &Node{Name: name, cloud: c}
	if err := n.begin(func() error { return nil }, hostMounts); err != nil {
		return nil, err
	}
	return n, nil
}

// begin makes the node's namespaces from those that enter brings the thread to, and its own mounts in them.
func (n *Node) begin(enter, mounts func() error) error {
	w, err := n.spawn(func() error {
		if err := enter(); err != nil {
			return err
		}
		if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("make namespaces: %w", err)
		}
		if err := stock.Sysctls(); err != nil {
			return err
		}
		if err := mounts(); err != nil {
			return err
		}
		return n.open()
	})
	if err != nil {
		return errors.Join(fmt.Errorf("make host %s: %w", n.Name, err), n.close())
	}
	n.release(w)
	return nil
}

// open takes hold of the calling thread's namespaces and sets its loopback up.
func (n *Node) open() (err error) {
	if n.net, err = os.Open("/proc/thread-self/ns/net"); err != nil {
		return err
	}
	if n.mnt, err = os.Open("/proc/thread-self/ns/mnt"); err != nil {
		return err
	}
	if n.nl, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	return n.nl.LinkSetUp(&netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Index: 1}})
}

// Netlink is a handle into the node's network namespace. It is closed with the cloud.
func (n *Node) Netlink() *netlink.Handle { return n.nl }

// NetNS is the node's network namespace, for NewHandleAt and subscriptions. It is closed with the cloud.
func (n *Node) NetNS() netns.NsHandle { return netns.NsHandle(n.net.Fd()) }

// Namespaces names files of the node's network and mount namespace, for nsenter(1) and other processes. They
// are there as long as the cloud.
func (n *Node) Namespaces() (net, mnt string) {
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.net.Fd()), fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.mnt.Fd())
}

// Do runs fn on a thread in the node's namespaces and returns its error. Sockets, files and processes
// that fn opens belong to the node; goroutines that fn starts do not run there. A panic or
// runtime.Goexit (t.Fatal) of fn becomes the caller's. fn must not change the thread's namespaces.
// Calls may run at the same time.
func (n *Node) Do(fn func() error) error {
	w, err := n.acquire()
	if err != nil {
		return fmt.Errorf("enter %s: %w", n.Name, err)
	}
	done := make(chan outcome, 1)
	w.tasks <- task{fn, done}
	o := <-done
	switch {
	case o.panic != nil:
		panic(o.panic)
	case o.exited:
		runtime.Goexit()
	}
	n.release(w)
	return o.err
}

var errClosed = errors.New("the cloud is closed")

func (n *Node) acquire() (*worker, error) {
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return nil, errClosed
	}
	if i := len(n.idle) - 1; i >= 0 {
		w := n.idle[i]
		n.idle = n.idle[:i]
		n.mu.Unlock()
		return w, nil
	}
	n.mu.Unlock()
	return n.spawn(n.enter)
}

func (n *Node) release(w *worker) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed || len(n.idle) >= maxIdle {
		close(w.tasks)
		return
	}
	n.idle = append(n.idle, w)
}

// enter moves the calling thread into the node.
func (n *Node) enter() error {
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("unshare the file system state: %w", err)
	}
	if err := unix.Setns(int(n.mnt.Fd()), unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("enter the mount namespace: %w", err)
	}
	if err := unix.Setns(int(n.net.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter the network namespace: %w", err)
	}
	return nil
}

// spawn starts a thread, runs prepare on it and then waits for tasks.
func (n *Node) spawn(prepare func() error) (*worker, error) {
	w := &worker{tasks: make(chan task)}
	ready := make(chan error)
	n.threads.Add(1)
	onOwnThread(func() {
		defer n.threads.Done()
		err := prepare()
		ready <- err
		if err == nil {
			w.loop()
		}
	})
	return w, <-ready
}

// onOwnThread runs fn on a thread that ends with it. The main thread never ends, and /proc/self speaks of
// its namespaces, so fn never runs there.
func onOwnThread(fn func()) {
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() != unix.Getpid() {
			fn()
			return
		}
		elsewhere := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			close(elsewhere)
			fn()
		}()
		<-elsewhere
		runtime.UnlockOSThread()
	}()
}

func (w *worker) loop() {
	for t := range w.tasks {
		w.one(t)
	}
}

func (w *worker) one(t task) {
	o := outcome{exited: true}
	defer func() {
		if p := recover(); p != nil {
			o.panic = fmt.Sprintf("%v\n\n%s", p, debug.Stack())
		}
		t.done <- o
		if o.panic != nil {
			runtime.Goexit() // this thread is not used again
		}
	}()
	o.err = t.run()
	o.exited = false
}

// Sysctl writes a value below /proc/sys, named as sysctl(8) does with slashes: net/ipv4/ip_forward.
func (n *Node) Sysctl(name, value string) error {
	return n.Do(func() error { return writeSysctl(name, value) })
}

func writeSysctl(name, value string) error {
	if err := os.WriteFile(path.Join("/proc/sys", name), []byte(value), 0o644); err != nil {
		return fmt.Errorf("set sysctl %s to %q: %w", name, value, err)
	}
	return nil
}

// ReadSysctl reads a value below /proc/sys.
func (n *Node) ReadSysctl(name string) (value string, err error) {
	err = n.Do(func() error {
		b, err := os.ReadFile(path.Join("/proc/sys", name))
		value = strings.TrimSpace(string(b))
		return err
	})
	return value, err
}

// close ends the node's threads and lets go of its namespaces.
func (n *Node) close() (err error) {
	n.mu.Lock()
	n.closed = true
	for _, w := range n.idle {
		close(w.tasks)
	}
	n.idle = nil
	n.mu.Unlock()
	n.threads.Wait()
	if n.nl != nil {
		n.nl.Close()
	}
	for _, f := range []*os.File{n.net, n.mnt} {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}
	return err
}
