package agent

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"

	"ec2net/config"
	"ec2net/plumb"
)

// Interfaces that belong to another program: a container network that has moved addresses or routes there, or the
// program that ID_NET_MANAGED_BY names. ec2net leaves them alone, unless a section of the configuration insists on
// them.

// ourName is the value of ID_NET_MANAGED_BY for an interface that is ec2net's.
const ourName = "ec2net"

// managedBy is the program that ID_NET_MANAGED_BY names in udev's database; "" if it names nobody, or ec2net.
// systemd-networkd and NetworkManager go by the same property (systemd.network(5)).
func managedBy(root fs.FS, index int) string {
	name := UdevProperty(root, index, "ID_NET_MANAGED_BY")
	if name == "" || name == ourName {
		return ""
	}
	return fmt.Sprintf("%.60q (ID_NET_MANAGED_BY in udev's database)", name)
}

// owner is the program that has the interface; "": none. What a container network has taken once stays its own as
// long as the record lasts: its traces come and go with the containers.
func (n *NIC) owner(s plumb.Snapshot) string {
	if n.iface.Manage != config.Full {
		return ""
	}
	n.record.Claimed = cmp.Or(n.record.Claimed, s.Claimed)
	return cmp.Or(n.record.Claimed, managedBy(os.DirFS("/"), s.Index))
}

// OwnedByOther reports whether another program has the interface and no section of the configuration insists on it.
// The answer yes goes into the record.
func (n *NIC) OwnedByOther(s plumb.Snapshot) bool {
	insists, certain := n.config.Insists(n.keys)
	if n.record.LeftTo == "" && certain && !insists {
		n.record.LeftTo = n.owner(s)
	}
	return n.record.LeftTo != ""
}

// undecided reports whether only the metadata can tell if the interface is ours, because a section names an ENI or a
// number.
func (a *Agent) undecided() bool {
	_, certain := a.config.Insists(a.keys)
	return a.config.NeedsMetadata(a.keys) || (!certain && a.owner(a.snap) != "")
}

// logUnmanaged logs that the configuration leaves the interface alone.
func (n *NIC) logUnmanaged() {
	if n.iface.Manage == config.None {
		n.log.Infof("left alone, because %s says manage = false", n.config.File)
	}
}

// stillManagedText names the process that manages an interface by an earlier configuration, and how to stop it.
func stillManagedText(name string, pid int) string {
	return fmt.Sprintf("process %d still manages %s with an older configuration; to stop it: %s", pid, name, StopCommand(name))
}
