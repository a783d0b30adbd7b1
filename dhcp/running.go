package dhcp

import "io/fs"

// Running says whether a program of this name runs in our network namespace. root is as for FindOwner.
func Running(root fs.FS, program string) bool {
	h := host{root: root, procs: processes(root)}
	return len(h.running(program)) > 0
}
