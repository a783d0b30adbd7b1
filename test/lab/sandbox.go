package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// sandboxEnv marks a process that already runs in a sandbox. Children inherit it.
const sandboxEnv = "EC2NET_LAB_SANDBOX"

// Runner is what runs tests: *testing.M, or a Sandbox around it.
type Runner interface{ Run() int }

// Sandbox runs tests in namespaces of their own. It exists apart from Main so that it can be
// handed to something that wants to call Run itself, such as testscript.Main.
type Sandbox struct{ Tests Runner }

// Main runs the tests of m in a sandbox and returns the exit status for os.Exit: the test binary is
// executed again in a new network and mount namespace, and in a new user namespace unless it
// already may make the others. There /run is an empty tmpfs and /sys shows only the new network.
func Main(m Runner) int { return Sandbox{Tests: m}.Run() }

// Run is Main.
func (s Sandbox) Run() int {
	_, err := Isolate()
	if err == nil && os.Getenv(sandboxEnv) != "" {
		return s.Tests.Run()
	}
	code := 1
	if err == nil {
		code, err = RunIsolated(append(os.Environ(), sandboxEnv+"=1", hasty()))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		return 1
	}
	return code
}

// hasty keeps a process that was built with the race detector from sleeping for a second at its end, for races
// of what still runs then (go.dev/doc/articles/race_detector, atexit_sleep_ms). Tests start thousands of them.
func hasty() string { return strings.TrimSpace("GORACE=atexit_sleep_ms=0 " + os.Getenv("GORACE")) }

// stageEnv tells the second execution that it still has to arrange its namespaces.
const stageEnv = "EC2NET_LAB_STAGE"

// RunIsolated runs this very program again, with the same arguments and an environment, in namespaces of
// its own (StartIsolated), and returns its exit status.
func RunIsolated(env []string) (int, error) {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = env
	cmd.Stdin = os.Stdin
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return runIsolated(cmd)
}

// runIsolated starts cmd in new namespaces, passes signals on to it and returns its exit status.
// The child dies with this process.
func runIsolated(cmd *exec.Cmd) (int, error) {
	runtime.LockOSThread() // Pdeathsig follows the thread, not the process
	defer runtime.UnlockOSThread()
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP)
	defer signal.Stop(signals)
	if err := StartIsolated(cmd, syscall.SIGKILL); err != nil {
		return 0, err
	}
	done := make(chan struct{})
	go func() {
		for {
			select {
			case s := <-signals:
				_ = cmd.Process.Signal(s) // it may just have ended
			case <-done:
				return
			}
		}
	}()
	err := cmd.Wait()
	close(done)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	return 0, err
}

// StartIsolated starts cmd in a network and mount namespace of its own, in which the caller is root:
// as root directly, otherwise by way of a user namespace. death is the signal that cmd gets when the
// calling thread ends, or 0. cmd must call Isolate before anything else.
func StartIsolated(cmd *exec.Cmd, death syscall.Signal) error {
	attr := cmd.SysProcAttr
	if attr == nil {
		attr = &syscall.SysProcAttr{}
	}
	attr.Pdeathsig = death
	attr.Cloneflags |= unix.CLONE_NEWNET | unix.CLONE_NEWNS
	if NeedsUserNamespace() {
		attr.Cloneflags |= unix.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	cmd.SysProcAttr = attr
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, stageEnv+"=1")
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("make namespaces (the lab needs root or unprivileged user namespaces; "+
			"see kernel.unprivileged_userns_clone, user.max_user_namespaces and "+
			"kernel.apparmor_restrict_unprivileged_userns): %w", err)
	}
	return nil
}

// NeedsUserNamespace says whether this process must go through a user namespace to make the others.
func NeedsUserNamespace() bool {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return os.Geteuid() != 0
	}
	const want = 1<<unix.CAP_SYS_ADMIN | 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_NET_RAW
	return data[0].Effective&want != want
}

// Isolate finishes, inside a process that StartIsolated started, what can only be done from inside:
// private mounts and the loopback. It says whether this is such a process; in any other it does nothing.
func Isolate() (bool, error) {
	if os.Getenv(stageEnv) == "" {
		return false, nil
	}
	if err := os.Unsetenv(stageEnv); err != nil {
		return true, err
	}
	if err := isolateMounts(); err != nil {
		return true, err
	}
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		return true, fmt.Errorf("set lo up: %w", err)
	}
	return true, nil
}
