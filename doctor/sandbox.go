package doctor

import (
	"fmt"
	"io/fs"
	"strings"
)

// ReadSandbox tells how a process is confined. root is os.DirFS("/") but in tests; what may not be read counts
// as there, so that nobody is warned of what is not known.
func ReadSandbox(root fs.FS, pid int) Sandbox {
	s := Sandbox{NoNewPrivileges: true, Filtered: true}
	if b, err := fs.ReadFile(root, fmt.Sprintf("proc/%d/cgroup", pid)); err == nil {
		s.Unit = strings.Contains(string(b), "ec2net-ifup@") || strings.Contains(string(b), `ec2net\\x2difup@`) || strings.Contains(string(b), "system-ec2net")
	}
	b, err := fs.ReadFile(root, fmt.Sprintf("proc/%d/status", pid))
	if err != nil {
		return s
	}
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(line, ":")
		switch value = strings.TrimSpace(value); key {
		case "NoNewPrivs":
			s.NoNewPrivileges = value == "1"
		case "Seccomp":
			s.Filtered = value != "0"
		}
	}
	return s
}
