package dhcp

import (
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestRunning(t *testing.T) {
	t.Parallel()
	const name = "ec2net-test-daemon"
	root := os.DirFS("/")
	if ReadPrograms(root).Running(name) {
		t.Fatal("it runs before it was started")
	}
	cmd := exec.Command("sleep", "60")
	cmd.Args[0] = "/usr/lib/" + name
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	if !ReadPrograms(root).Running(name) {
		t.Error("it runs, and is not seen")
	}
}

// counting counts what is read of processes' command lines.
type counting struct {
	fs.FS
	reads *int
}

func (c counting) Open(name string) (fs.File, error) {
	if strings.HasSuffix(name, "/cmdline") {
		*c.reads++
	}
	return c.FS.Open(name)
}

// However many interfaces there are, each process is read once.
func TestProgramsAreReadOnce(t *testing.T) {
	t.Parallel()
	files := proc(nil, "7", "/usr/sbin/NetworkManager --no-daemon")
	files = proc(files, "8", "/sbin/dhclient eth2")
	reads := 0
	programs := ReadPrograms(counting{tree(files), &reads})
	once := reads
	for index, name := range []string{"eth0", "eth1", "eth2"} {
		programs.Owner(name, index)
	}
	if o, ok := programs.Owner("eth2", 3); !ok || o.Program != "dhclient" || !programs.Running("NetworkManager") {
		t.Errorf("eth2 is %+v's", o)
	}
	if once < 2 || reads != once {
		t.Errorf("%d command lines were read at first, %d in all", once, reads)
	}
}
