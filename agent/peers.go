package agent

import (
	"os"
	"strings"

	"ec2net/config"
	"ec2net/dhcp"
)

// owns: the interface's primary address is ours to add.
func owns(leasing string) bool { return leasing == native || leasing == "off" }

// wouldOwn is ownsAddress for an interface on which nothing has been started.
func (n *NIC) wouldOwn() bool {
	if n.iface.DHCP != config.Auto {
		return true
	}
	_, owned := dhcp.FindOwner(os.DirFS("/"), n.snap.Name, n.snap.Index)
	return !owned && n.foreignAddress() == ""
}

// Lines takes joined errors apart, for a list of messages.
func Lines(err error) []string {
	if err == nil {
		return nil
	}
	return strings.Split(err.Error(), "\n")
}
