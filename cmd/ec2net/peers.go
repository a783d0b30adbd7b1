package main

import (
	"os"
	"strings"

	"ec2net/config"
	"ec2net/dhcp"
)

// owns: the interface's primary address is ours to add.
func owns(leasing string) bool { return leasing == native || leasing == "off" }

// wouldOwn is ownsAddress for an interface on which nothing has been started.
func (n *nic) wouldOwn() bool {
	if n.iface.DHCP != config.Auto {
		return true
	}
	_, owned := dhcp.FindOwner(os.DirFS("/"), n.snap.Name, n.snap.Index)
	return !owned && n.foreignAddress() == ""
}

// lines takes joined errors apart.
func lines(err error) []string {
	if err == nil {
		return nil
	}
	return strings.Split(err.Error(), "\n")
}
