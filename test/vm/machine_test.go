//go:build vm

package vm

import (
	"bufio"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ec2net/test/lab"
	"ec2net/test/lab/labtest"
)

// machine is a VM whose interfaces are the lab's.
type machine struct {
	t     *testing.T
	suite string
	cloud *lab.Cloud
	dir   string
	qemu  *exec.Cmd
	ended chan struct{}
	qmp   *monitor
	sh    *shell
}

// The firmware's tables of the clouds, as far as they tell the cloud.
const (
	firmwareEC2   = "type=1,manufacturer=Amazon EC2,product=t3.test"
	firmwareAzure = "type=3,manufacturer=Microsoft Corporation,asset=7783-7084-3265-9085-8269-3286-77"
)

// power starts a VM on EC2 with the interfaces in place, from the snapshot if one is named, and ends it with the
// test.
func power(t *testing.T, suite, snapshot string, ifaces ...lab.Interface) *machine {
	t.Helper()
	return powerIn(t, suite, snapshot, firmwareEC2, lab.Config{Interfaces: ifaces})
}

// powerIn is power in a cloud of any kind.
func powerIn(t *testing.T, suite, snapshot, firmware string, cfg lab.Config) *machine {
	t.Helper()
	t.Attr("suite", suite) // for the table in docs/releases.md
	m := &machine{t: t, suite: suite}
	var err error
	if m.dir, err = os.MkdirTemp(scratch(), "vm-"); err != nil {
		t.Fatal(err)
	}
	if m.cloud, err = lab.New(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.discard)
	m.ip("addr flush dev eth0")
	args := append(m.arguments(), "-smbios", firmware)
	for i, c := range cfg.Interfaces {
		m.tap(c, i)
		args = append(args, "-netdev", fmt.Sprintf("tap,id=n%d,ifname=tap%d,script=no,downscript=no", i, i),
			"-device", fmt.Sprintf("virtio-net-pci,netdev=n%d,id=nic%d,mac=%s,addr=0x%x,romfile=", i, i, c.MAC, 5+i))
	}
	if snapshot != "" {
		args = append(args, "-incoming", "exec:zstd -dcq "+snapshot)
	}
	m.start(args)
	if snapshot != "" {
		m.resume()
	}
	return m
}

// One processor without cmpxchg16b: qemu 7.2's TCG now and then leaves garbage in EFLAGS after that
// instruction, and 6.12 dies of it in its memory allocator (seen twice; the bytes at RIP say so).
//
// arguments are the same for the VM that is saved and for those that go on from there. KVM is never asked for:
// where this machine is itself a guest it may be there and hang.
func (m *machine) arguments() []string {
	image := os.Getenv(imageEnv + m.suite)
	return []string{
		"-nodefaults", "-no-user-config", "-display", "none", "-M", "pc", "-accel", "tcg,thread=multi", "-cpu", "Nehalem,-cx16",
		"-smp", "1", "-m", "512", "-kernel", image + "/vmlinuz", "-initrd", image + "/initrd",
		"-append", "console=ttyS0 panic=-1 mitigations=off quiet systemd.condition_needs_update=no",
		"-drive", "file=" + image + "/root.ext4,format=raw,if=none,id=d0,readonly=on,cache=unsafe", "-device", "virtio-blk-pci,drive=d0,addr=0x3",
		"-drive", "file=" + payloadFile(m.suite) + ",format=raw,if=none,id=d1,readonly=on,cache=unsafe", "-device", "virtio-blk-pci,drive=d1,addr=0x4",
		"-chardev", "file,id=con,path=" + m.dir + "/console", "-serial", "chardev:con",
		"-chardev", "socket,id=sh,path=" + m.dir + "/shell,server=on,wait=off", "-serial", "chardev:sh",
		"-qmp", "unix:" + m.dir + "/qmp,server=on,wait=off", "-device", "virtio-rng-pci,addr=0x1e",
	}
}

func (m *machine) start(args []string) {
	m.t.Helper()
	said, err := os.Create(m.dir + "/qemu")
	if err != nil {
		m.t.Fatal(err)
	}
	defer said.Close()
	network, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", int(m.cloud.Instance().NetNS())))
	if err != nil {
		m.t.Fatal(err)
	}
	defer network.Close()
	m.qemu = exec.Command("nsenter", append([]string{"--net=/proc/self/fd/3", "--", "qemu-system-x86_64"}, args...)...)
	m.qemu.ExtraFiles = []*os.File{network}
	m.qemu.Stdout, m.qemu.Stderr = said, said
	if err := m.spawn(); err != nil {
		m.t.Fatal(err)
	}
	conn, err := dial(m.dir+"/qmp", m.ended)
	if err != nil {
		m.t.Fatalf("%v: %s", err, m.file("qemu"))
	}
	if m.qmp, err = openMonitor(conn); err != nil {
		m.t.Fatal(err)
	}
	if conn, err = dial(m.dir+"/shell", m.ended); err != nil {
		m.t.Fatal(err)
	}
	m.sh = &shell{conn: conn, in: bufio.NewReader(conn)}
}

// spawn starts qemu on a thread that lives as long as it does: it dies with us.
func (m *machine) spawn() error {
	m.qemu.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	started := make(chan error)
	m.ended = make(chan struct{})
	go func() {
		runtime.LockOSThread()
		err := m.qemu.Start()
		started <- err
		if err == nil {
			_ = m.qemu.Wait()
		}
		close(m.ended)
	}()
	return <-started
}

// hang is how long a test waits for what it would otherwise wait for in vain. It ends a test that hangs, and measures
// nothing: the emulator is slow, and the machine has other work: the other parts of make test.
const hang = 10 * time.Minute

// booted waits for the shell, and for the end of the start-up.
func (m *machine) booted() time.Duration {
	m.t.Helper()
	began := time.Now()
	if err := m.sh.ready(hang); err != nil {
		m.t.Fatal(err)
	}
	m.until(hang, "the system runs", func() bool {
		out, _ := m.try("systemctl is-system-running --wait")
		return out == "running" || out == "degraded"
	})
	return time.Since(began)
}

// do runs a monitor command that must succeed.
func (m *machine) do(command string, args map[string]any) {
	m.t.Helper()
	if err := m.qmp.do(command, args, nil); err != nil {
		m.t.Fatal(err)
	}
}

type status struct{ Status string }

// save writes the VM's state to a file and ends it.
func (m *machine) save(file string) {
	m.t.Helper()
	m.run("sync; echo 3 >/proc/sys/vm/drop_caches")
	m.do("stop", nil)
	m.do("migrate-set-parameters", map[string]any{"max-bandwidth": 4 << 30})
	m.do("migrate", map[string]any{"uri": "exec:zstd -1 -T2 -qf -o " + file})
	m.until(hang, "the snapshot", func() bool {
		var s status
		return m.qmp.do("query-migrate", nil, &s) == nil && s.Status == "completed"
	})
}

// resume lets a VM that was loaded go on. Its clock stood still.
func (m *machine) resume() {
	m.t.Helper()
	m.until(hang, "the snapshot is loaded", func() bool {
		var s status
		return m.qmp.do("query-status", nil, &s) == nil && (s.Status == "paused" || s.Status == "running")
	})
	m.do("cont", nil)
	m.run(fmt.Sprintf("date -s @%d", time.Now().Unix()))
}

func (m *machine) answers(a netip.Addr, limit time.Duration) {
	m.t.Helper()
	labtest.Answers(m.t, m.cloud.Client(), a, 100*time.Millisecond, limit)
}

func (m *machine) try(command string) (string, int) {
	out, status, err := m.sh.run(command, hang)
	if err != nil {
		m.t.Logf("%v", err)
		return out, -1
	}
	return out, status
}

func (m *machine) run(command string) string {
	m.t.Helper()
	out, status := m.try(command)
	if status != 0 {
		m.t.Fatalf("%s: status %d\n%s", command, status, out)
	}
	return out
}

// until looks again and again until cond holds, and fails the test when it does not in time. It pauses for longer than a look
// takes: the VM has one processor, an emulated one, for the look and for what it waits for.
func (m *machine) until(limit time.Duration, what string, cond func() bool) {
	m.t.Helper()
	began := time.Now()
	for looked := began; !cond(); looked = time.Now() {
		if time.Since(began) > limit {
			m.t.Fatalf("after %s still not: %s", limit, what)
		}
		time.Sleep(max(50*time.Millisecond, 2*time.Since(looked)))
	}
}

// state is what the test looks at: the unit's state, and that of the system.
func (m *machine) state(command, want string) {
	m.t.Helper()
	var got string
	m.until(hang, command+" says "+want, func() bool { got, _ = m.try(command); return got == want })
}

func (m *machine) file(name string) string {
	b, _ := os.ReadFile(filepath.Join(m.dir, name))
	return string(b[max(0, len(b)-3000):])
}

func (m *machine) discard() {
	if m.t.Failed() {
		m.t.Logf("console: %s\nqemu: %s", m.file("console"), m.file("qemu"))
		if m.sh != nil {
			out, _ := m.try("ip -br addr; ip rule; ip route; systemctl --failed --no-legend; journalctl -b -o short-monotonic --no-pager -u 'ec2net*' | tail -40")
			m.t.Log(out)
		}
	}
	if m.qemu != nil && m.qemu.Process != nil {
		_ = m.qemu.Process.Kill()
		<-m.ended
	}
	if err := m.cloud.Close(); err != nil {
		m.t.Errorf("close the lab: %v", err)
	}
}
