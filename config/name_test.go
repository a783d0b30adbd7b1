package config

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"ec2net/test/testkit"
)

var badNames = []struct{ name, want string }{
	{"", `"" is not an interface name: empty`},
	{".", `"." is not an interface name: reserved`},
	{"..", `".." is not an interface name: reserved`},
	{"all", `"all" is not an interface name: reserved`},
	{"default", `"default" is not an interface name: reserved`},
	{"abcdefghijklmnop", `"abcdefghijklmnop" is not an interface name: longer than 15 bytes`},
	{"ééééàààà", `"ééééàààà" is not an interface name: longer than 15 bytes`},
	{strings.Repeat("x", 4096), `"` + strings.Repeat("x", 40) + `" is not an interface name: longer than 15 bytes`},
	{"eth0/..", `"eth0/.." is not an interface name: contains '/'`},
	{"../../etc/x", `"../../etc/x" is not an interface name: contains '/'`},
	{"eth0:1", `"eth0:1" is not an interface name: contains ':'`},
	{"eth%d", `"eth%d" is not an interface name: contains '%'`},
	{"eth 0", `"eth 0" is not an interface name: contains white space (U+0020)`},
	{"eth0\n", `"eth0\n" is not an interface name: contains white space (U+000A)`},
	{"\t", `"\t" is not an interface name: contains white space (U+0009)`},
	{"eth\u00a00", `"eth\u00a00" is not an interface name: contains white space (U+00A0)`},
	{"eth\x000", `"eth\x000" is not an interface name: contains a control character (U+0000)`},
	{"\x1b[31m", `"\x1b[31m" is not an interface name: contains a control character (U+001B)`},
	{"eth\x7f", `"eth\x7f" is not an interface name: contains a control character (U+007F)`},
	{"a\u202eb", `"a\u202eb" is not an interface name: contains an unprintable character (U+202E)`},
	{"-rf", `"-rf" is not an interface name: begins with '-'`},
	{"eth\xff", `"eth\xff" is not an interface name: not UTF-8`},
	{"caf\u00e0", `"cafà" is not an interface name: contains 'à'`},
}

var goodNames = []string{
	"eth0", "ens5", "enp0s6", "enP5p1s0f0np0", "a", "abcdefghijklmno", "eth0.100", "...", "br-lan", "wg_0",
	"x@y", "a*b", "[x]", `a\x2db`, "a'b\"c", "$(id)", "a;b", "é", "網卡", "eth0-", "All", "~", "#", "a=b",
}

func TestValidName(t *testing.T) {
	for _, tt := range badNames {
		if err := ValidName(tt.name); err == nil || err.Error() != tt.want {
			t.Errorf("ValidName(%q) = %v\nwant %s", tt.name, err, tt.want)
		}
	}
	for _, name := range goodNames {
		if err := ValidName(name); err != nil {
			t.Errorf("ValidName: %v", err)
		}
	}
}

// TestValidNameAgainstKernel asks the kernel itself: what ValidName lets through, an interface can have.
func TestValidNameAgainstKernel(t *testing.T) {
	link := newKernelNamer(t)
	for _, name := range goodNames {
		if err := link(name); err != nil {
			t.Errorf("ValidName accepts %q, the kernel says: %v", name, err)
		}
	}
	for c := rune(1); c < 0x200; c++ {
		name := "n" + string(c)
		if ValidName(name) != nil {
			continue
		}
		if err := link(name); err != nil {
			t.Errorf("ValidName accepts %q, the kernel says: %v", name, err)
		}
	}
	for _, name := range []string{".", "..", "all", "default", "eth0/..", "eth0:1", "eth 0", "eth\u00a00", "caf\u00e0"} {
		if err := link(name); err == nil {
			t.Errorf("the kernel takes %q: the reason to refuse it is gone", name)
		}
	}
}

// newKernelNamer returns a function that makes an interface of that name in a network namespace of its own,
// with which the interfaces go.
func newKernelNamer(t *testing.T) func(name string) error {
	t.Helper()
	testkit.Namespace(t)
	return func(name string) error {
		if err := netlink.LinkAdd(&netlink.Ifb{LinkAttrs: netlink.LinkAttrs{Name: name}}); err != nil {
			return err
		}
		_, err := netlink.LinkByName(name)
		return err
	}
}

func FuzzValidName(f *testing.F) {
	for _, tt := range badNames {
		f.Add(tt.name)
	}
	for _, name := range goodNames {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		err := ValidName(name)
		if err != nil {
			if !harmless(err.Error()) || len(err.Error()) > 500 {
				t.Errorf("the error is not fit for a terminal: %q", err)
			}
			return
		}
		dir := "/sys/class/net"
		if filepath.Dir(filepath.Join(dir, name)) != dir || filepath.Base(filepath.Join(dir, name)) != name {
			t.Errorf("%q leaves %s", name, dir)
		}
		if len(name) > 15 || strings.HasPrefix(name, "-") || !harmless(name) || strings.Contains(name, " ") {
			t.Errorf("%q is let through", name)
		}
	})
}
