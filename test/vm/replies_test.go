//go:build vm

package vm

import "testing"

// replies has the unit answer by card: from its sandbox the kernel loads the modules that this takes, and what
// this kernel says of the table afterwards is what was written.
func replies(t *testing.T, m *machine) {
	const mark = "cat /proc/sys/net/ipv4/conf/ens6/src_valid_mark"
	if got := m.run("lsmod | grep -w ^nft_ct; true"); got != "" {
		t.Errorf("a module is loaded before it is needed: %s", got)
	}
	m.run("mkdir -p /etc/ec2net; echo 'replies = \"by-card\"' >/etc/ec2net/ec2net.toml; systemctl restart --no-block ec2net-ifup@ens6")
	m.state(mark, "1")
	m.state(active+"ens6", "active")
	m.state("ec2net plan ens6 && echo nothing to do", "nothing to do")
	m.state("lsmod | grep -cw ^nft_ct", "1")
	m.answers(eip(nic(1)), 20e9)
	m.run("rm /etc/ec2net/ec2net.toml; systemctl restart --no-block ec2net-ifup@ens6")
	m.state(mark, "0")
	m.state(active+"ens6", "active")
	m.state("ec2net plan ens6 && ip rule | grep -c fwmark", "0")
}
