package plumb

import (
	"testing"
)

// Rules as the kernel tells them, by family and in any order, and whom they tell of.
func TestClaims(t *testing.T) {
	for _, tt := range []struct {
		name  string
		rules []string
		want  string
	}{
		{"none", nil, ""},
		{"node port", []string{"rule add pref 1024 fwmark 0x80/0x80 lookup main"}, "amazon-vpc-cni (rule 1024: fwmark 0x80/0x80 lookup main)"},
		{"another mark", []string{"rule add pref 1024 fwmark 0x40/0x80 lookup main"}, ""},
		{"a pod", []string{"rule add pref 1536 from 10.0.2.40 lookup 3", "rule add pref 512 to 10.0.2.40 lookup main"}, "amazon-vpc-cni (rule 1536: from 10.0.2.40 lookup 3)"},
		{"two halves of no pod", []string{"rule add pref 1536 from 10.0.2.40 lookup 3", "rule add pref 512 to 10.0.2.41 lookup main"}, ""},
		{"a subnet is no pod", []string{"rule add pref 1536 from 10.0.2.0/24 lookup 3", "rule add pref 512 to 10.0.2.0/24 lookup main"}, ""},
		{"a pod of IPv6", []string{"-6 rule add pref 111 from fd00::40 lookup 11", "-6 rule add pref 20 to fd00::40 lookup main"}, "Cilium (rule 111: from fd00::40 lookup 11)"},
		{"a pod on Azure", []string{"rule add pref 110 from 10.0.2.40 lookup 3", "rule add pref 20 to 10.0.2.40 lookup main"}, "Cilium (rule 110: from 10.0.2.40 lookup 3)"},
		{"Cilium elsewhere", []string{"rule add pref 9 fwmark 0x200/0xf00 lookup 2004", "rule add pref 10 fwmark 0xa00/0xf00 lookup 2005", "rule add pref 100 lookup local"}, ""},
		{"our own mark", []string{"rule add pref 1024 fwmark 0x80/0x80 lookup main proto 236"}, ""},
		{"no look-up", []string{"rule add pref 1024 fwmark 0x80/0x80 unreachable"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			host(t)
			for _, r := range tt.rules {
				ip(t, r)
			}
			if got := read(t, open(t, "eth1")).Claimed; got != tt.want {
				t.Errorf("claimed by %q, want %q", got, tt.want)
			}
		})
	}
}

// A rule that claims is a hint to a running watch, others are not.
func TestClaimIsAHint(t *testing.T) {
	host(t)
	l := open(t, "eth1")
	read(t, l)
	changes, err := l.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ip(t, "rule add pref 4000 from 10.9.9.9 lookup 7")
	ip(t, "rule add pref 1024 fwmark 0x80/0x80 lookup main")
	<-changes
	select {
	case c := <-changes:
		t.Errorf("a second hint: %+v", c)
	default:
	}
}
