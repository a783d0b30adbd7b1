package doctor

import (
	"testing"
	"testing/fstest"
)

func TestReadSandbox(t *testing.T) {
	t.Parallel()
	const unit = "0::/system.slice/system-ec2net\\x2difup.slice/ec2net-ifup@eth1.service\n"
	for _, tt := range []struct {
		name, cgroup, status string
		want                 Sandbox
	}{
		{"the unit", unit, "Name:\tec2net\nNoNewPrivs:\t1\nSeccomp:\t2\n", Sandbox{true, true, true}},
		{"the unit, without privileges only", unit, "NoNewPrivs:\t1\nSeccomp:\t0\n", Sandbox{true, true, false}},
		{"by hand", "0::/user.slice/user-0.slice/session-1.scope\n", "NoNewPrivs:\t0\nSeccomp:\t0\n", Sandbox{}},
		{"an old kernel", unit, "Name:\tec2net\n", Sandbox{true, true, true}},
	} {
		root := fstest.MapFS{"proc/7/cgroup": {Data: []byte(tt.cgroup)}, "proc/7/status": {Data: []byte(tt.status)}}
		if got := ReadSandbox(root, 7); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
	if got := ReadSandbox(fstest.MapFS{}, 7); got != (Sandbox{NoNewPrivileges: true, Filtered: true}) {
		t.Errorf("of no process: %+v", got)
	}
}
