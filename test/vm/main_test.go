//go:build vm

// Package vm boots Debian kernels in qemu, without KVM, to show what a container can not: interfaces plugged
// into a PCI bus, the names that udev gives them by slot, interfaces that are there at boot, a reboot, the
// kernels of the releases, and a cloud that is told by the firmware. The network is the lab's.
package vm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ec2net/test/lab"
	"ec2net/test/system/debian"
	"ec2net/test/testkit"
)

// imageEnv hands the images, which need the network to be made, to the tests, which have none.
const imageEnv = "EC2NET_VM_IMAGE_"

// suites are the releases that are booted, see debian.Suites. A test that needs but one takes the first.
var suites, errSuites = debian.Suites()

func TestMain(m *testing.M) {
	if os.Getenv(scratchEnv) != "" {
		os.Exit(lab.Main(withPayload{m}))
	}
	err := errSuites
	if err == nil {
		err = prepare()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "VM tests:", err)
		os.Exit(1)
	}
	status := lab.Main(withPayload{m})
	os.RemoveAll(scratch()) // here, because the tests may have been interrupted, or have run out of time
	os.Exit(status)
}

func prepare() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("the VM's image and its taps need root: run make test-vm as root")
	}
	if err := testkit.Programs("qemu-system-x86_64", "mmdebstrap", "mkfs.ext4", "zstd", "modprobe", "depmod", "dpkg-deb", "xz"); err != nil {
		return err
	}
	for _, suite := range suites {
		dir, err := image(suite)
		if err != nil {
			return err
		}
		os.Setenv(imageEnv+suite, dir)
	}
	sweep()
	dir := scratchPrefix + fmt.Sprint(os.Getpid())
	os.Setenv(scratchEnv, dir)
	return os.Mkdir(dir, 0o700)
}

// scratch is the folder that all tests share. Its name ends with the number of the process that removes it.
func scratch() string { return os.Getenv(scratchEnv) }

const scratchEnv = "EC2NET_VM_SCRATCH"

var scratchPrefix = filepath.Join(os.TempDir(), "ec2net-vm-")

// sweep removes the folders of processes that were killed.
func sweep() {
	old, _ := filepath.Glob(scratchPrefix + "*")
	for _, dir := range old {
		if _, err := os.Stat("/proc/" + strings.TrimPrefix(dir, scratchPrefix)); errors.Is(err, fs.ErrNotExist) {
			os.RemoveAll(dir)
		}
	}
}

// withPayload packs what is tested before the tests run.
type withPayload struct{ *testing.M }

func (w withPayload) Run() int {
	for _, suite := range suites {
		if err := payload(suite); err != nil {
			fmt.Fprintln(os.Stderr, "VM tests:", err)
			return 1
		}
	}
	return w.M.Run()
}
