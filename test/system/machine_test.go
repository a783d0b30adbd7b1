//go:build system

package system

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ec2net/test/lab"
	"ec2net/test/lab/labtest"
	"ec2net/test/system/debian"
)

// machine is a booted container. Its network is that of the lab's instance.
type machine struct {
	t        *testing.T
	cloud    *lab.Cloud
	dir      string // on the tmpfs
	root     string // its mounted file system
	nspawn   *exec.Cmd
	ended    chan struct{}
	leader   int // PID 1's number outside
	boot     time.Duration
	group    string // the cgroup it runs in, made anew at each boot
	filter   string
	bare     bool // the first interface is not configured by the installer
	hardware bool // see options
}

// options of a machine. The zero value is the first release with the package, booted, and seed 002's first interface.
type options struct {
	suite     string
	bare      bool // without the package
	cloud     lab.Config
	files     map[string]string // put into the root before it boots
	unmanaged bool              // the first interface is not configured by the installer: a manager will
	filter    string            // system calls that the container has beyond nspawn's own choice
	hardware  bool              // programs that ask PID 1's environment do not find that it is a container
}

var machines, boots atomic.Int32

// start boots a machine, and ends it with the test.
func start(t *testing.T, o options) *machine {
	t.Helper()
	if o.suite == "" {
		o.suite = suites[0]
	}
	release, _, _ := strings.Cut(o.suite, "-") // the rest says what more its root has
	t.Attr("suite", release)                   // for the table in docs/releases.md
	if o.cloud.Interfaces == nil {
		o.cloud.Interfaces = []lab.Interface{lab.Eth0()}
	}
	below, err := base(o.suite, !o.bare)
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{t: t, dir: filepath.Join(disk, fmt.Sprintf("m%d", machines.Add(1))), filter: o.filter, hardware: o.hardware}
	if m.cloud, err = lab.New(o.cloud); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.discard)
	if _, m.root, err = below.mount(m.dir); err != nil {
		t.Fatal(err)
	}
	for path, text := range o.files {
		if err := debian.Write(m.root+path, text, 0o600|fileMode(path)); err != nil {
			t.Fatal(err)
		}
	}
	if m.bare = o.unmanaged; m.bare {
		m.strip("eth0")
	}
	m.power()
	return m
}

// fileMode: NetworkManager refuses connections that others may read.
func fileMode(path string) os.FileMode {
	switch {
	case strings.HasSuffix(path, ".nmconnection"):
		return 0
	case strings.HasPrefix(path, "/usr/local/bin/"), strings.HasPrefix(path, "/usr/local/sbin/"):
		return 0o155
	}
	return 0o044
}

// strip takes from an interface what the lab's installer configured.
func (m *machine) strip(iface string) {
	m.t.Helper()
	labtest.IP(m.t, m.cloud, "addr flush dev "+iface)
	labtest.IP(m.t, m.cloud, "link set "+iface+" down")
}

// power boots the machine and waits until its start-up has finished.
func (m *machine) power() {
	m.t.Helper()
	began := time.Now()
	socket := filepath.Join(m.dir, "notify")
	_ = os.Remove(socket) // of the last boot
	ready, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		m.t.Fatal(err)
	}
	defer ready.Close()
	console, err := os.Create(filepath.Join(m.dir, "console"))
	if err != nil {
		m.t.Fatal(err)
	}
	defer console.Close()
	network, err := m.network()
	if err != nil {
		m.t.Fatal(err)
	}
	defer unix.Unmount(network, unix.MNT_DETACH)
	// In a PID namespace of its own: the kernel ends all that is in it as soon as its first process is gone, and
	// that goes with us. nspawn's own death, if it is sudden, would leave the container running.
	m.nspawn = exec.Command("unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--",
		"systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--directory="+m.root,
		"--network-namespace-path="+network, "--resolv-conf=off", "--capability=all", "--console=pipe", "--notify-ready=yes",
		"--machine="+filepath.Base(m.dir), "--kill-signal=SIGRTMIN+4", "--system-call-filter="+m.filter, "/bin/sh", "-c", m.pid1())
	m.nspawn.Env = append(os.Environ(), "SYSTEMD_NSPAWN_API_VFS_WRITABLE=1", "NOTIFY_SOCKET="+ready.LocalAddr().String())
	m.nspawn.Stdout, m.nspawn.Stderr = console, console
	if err := m.spawn(); err != nil {
		m.t.Fatal(err)
	}
	if err = m.awaitReady(ready); err == nil {
		m.leader, err = child(m.nspawn.Process.Pid, 2)
	}
	if err != nil {
		b, _ := os.ReadFile(console.Name())
		m.t.Fatalf("boot: %v\n%s", err, b)
	}
	m.until(hang, said("is-system-running"), func() bool {
		state := strings.TrimSpace(m.try("systemctl", "is-system-running", "--wait"))
		return state == "running" || state == "degraded"
	})
	m.boot = time.Since(began)
}

// spawn starts nspawn on a thread that lives as long as it does: the container dies with us. It gets a cgroup of
// its own: two machines in one share the cgroups of their units, since nspawn calls its payload's the same each
// time, and the one that stops a unit removes the cgroup that the other is about to start a process in.
func (m *machine) spawn() error {
	m.group = filepath.Join(ours(), fmt.Sprintf("%s-%d", filepath.Base(m.dir), boots.Add(1)))
	if err := os.Mkdir(m.group, 0o755); err != nil {
		return err
	}
	cgroup, err := os.Open(m.group)
	if err != nil {
		return err
	}
	defer cgroup.Close()
	m.nspawn.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL, UseCgroupFD: true, CgroupFD: int(cgroup.Fd())}
	started := make(chan error)
	m.ended = make(chan struct{})
	go func() {
		runtime.LockOSThread()
		err := m.nspawn.Start()
		started <- err
		if err == nil {
			_ = m.nspawn.Wait()
		}
		close(m.ended)
	}()
	return <-started
}

// network makes a file of the instance's network namespace.
func (m *machine) network() (string, error) {
	file := filepath.Join(m.dir, "network")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		return "", err
	}
	ns := fmt.Sprintf("/proc/self/fd/%d", int(m.cloud.Instance().NetNS()))
	if err := unix.Mount(ns, file, "", unix.MS_BIND, ""); err != nil {
		return "", fmt.Errorf("bind the network namespace: %w", err)
	}
	return file, nil
}

// child is the only child of a process, or the child of that, as many steps down as depth says.
func child(pid, depth int) (int, error) {
	for range depth {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
		if err != nil {
			return 0, err
		}
		if pid, err = strconv.Atoi(strings.TrimSpace(string(b))); err != nil {
			return 0, fmt.Errorf("the child of process %d: %w", pid, err)
		}
	}
	return pid, nil
}

// awaitReady listens to nspawn until it passes on that PID 1 is ready.
func (m *machine) awaitReady(c *net.UnixConn) error {
	buf := make([]byte, 4096)
	for end := time.Now().Add(hang); ; {
		_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		n, err := c.Read(buf)
		select {
		case <-m.ended:
			return fmt.Errorf("the container has ended")
		default:
		}
		switch {
		case err != nil && time.Now().After(end):
			return fmt.Errorf("it does not become ready: %w", err)
		case err == nil && slices.Contains(lines(string(buf[:n])), "READY=1"):
			return nil
		}
	}
}

// poweroff is SIGRTMIN+4 as PID 1 counts, by the C library's SIGRTMIN.
const poweroff = unix.Signal(34 + 4)

// reboot shuts the machine down in good order and boots it in a cloud with these interfaces, the first as
// installed. A new network namespace is what a new boot of the kernel is.
func (m *machine) reboot(ifaces ...lab.Interface) {
	m.t.Helper()
	if err := unix.Kill(m.leader, poweroff); err != nil {
		m.t.Fatal(err)
	}
	select {
	case <-m.ended:
	case <-time.After(hang):
		m.t.Fatal("the machine does not shut down")
	}
	if err := end(m.group); err != nil {
		m.t.Fatal(err)
	}
	if err := m.cloud.Close(); err != nil {
		m.t.Fatal(err)
	}
	var err error
	if m.cloud, err = lab.New(lab.Config{Interfaces: ifaces}); err != nil {
		m.t.Fatal(err)
	}
	if m.bare {
		m.strip("eth0")
	}
	m.power()
}

// discard ends the machine and the cloud. A test that failed says first what the machine looks like.
func (m *machine) discard() {
	if m.t.Failed() {
		m.dump()
	}
	if m.nspawn != nil && m.nspawn.Process != nil {
		_ = m.nspawn.Process.Kill()
		<-m.ended
		if err := end(m.group); err != nil {
			m.t.Errorf("remove its cgroup: %v", err)
		}
	}
	if err := m.cloud.Close(); err != nil {
		m.t.Errorf("close the lab: %v", err)
	}
	if err := unix.Unmount(m.root, unix.MNT_DETACH); err != nil {
		m.t.Errorf("unmount %s: %v", m.root, err)
	}
	if err := os.RemoveAll(m.dir); err != nil {
		m.t.Errorf("remove %s: %v", m.dir, err)
	}
}

func (m *machine) dump() {
	m.t.Logf("%s", m.try("sh", "-c", `systemctl --failed --no-legend; systemctl status 'ec2net*' --no-pager -n0; ip -br addr; ip rule; ip route show table all
		journalctl -b -o short-monotonic --no-pager | tail -80`))
}
