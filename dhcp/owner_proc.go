package dhcp

import (
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"
)

// process is one that is no kernel thread, and is not this one.
type process struct {
	pid  string
	argv []string
}

// processes returns nil when there is no /proc.
func processes(root fs.FS) []process {
	entries, err := fs.ReadDir(root, "proc")
	if err != nil {
		return nil
	}
	self, _ := fs.ReadLink(root, "proc/self")
	list := []process{}
	for _, e := range entries {
		if e.Name() == self || strings.Trim(e.Name(), "0123456789") != "" {
			continue
		}
		b, err := fs.ReadFile(root, "proc/"+e.Name()+"/cmdline")
		if argv := strings.Split(strings.TrimRight(string(b), "\x00"), "\x00"); err == nil && argv[0] != "" {
			list = append(list, process{pid: e.Name(), argv: argv})
		}
	}
	return list
}

// program is the name that a process was started by. busybox is named by its first argument, and
// a script's interpreter is not looked through.
func (p process) program() string {
	name := path.Base(p.argv[0])
	if title, _, ok := strings.Cut(p.argv[0], ": "); ok { // a daemon that writes its own title
		name = path.Base(title)
	}
	if name == "busybox" && len(p.argv) > 1 {
		return p.argv[1]
	}
	return name
}

// running returns the processes of a program in our network namespace. Where the kernel does not
// tell the namespace, it counts as ours.
func (h host) running(program string) []process {
	var list []process
	for _, p := range h.procs {
		if p.program() == program && h.sameNet(p.pid) {
			list = append(list, p)
		}
	}
	return list
}

// sameNet compares with the calling thread: another thread of this process may be elsewhere.
func (h host) sameNet(pid string) bool {
	ours, err := fs.ReadLink(h.root, "proc/thread-self/ns/net")
	if err != nil {
		return true
	}
	if theirs, err := fs.ReadLink(h.root, "proc/"+pid+"/ns/net"); err == nil {
		return theirs == ours
	}
	// A hardened unit has not CAP_SYS_PTRACE, without which the namespace of a process with more
	// rights is not told. Its files below net/ are, and their inodes belong to the namespace.
	mine, theirs := h.inode("proc/thread-self/net/dev"), h.inode("proc/"+pid+"/net/dev")
	if theirs == 0 && h.ended(pid) {
		return false // meanwhile, and with it went its namespace
	}
	return mine == theirs || mine == 0 || theirs == 0
}

// ended: the process is gone, or waits only for its parent to take note.
func (h host) ended(pid string) bool {
	b, err := h.read("proc/" + pid + "/cmdline")
	return err != nil || b == ""
}

// inode is a file's number, or 0 when it is not told.
func (h host) inode(name string) uint64 {
	info, err := fs.Stat(h.root, name)
	if err != nil {
		return 0
	}
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return s.Ino
	}
	return 0
}

// alive says whether a daemon runs; without /proc nobody can tell, and its files are believed.
func (h host) alive(daemon string) bool { return h.procs == nil || len(h.running(daemon)) > 0 }

// dhclient is named its interfaces, or takes those that are there when it starts: an interface that comes
// later is not among them, so that an unnamed one is not taken for owned.
func (h host) dhclient() (Owner, bool) {
	for _, p := range h.running("dhclient") {
		if slices.Contains(positional(p.argv[1:], dhclientValues()), h.name) && !ends(p.argv) {
			return owned("dhclient", p)
		}
	}
	return h.byPidFile("dhclient", "run/dhclient*.pid", "var/run/dhclient*.pid")
}

// dhclientValues are the flags that take the next argument (dhclient(8)).
func dhclientValues() []string {
	return []string{"-p", "-s", "-g", "-D", "-e", "-E", "-pf", "-lf", "-cf", "-sf", "-df", "--timeout", "--dad-wait-time",
		"--decline-wait-time", "--prefix-len-hint", "--address-prefix-len"}
}

// ends says whether a dhclient only ends another one, or does IPv6.
func ends(argv []string) bool {
	return slices.ContainsFunc(argv, func(a string) bool { return a == "-r" || a == "-x" || a == "-6" })
}

// dhcpcd writes what it does into its title: "dhcpcd: eth1 [ip4]", "dhcpcd: [manager] [ip4]".
func (h host) dhcpcd() (forAll Owner, found bool) {
	for _, p := range h.running("dhcpcd") {
		named, all := dhcpcdInterfaces(p)
		if slices.Contains(named, h.name) {
			return owned("dhcpcd", p)
		}
		if all && h.dhcpcdTakes() {
			forAll, _ = owned("dhcpcd", p)
			forAll.ForAll, found = true, true
		}
	}
	if o, ok := h.byPidFile("dhcpcd", "run/dhcpcd/*.pid", "run/dhcpcd-*.pid"); ok {
		return o, true
	}
	return forAll, found
}

// dhcpcdInterfaces returns the interfaces that a dhcpcd was named, or that it takes all of them. Its helper
// processes, each with a title of its own, say nothing: the main one is there too.
func dhcpcdInterfaces(p process) (named []string, all bool) {
	_, title, ok := strings.Cut(p.argv[0], ": ")
	if !ok { // it has only just been started
		named = positional(p.argv[1:], nil)
		return named, len(named) == 0
	}
	if !strings.Contains(title, "[ip4]") || strings.Contains(title, "proxy]") {
		return nil, false
	}
	for _, w := range strings.Fields(title) {
		switch {
		case w == "[manager]", w == "[master]":
			all = true
		case !strings.HasPrefix(w, "["):
			named = append(named, w)
		}
	}
	return named, all
}

// udhcpc takes one interface, eth0 unless it is told another.
func (h host) udhcpc() (Owner, bool) {
	for _, p := range h.running("udhcpc") {
		if udhcpcInterface(p.argv) == h.name {
			return owned("udhcpc", p)
		}
	}
	return Owner{}, false
}

func udhcpcInterface(argv []string) string {
	for i, a := range argv {
		long, isLong := strings.CutPrefix(a, "--interface")
		if name, ok := strings.CutPrefix(long, "="); isLong && ok {
			return name
		}
		flags, name, short := strings.Cut(a, "i")
		switch {
		case isLong && long == "", short && name == "" && simpleFlags(flags):
			if i+1 < len(argv) {
				return argv[i+1]
			}
		case short && simpleFlags(flags):
			return name
		}
	}
	return "eth0"
}

// simpleFlags says whether s is a bundle of udhcpc's flags that take no value.
func simpleFlags(s string) bool {
	return strings.HasPrefix(s, "-") && strings.Trim(s[1:], "fbqnRSBovC") == ""
}

// byPidFile finds a process by a pid file with the interface's name in its own.
func (h host) byPidFile(program string, patterns ...string) (Owner, bool) {
	for _, pattern := range patterns {
		files, _ := fs.Glob(h.root, pattern)
		for _, f := range files {
			if !namesInterface(path.Base(f), h.name) {
				continue
			}
			text, _ := h.read(f)
			for _, p := range h.running(program) {
				if p.pid == strings.TrimSpace(text) && !ends(p.argv) {
					return Owner{Program: program, Why: "/" + f + " names its process " + p.pid}, true
				}
			}
		}
	}
	return Owner{}, false
}

// namesInterface says whether a file is about the interface: dhclient.eth1.pid, dhclient-eth1.pid, eth1.pid,
// eth1-4.pid, but not dhclient.eth10.pid. Interface names may hold dots and dashes themselves.
func namesInterface(file, iface string) bool {
	file = strings.TrimSuffix(file, ".pid")
	for _, before := range []string{"", "dhclient.", "dhclient-", "dhcpcd-"} {
		if rest, ok := strings.CutPrefix(file, before); ok && (rest == iface || rest == iface+"-4") {
			return true
		}
	}
	return false
}

// positional returns the arguments that are neither flags nor the values of flags.
func positional(args, withValue []string) (list []string) {
	for i := 0; i < len(args); i++ {
		switch {
		case slices.Contains(withValue, args[i]):
			i++
		case !strings.HasPrefix(args[i], "-"):
			list = append(list, args[i])
		}
	}
	return list
}

func owned(program string, p process) (Owner, bool) {
	return Owner{Program: program, Why: "process " + p.pid + ": " + shown(strings.Join(p.argv, " "))}, true
}
