package dhcp

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/sys/unix"
)

// tree builds a file system from "path: content" pairs; a content that begins with "-> " is a
// link. Our own process is 100, in the namespace net:[1].
func tree(files map[string]string) fstest.MapFS {
	all := map[string]string{
		"proc/self": "-> 100", "proc/thread-self/ns/net": "-> net:[1]",
		"proc/100/cmdline": "ec2net\x00run\x00eth1\x00", "proc/100/ns/net": "-> net:[1]",
		"proc/2/cmdline": "", "proc/uptime": "1 2\n", // a kernel thread, and a file
	}
	for k, v := range files {
		all[k] = v
	}
	t := fstest.MapFS{}
	for name, text := range all {
		f := &fstest.MapFile{Data: []byte(text)}
		if to, ok := strings.CutPrefix(text, "-> "); ok {
			f = &fstest.MapFile{Data: []byte(to), Mode: fs.ModeSymlink}
		}
		t[name] = f
	}
	return t
}

// proc adds a process in our network namespace.
func proc(files map[string]string, pid, cmdline string) map[string]string {
	all := map[string]string{"proc/" + pid + "/cmdline": strings.ReplaceAll(cmdline, " ", "\x00") + "\x00", "proc/" + pid + "/ns/net": "-> net:[1]"}
	for k, v := range files {
		all[k] = v
	}
	return all
}

// nm130 is a profile as NetworkManager 1.30 writes one below /run, of which it is not said who made it.
func nm130(id, autoconnect, method string) string {
	return "[connection]\nid=" + id + "\nuuid=6f0-1\ntype=ethernet\nautoconnect=" + autoconnect + "\ninterface-name=eth1\npermissions=\ntimestamp=1796067221\n\n" +
		"[ethernet]\nmac-address=02:EC:20:00:01:01\nmac-address-blacklist=\n\n[ipv4]\naddress1=10.0.2.37/24,10.0.2.1\ndns-priority=100\nmethod=" + method +
		"\n\n[ipv6]\naddr-gen-mode=stable-privacy\nmethod=disabled\n\n[proxy]\n"
}

func TestFindOwner(t *testing.T) {
	const (
		nm     = "/usr/sbin/NetworkManager --no-daemon"
		netd   = "/lib/systemd/systemd-networkd"
		nmFile = "run/NetworkManager/devices/3"
		sdFile = "run/systemd/netif/links/3"

		nmProfile = "run/NetworkManager/system-connections/eth1.nmconnection"
	)
	type files = map[string]string
	for _, c := range []struct {
		name  string
		files files
		want  string // program, "" for none
		why   string
		wait  bool
	}{
		{"nobody", nil, "", "", false},
		{"our own process", files{"run/dhcpcd/eth1.pid": "100"}, "", "", false},

		{"NM has it", proc(files{nmFile: "[device]\nmanaged=true\nconnection-uuid=6f0-1\nroute-metric=100\n"}, "7", nm), "NetworkManager", "connection-uuid=6f0-1", false},
		{"NM does not want it", proc(files{nmFile: "[device]\nmanaged=false\n"}, "7", nm), "", "", false},
		{"NM has no connection for it", proc(files{nmFile: "[device]\nmanaged=true\n"}, "7", nm), "NetworkManager", "names no connection yet", true},
		{"NM found it configured", proc(files{nmFile: "[device]\nmanaged=true\nconnection-uuid=6f0-1\n", "run/NetworkManager/system-connections/eth1.nmconnection": "[connection]\nid=eth1\nuuid=6f0-1\n\n[.nmmeta]\nnm-generated=true\nvolatile=true\nexternal=true\n"}, "7", nm), "", "", false},
		{"NM has it, beside one that it found", proc(files{nmFile: "[device]\nmanaged=true\nconnection-uuid=6f0-1\n", "run/NetworkManager/system-connections/lo.nmconnection": "[connection]\nuuid=7a1-2\n[.nmmeta]\nexternal=true\n"}, "7", nm), "NetworkManager", "connection-uuid=6f0-1", false},
		{"NM made its connection itself", proc(files{nmFile: "[device]\nmanaged=true\nconnection-uuid=6f0-1\n", "run/NetworkManager/system-connections/Wired connection 1.nmconnection": "[connection]\nuuid=6f0-1\n[.nmmeta]\nnm-generated=true\n"}, "7", nm), "NetworkManager", "connection-uuid=6f0-1", false},
		{"NM 1.30 found it configured", proc(files{nmFile: "[device]\nmanaged=true\nconnection-uuid=6f0-1\n", nmProfile: nm130("eth1", "false", "manual")}, "7", nm), "", "", false},
		{"NM 1.30 has it by DHCP", proc(files{nmFile: "[device]\nmanaged=true\nconnection-uuid=6f0-1\n", nmProfile: nm130("eth1", "false", "auto")}, "7", nm), "NetworkManager", "connection-uuid=6f0-1", false},
		{"NM 1.30 activates it by itself", proc(files{nmFile: "[device]\nmanaged=true\nconnection-uuid=6f0-1\n", nmProfile: nm130("eth1", "true", "manual")}, "7", nm), "NetworkManager", "connection-uuid=6f0-1", false},
		{"NM 1.30 has a profile of netplan's", proc(files{nmFile: "[device]\nmanaged=true\nconnection-uuid=6f0-1\n", nmProfile: nm130("netplan-eth1", "false", "manual")}, "7", nm), "NetworkManager", "connection-uuid=6f0-1", false},
		{"NM has not seen it", proc(files{"run/NetworkManager/devices/2": "[device]\nmanaged=true\nconnection-uuid=6\n"}, "7", nm), "NetworkManager", "/run/NetworkManager/devices/3 is not there yet", true},
		{"NM ended", files{nmFile: "[device]\nmanaged=true\nconnection-uuid=6f0-1\n"}, "", "", false},
		{"NM of another namespace", proc(files{nmFile: "[device]\nmanaged=true\nconnection-uuid=6\n", "proc/7/ns/net": "-> net:[9]"}, "7", nm), "", "", false},
		{"a page about NM", proc(files{}, "7", "less /usr/sbin/NetworkManager"), "", "", false},

		{"networkd configured it", proc(files{sdFile: "# private\nADMIN_STATE=configured\nNETWORK_FILE=/etc/systemd/network/80.network\n"}, "8", netd), "systemd-networkd", "configured by /etc/systemd/network/80.network", false},
		{"networkd is at it", proc(files{sdFile: "ADMIN_STATE=configuring\nNETWORK_FILE=/x\n"}, "8", netd), "systemd-networkd", "configuring by /x", false},
		{"networkd failed at it", proc(files{sdFile: "ADMIN_STATE=failed\nNETWORK_FILE=/x\n"}, "8", netd), "systemd-networkd", "failed", false},
		{"networkd failed, no file", proc(files{sdFile: "ADMIN_STATE=failed\n"}, "8", netd), "", "", false},
		{"networkd leaves it", proc(files{sdFile: "ADMIN_STATE=unmanaged\n"}, "8", netd), "", "", false},
		{"networkd waits for udev", proc(files{sdFile: "ADMIN_STATE=pending\n"}, "8", netd), "systemd-networkd", "says pending", true},
		{"networkd begins", proc(files{sdFile: "ADMIN_STATE=initialized\n"}, "8", netd), "systemd-networkd", "says initialized", true},
		{"networkd has not seen it", proc(files{}, "8", netd), "systemd-networkd", "not there yet", true},
		{"networkd ended", files{sdFile: "ADMIN_STATE=configured\nNETWORK_FILE=/x\n"}, "", "", false},
		{"a definite owner before a pending one", proc(proc(files{sdFile: "ADMIN_STATE=configured\nNETWORK_FILE=/x\n"}, "8", netd), "7", nm), "systemd-networkd", "", false},

		{"dhclient", proc(nil, "9", "/sbin/dhclient -4 -v -i -pf /run/dhclient.eth1.pid -lf /var/lib/dhcp/eth1.leases -I eth1"), "dhclient", "process 9: ", false},
		{"dhclient for two interfaces", proc(nil, "9", "dhclient eth0 eth1"), "dhclient", "", false},
		{"dhclient for eth10", proc(nil, "9", "dhclient eth10"), "", "", false},
		{"dhclient with a file named like the interface", proc(nil, "9", "dhclient -cf eth1 eth0"), "", "", false},
		{"dhclient that releases", proc(nil, "9", "dhclient -r eth1"), "", "", false},
		{"dhclient for IPv6", proc(nil, "9", "dhclient -6 eth1"), "", "", false},
		{"dhclient of a container", proc(files{"proc/9/ns/net": "-> net:[2]"}, "9", "dhclient eth1"), "", "", false},
		{"dhclient's namespace unknown", files{"proc/9/cmdline": "dhclient\x00eth1\x00"}, "dhclient", "", false},
		{"pid file of dhclient", proc(files{"run/dhclient-eth1.pid": "9\n"}, "9", "dhclient -nw"), "dhclient", "/run/dhclient-eth1.pid names its process 9", false},
		{"pid file in /var/run", proc(files{"var/run/dhclient.eth1.pid": "9\n"}, "9", "dhclient"), "dhclient", "/var/run/dhclient.eth1.pid", false},
		{"pid file of a dead one", files{"run/dhclient.eth1.pid": "9\n"}, "", "", false},
		{"pid file, and the number is another's now", proc(files{"run/dhclient.eth1.pid": "9\n"}, "9", "sshd"), "", "", false},
		{"pid file of eth10", proc(files{"run/dhclient.eth10.pid": "9\n"}, "9", "dhclient"), "", "", false},

		{"dhcpcd for the interface", proc(nil, "9", ""), "", "", false},
		{"dhcpcd, title", files{"proc/9/cmdline": "dhcpcd: eth1 [ip4] [ip6]\x00"}, "dhcpcd", "process 9: dhcpcd: eth1 [ip4] [ip6]", false},
		{"dhcpcd, IPv6 only", files{"proc/9/cmdline": "dhcpcd: eth1 [ip6]\x00"}, "", "", false},
		{"dhcpcd's helper alone", files{"proc/9/cmdline": "dhcpcd: [network proxy] eth1 [ip4]\x00"}, "", "", false},
		{"dhcpcd for eth0", files{"proc/9/cmdline": "dhcpcd: eth0 [ip4]\x00"}, "", "", false},
		{"dhcpcd for all", files{"proc/9/cmdline": "dhcpcd: [manager] [ip4] [ip6]\x00"}, "dhcpcd", "", false},
		{"dhcpcd for all, older", files{"proc/9/cmdline": "dhcpcd: [master] [ip4]\x00"}, "dhcpcd", "", false},
		{"dhcpcd for all, just started", proc(nil, "9", "/usr/sbin/dhcpcd -q -b"), "dhcpcd", "", false},
		{"dhcpcd denied", files{"proc/9/cmdline": "dhcpcd: [manager] [ip4]\x00", "etc/dhcpcd.conf": "# hello\nhostname\ndenyinterfaces wlan0 eth[1-9]\n"}, "", "", false},
		{"dhcpcd denied others", files{"proc/9/cmdline": "dhcpcd: [manager] [ip4]\x00", "etc/dhcpcd.conf": "denyinterfaces eth0,veth*\n"}, "dhcpcd", "", false},
		{"dhcpcd allowed others", files{"proc/9/cmdline": "dhcpcd: [manager] [ip4]\x00", "etc/dhcpcd.conf": "allowinterfaces eth0\n"}, "", "", false},
		{"dhcpcd allowed it", files{"proc/9/cmdline": "dhcpcd: [manager] [ip4]\x00", "etc/dhcpcd.conf": "allowinterfaces eth0\nallowinterfaces eth1\n"}, "dhcpcd", "", false},
		{"dhcpcd, deny below an interface's section", files{"proc/9/cmdline": "dhcpcd: [manager] [ip4]\x00", "etc/dhcpcd.conf": "interface eth0\ndenyinterfaces eth1\n"}, "dhcpcd", "", false},
		{"pid file of dhcpcd", proc(files{"run/dhcpcd/eth1-4.pid": "9"}, "9", "dhcpcd eth9"), "dhcpcd", "/run/dhcpcd/eth1-4.pid", false},
		{"old pid file of dhcpcd, dead", files{"run/dhcpcd-eth1.pid": "9"}, "", "", false},

		{"udhcpc", proc(nil, "9", "udhcpc -n -p /run/udhcpc.eth1.pid -i eth1"), "udhcpc", "", false},
		{"udhcpc, bundled", proc(nil, "9", "udhcpc -fbi eth1"), "udhcpc", "", false},
		{"udhcpc, joined", proc(nil, "9", "udhcpc -ieth1"), "udhcpc", "", false},
		{"udhcpc, long", proc(nil, "9", "busybox udhcpc --interface=eth1"), "udhcpc", "", false},
		{"udhcpc, long and apart", proc(nil, "9", "/bin/busybox udhcpc --interface eth1"), "udhcpc", "", false},
		{"udhcpc for eth0 by default", proc(nil, "9", "udhcpc -f -s /usr/share/eth1"), "", "", false},
		{"udhcpc without a value", proc(nil, "9", "udhcpc -i"), "", "", false},

		{"ifupdown", files{"run/network/ifstate": "lo=lo\neth1=eth1\n"}, "ifupdown", "/run/network/ifstate: eth1=eth1", false},
		{"ifupdown, one file each", files{"run/network/ifstate.eth1": "eth1\n"}, "ifupdown", "/run/network/ifstate.eth1: eth1", false},
		{"ifupdown took it down", files{"run/network/ifstate": "lo=lo\n", "run/network/ifstate.eth1": ""}, "", "", false},

		{"wicked", proc(files{"run/wicked/leaseinfo.eth1.dhcp.ipv4": "IPADDR=1\n"}, "9", "/usr/sbin/wickedd --systemd"), "wicked", "leaseinfo.eth1.dhcp.ipv4", false},
		{"wicked, by configuration", proc(files{"etc/sysconfig/network/ifcfg-eth1": "BOOTPROTO=dhcp\n"}, "9", "/usr/sbin/wickedd"), "wicked", "ifcfg-eth1", false},
		{"wicked knows nothing of it", proc(nil, "9", "/usr/sbin/wickedd"), "", "", false},
		{"wicked ended", files{"run/wicked/leaseinfo.eth1.dhcp.ipv4": ""}, "", "", false},
		{"connman", proc(nil, "9", "/usr/sbin/connmand -n"), "connman", "", false},
		{"connman, excluded", proc(files{"etc/connman/main.conf": "[General]\nNetworkInterfaceBlacklist=veth,eth1\n"}, "9", "connmand"), "", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, ok := FindOwner(tree(c.files), "eth1", 3)
			if ok != (c.want != "") || o.Program != c.want || o.Pending != c.wait || !strings.Contains(o.Why, c.why) {
				t.Errorf("found %v: %+v", ok, o)
			}
			if ok && o.Why == "" {
				t.Error("no reason")
			}
		})
	}
}

// A program that takes every interface has not shown that it has noticed this one; one that names it has.
func TestFindOwnerForAll(t *testing.T) {
	type files = map[string]string
	manager := files{"proc/9/cmdline": "dhcpcd: [manager] [ip4]\x00"}
	for name, tt := range map[string]struct {
		files  files
		forAll bool
	}{
		"dhcpcd for all":                         {manager, true},
		"dhcpcd for all, and another for this":   {proc(manager, "8", "dhcpcd eth1"), false},
		"dhcpcd for all, with a pid file for us": {proc(files{"run/dhcpcd/eth1-4.pid": "9"}, "9", "dhcpcd"), false},
		"connman":                                {proc(nil, "9", "/usr/sbin/connmand -n"), true},
		"udhcpc":                                 {proc(nil, "9", "udhcpc -i eth1"), false},
	} {
		if o, ok := FindOwner(tree(tt.files), "eth1", 3); !ok || o.ForAll != tt.forAll {
			t.Errorf("%s: %+v", name, o)
		}
	}
}

// Without /proc nobody can tell what runs: the files are believed, and nobody is waited for.
func TestFindOwnerWithoutProc(t *testing.T) {
	if o, ok := FindOwner(fstest.MapFS{}, "eth1", 3); ok {
		t.Errorf("an empty tree: %+v", o)
	}
	o, ok := FindOwner(fstest.MapFS{"run/NetworkManager/devices/3": {Data: []byte("[device]\nmanaged=1\nconnection-uuid=a\x1b[31m\n")}}, "eth1", 3)
	if !ok || o.Program != "NetworkManager" || strings.Contains(o.Why, "\x1b") {
		t.Errorf("NetworkManager's file: %+v", o)
	}
	if o, ok := FindOwner(fstest.MapFS{"run/dhclient.eth1.pid": {Data: []byte("9")}}, "eth1", 3); ok {
		t.Errorf("a pid file of nobody: %+v", o)
	}
}

// The real programs, found in the real /proc: in their own namespace, and not from another one.
func TestFindRealOwners(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		program string
		argv    func(dir string) []string
	}{
		{"dhclient", func(dir string) []string {
			return []string{"dhclient", "-d", "-4", "-sf", "/bin/true", "-lf", dir + "/leases", "-pf", dir + "/pid", "c0"}
		}},
		{"dhcpcd", func(string) []string {
			return []string{"dhcpcd", "-B", "-4", "-c", "/bin/true", "-C", "resolv.conf", "c0"}
		}},
		{"dhcpcd", func(string) []string { return []string{"dhcpcd", "-B", "-4", "--nodev", "-c", "/bin/true"} }},
		{"udhcpc", func(string) []string { return []string{"udhcpc", "-f", "-s", "/bin/true", "-i", "c0"} }},
	} {
		t.Run(strings.Join(c.argv(""), " "), func(t *testing.T) {
			t.Parallel()
			b := newBed(t)
			d := b.dnsmasq()
			root := os.DirFS("/")
			if o, ok := FindOwner(root, "c0", b.iface.Index); ok {
				t.Errorf("nobody is there yet: %+v", o)
			}
			stop := b.client4(c.argv(t.TempDir()))
			b.eventually("a lease", func() bool { return strings.Contains(d.text(), "DHCPACK(b0)") })
			o, ok := FindOwner(root, "c0", b.iface.Index)
			if !ok || o.Program != c.program || o.Pending {
				t.Errorf("found %v: %+v", ok, o)
			}
			if o, ok := FindOwner(root, "c1", b.iface.Index+1); ok && slices.Contains(c.argv(""), "c0") {
				t.Errorf("another interface is owned: %+v", o)
			}
			b.atServer(func() {
				if o, ok := FindOwner(root, "c0", b.iface.Index); ok {
					t.Errorf("found from another namespace: %+v", o)
				}
			})
			stop()
			b.eventually("the end of "+c.program, func() bool { _, ok := FindOwner(root, "c0", b.iface.Index); return !ok })
		})
	}
}

// client4 runs a DHCP client in the client's network namespace, and with a /run of its own.
func (b *bed) client4(argv []string) (stop func()) {
	b.Helper()
	dir := b.TempDir()
	for _, sub := range []string{"run", "lib"} {
		b.must(os.Mkdir(filepath.Join(dir, sub), 0o755))
	}
	script := `mount --bind "$0/run" /run && if [ -d /var/lib/dhcpcd ]; then mount --bind "$0/lib" /var/lib/dhcpcd; fi && exec "$@"`
	// The client is the first of its own process namespace, so that its helpers end with it.
	cmd := exec.Command("unshare", append([]string{"-m", "--propagation", "private", "sh", "-c", script, dir}, argv...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second // helpers keep the pipe open
	b.must(cmd.Start())
	stop = func() {
		if cmd.ProcessState == nil {
			cmd.Process.Signal(unix.SIGTERM)
			b.endAll()
			cmd.Wait()
		}
	}
	b.Cleanup(stop)
	return stop
}

// endAll ends what still runs in the client's network namespace, but for this process: helpers
// that a client started.
func (b *bed) endAll() {
	b.Helper()
	ours, err := os.Readlink("/proc/thread-self/ns/net")
	b.must(err)
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		left := 0
		for _, p := range processes(os.DirFS("/")) {
			if ns, err := os.Readlink("/proc/" + p.pid + "/ns/net"); err == nil && ns == ours {
				left++
				if time.Since(begun) > 2*time.Second {
					b.must(exec.Command("kill", "-9", p.pid).Run())
				}
			}
		}
		if left == 0 {
			return
		}
		if time.Since(begun) > patience {
			b.Fatalf("%d processes are left", left)
		}
	}
}

func (b *bed) eventually(what string, is func() bool) {
	b.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			b.Fatalf("no %s", what)
		}
	}
}
