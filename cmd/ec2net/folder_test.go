package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ec2net/test/lab"
	"ec2net/test/testkit"
)

// A folder that somebody else put there is refused before anything is done.
func TestStateFolderOfSomebodyElse(t *testing.T) {
	theirs, _ := testkit.ForeignFolder(t)
	link := filepath.Join(t.TempDir(), "ec2net")
	must(t, os.Symlink(t.TempDir(), link))
	for name, dir := range map[string]string{"it belongs to user": theirs, "not a folder": link} {
		t.Run(name, func(t *testing.T) {
			before, _ := os.ReadDir(dir)
			t.Setenv("RUNTIME_DIRECTORY", dir)
			for _, args := range []string{"status", "up eth1", "run eth1", "down eth1", "scan"} {
				var out bytes.Buffer
				got := execute(t.Context(), append([]string{"ec2net", "--cloud", "ec2"}, strings.Fields(args)...), streams{nil, &out, &out})
				if got != exitFailed || !strings.Contains(out.String(), name) || !strings.Contains(out.String(), "refused") {
					t.Errorf("ec2net %s: status %d, %s", args, got, &out)
				}
			}
			if after, _ := os.ReadDir(dir); len(after) != len(before) {
				t.Errorf("written: %v", after)
			}
		})
	}
}

// A full disk is no reason to leave an interface dead. Who keeps it is to be seen as soon as there is room, and again
// after somebody has deleted the folder.
func TestKeptWithoutADisk(t *testing.T) {
	t.Parallel()
	c := cloud(t, lab.Config{})
	shell(t, c.Instance(), "mkdir -p /run/ec2net", "mount -t tmpfs -o size=4k,mode=700 tmpfs /run/ec2net",
		"head -c 4096 /dev/zero >/run/ec2net/full")
	k := keep(t, c, "eth1")
	answers(t, c, lab.EIP2)
	k.logs(t, "no space left on device")
	kept := fmt.Sprintf("managed by  process %d", k.Process.Pid)
	full := func(why string) {
		t.Helper()
		out := ec2net(t, c, exitOK, "status", "eth1")
		says(t, out, kept, "no space is left in /run/ec2net", "record      the process that manages the interface cannot write it", why)
		if strings.Contains(out, "drift       none") {
			t.Errorf("status knows no drift:\n%s", out)
		}
		says(t, ec2net(t, c, exitOK, "up", "eth0"), "no space left on device")
		findings, _ := diagnosis(t, c)
		if got := roots(findings); got != "warn room" || !explains(findings, "record") {
			t.Errorf("doctor found %q\n%s", got, report(t, c))
		}
	}
	full("its process id could not be written")
	told := func(when string) {
		t.Helper()
		must(t, k.Process.Signal(syscallHUP))
		eventually(t, hang, "who keeps the interface "+when, func() bool {
			out, _ := on(t, c, "ec2net", "--cloud", "ec2", "status", "eth1")
			return strings.Contains(out, kept)
		})
	}
	shell(t, c.Instance(), "mount -o remount,size=1m /run/ec2net", "rm /run/ec2net/full")
	told("once there is room")
	if out := ec2net(t, c, exitOK, "status", "eth1"); strings.Contains(out, "record  ") || !strings.Contains(out, "drift       none") {
		t.Errorf("with room again:\n%s", out)
	}
	shell(t, c.Instance(), "head -c 2m /dev/zero >/run/ec2net/full || true")
	must(t, c.Assign("eth1", addr("10.0.2.50")))
	must(t, k.Process.Signal(syscallHUP))
	eventually(t, hang, "the new address", func() bool { return strings.Contains(addresses(t, c, "eth1"), "10.0.2.50") })
	eventually(t, hang, "the record that cannot be written", func() bool { return strings.Contains(ec2net(t, c, exitOK, "status", "eth1"), "record  ") })
	full("no space left on device")
	shell(t, c.Instance(), "rm /run/ec2net/full")
	told("once there is room again")
	shell(t, c.Instance(), "umount -l /run/ec2net", "rm -r /run/ec2net")
	told("in a new folder")
	says(t, ec2net(t, c, exitFailed, "run", "eth1"), "already manages eth1")
	k.stop(t)
	if files, _ := runOn(c.Instance(), "ls -A /run/ec2net"); strings.Contains(files, "lock") {
		t.Errorf("left behind: %s", files)
	}
}
