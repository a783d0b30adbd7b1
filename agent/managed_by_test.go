package agent

import (
	"testing"
	"testing/fstest"
)

// udev's database may name another program.
func TestManagedBy(t *testing.T) {
	for text, want := range map[string]string{
		"":                       "",
		"I:1\nE:ID_BUS=pci\n":    "",
		"E:ID_NET_MANAGED_BY=\n": "",
		"E:ID_NET_MANAGED_BY=ec2net\nE:ID_NET_MANAGED_BY_X=y\n": "",
		"E:ID_NET_MANAGED_BY=io.systemd.Network\n":              `"io.systemd.Network" (ID_NET_MANAGED_BY in udev's database)`,
		"I:1\nE:ID_NET_MANAGED_BY=\x1b[2Junmanaged\n":           `"\x1b[2Junmanaged" (ID_NET_MANAGED_BY in udev's database)`,
	} {
		root := fstest.MapFS{"run/udev/data/n3": {Data: []byte(text)}}
		if got := managedBy(root, 3); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
	if got := managedBy(fstest.MapFS{}, 3); got != "" {
		t.Error(got)
	}
}
