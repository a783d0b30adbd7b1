//go:build vm

package vm

import (
	"testing"

	"ec2net/test/lab/labtest"
)

// replies has the unit answer by interface, on a kernel that has no nftables and on one that has: from the unit's
// sandbox it loads the modules, and what it says of the table afterwards is what was written.
func replies(t *testing.T, m *machine) {
	const mark = "cat /proc/sys/net/ipv4/conf/ens6/src_valid_mark"
	if got := m.run("lsmod | grep -w -e ^nf_tables -e ^nft_ct; true"); got != "" {
		t.Errorf("a module is loaded before it is needed: %s", got)
	}
	m.run("echo 'install nf_tables /bin/false' >/etc/modprobe.d/none.conf; mkdir -p /etc/ec2net; echo 'replies = \"by-interface\"' >/etc/ec2net/ec2net.toml; systemctl restart --no-block ec2net-ifup@ens6")
	m.state("journalctl -b --no-pager -u ec2net-ifup@ens6 | grep -o 'nftables cannot do this' | head -1", "nftables cannot do this")
	m.state(active+"ens6", "active")
	m.answers(labtest.EIP(nic(1)), hang)
	m.run("rm /etc/modprobe.d/none.conf; systemctl restart --no-block ec2net-ifup@ens6")
	m.state(mark, "1")
	m.state(active+"ens6", "active")
	m.state("ec2net plan ens6 && echo nothing to do", "nothing to do")
	m.state("lsmod | grep -cw ^nft_ct", "1")
	m.answers(labtest.EIP(nic(1)), hang)
	m.run("rm /etc/ec2net/ec2net.toml; systemctl restart --no-block ec2net-ifup@ens6")
	m.state(mark, "0")
	m.state(active+"ens6", "active")
	m.state("ec2net plan ens6 && ip rule | grep -c fwmark", "0")
}
