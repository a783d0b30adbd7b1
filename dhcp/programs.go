package dhcp

import "io/fs"

// Programs are the programs that run on a host, read once: for a host with many interfaces, and thousands of processes.
// What only a program's files say is read when it is asked for.
type Programs struct {
	root  fs.FS
	procs []process // nil: there is no /proc
}

// ReadPrograms reads which programs run. root is os.DirFS("/") but in tests.
func ReadPrograms(root fs.FS) Programs { return Programs{root: root, procs: processes(root)} }

// Running says whether a program of this name runs in our network namespace.
func (p Programs) Running(program string) bool {
	return len(host{root: p.root, procs: p.procs}.running(program)) > 0
}

// Owner looks for the owner of an interface, as FindOwner does.
func (p Programs) Owner(name string, index int) (Owner, bool) {
	h := host{root: p.root, name: name, index: index, procs: p.procs}
	var waiting *Owner
	for _, look := range []func() (Owner, bool){
		h.networkManager, h.networkd, h.dhclient, h.dhcpcd, h.udhcpc, h.ifupdown, h.wicked, h.connman,
	} {
		o, ok := look()
		switch {
		case ok && !o.Pending:
			return o, true
		case ok && waiting == nil:
			waiting = &o
		}
	}
	if waiting != nil {
		return *waiting, true
	}
	return Owner{}, false
}
