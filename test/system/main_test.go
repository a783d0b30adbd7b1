//go:build system

// Package system boots Debian with the built package installed, in systemd-nspawn, as real a machine
// as there is without one: systemd as PID 1, its udevd, its network managers. The interfaces come from the
// lab, are renamed by a .link file as on real machines, and a client on the lab's internet pings them.
package system

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"ec2net/test/lab"
	"ec2net/test/system/debian"
	"ec2net/test/testkit"
)

// rootEnv hands the roots, which need the network to be made, to the tests, which have none.
const rootEnv = "EC2NET_SYSTEM_ROOT_"

func TestMain(m *testing.M) {
	if errSuites != nil {
		fmt.Fprintln(os.Stderr, "system tests:", errSuites)
		os.Exit(1)
	}
	if os.Getenv(rootEnv+suites[0]) != "" {
		os.Exit(lab.Main(isolated{m}))
	}
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, "system tests:", err)
		os.Exit(1)
	}
	status := lab.Main(isolated{m})
	if err := sweepOutside(); err != nil { // the tests may have been interrupted, or have run out of time
		fmt.Fprintln(os.Stderr, "system tests:", err)
	}
	os.Exit(status)
}

// prepare makes what is missing, while the machine's network is still there.
func prepare() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("booting a container needs root: run make test-system as root")
	}
	if err := testkit.Programs("systemd-nspawn", "mmdebstrap", "nsenter", "dpkg"); err != nil {
		return err
	}
	for _, suite := range suites {
		root, err := debian.Root(suite)
		if err != nil {
			return err
		}
		os.Setenv(rootEnv+suite, root)
	}
	if err := errors.Join(crowdedRoots(), cloudedRoots()); err != nil {
		return err
	}
	root, err := peerRoot()
	if root != "" {
		os.Setenv(rootEnv+peer, root)
	}
	return err
}

// peer is the suite of the bench that has another program for the same work.
const peer = "peer"

// isolated runs the tests in a cgroup of their own, with a tmpfs for what containers write.
type isolated struct{ *testing.M }

func (i isolated) Run() int {
	if err := isolate(); err != nil {
		fmt.Fprintln(os.Stderr, "system tests:", err)
		return 1
	}
	defer leave()
	return i.M.Run()
}
